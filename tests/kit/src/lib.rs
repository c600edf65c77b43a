//! What tests of several crates share: a real Kubernetes control plane on loopback, the stand-in for scheduler, kubelet
//! and kube-proxy that runs pods as local processes, KEDA, and the exporter whose counters follow the clock.
//!
//! Nothing here is a mock. etcd, kube-apiserver, kube-controller-manager, kubectl and KEDA are the real programs
//! (`tests/programs/build`); only the node is a stand-in, because a node needs a container runtime and a network.

pub mod address;
pub mod api;
pub mod audit;
pub mod cluster;
pub mod control_plane;
pub mod exporter;
pub mod failure;
pub mod grpc;
pub mod handshake;
pub mod keda;
pub mod kubectl;
pub mod kubelet;
pub mod manifests;
pub mod openapi;
pub mod pki;
pub mod process;
pub mod programs;
pub mod services;
pub mod wait;

pub use cluster::{Cluster, Settings};
pub use failure::{Failure, Result};
