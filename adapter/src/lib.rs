//! Kubernetes metrics APIs.
