//! Prometheus' http_config once: authentication, TLS, files that change.

pub mod secret;
pub mod settings;

pub use secret::Secret;
pub use settings::{Authorization, BasicAuth, Settings, SettingsError, TlsSettings, TlsVersion};
