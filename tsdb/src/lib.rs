//! An embeddable Prometheus: configuration, assembly and reload of the rooms.
