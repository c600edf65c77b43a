//! Prometheus' http_config once: authentication, TLS, files that change.
