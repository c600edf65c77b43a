//! An embeddable Prometheus: configuration, assembly and reload of the rooms.

pub mod config;
pub mod reload;
