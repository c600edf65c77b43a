//! Kubernetes metrics APIs: `custom.metrics.k8s.io` and `external.metrics.k8s.io`, as an aggregated API server serves
//! them to the HPA.
//!
//! A rule ([`config::MetricRule`]) names a metric, what it describes and a PromQL query. The [`registry`] holds each
//! rule's standing query; [`query`] turns its newest evaluation into values by the rule's policies; [`api`] answers
//! requests, each of which [`auth`] has authenticated and authorized; [`explain`] says how an answer came about.

pub mod api;
pub mod auth;
pub mod config;
pub mod error;
pub mod explain;
pub mod objects;
pub mod quantity;
pub mod query;
pub mod registry;
pub mod resource;
pub mod selection;
pub mod stats;

pub use api::{Adapter, Limits, router};
pub use auth::peer::PeerCertificates;
pub use config::Autoscaling;
pub use registry::Registry;
