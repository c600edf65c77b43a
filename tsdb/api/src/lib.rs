//! The Prometheus HTTP API.
