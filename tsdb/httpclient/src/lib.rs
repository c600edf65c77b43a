//! Prometheus' http_config once: authentication, TLS, files that change.
//!
//! [`Settings`] is the section as data. [`Client`] does GET requests with it over kept-alive HTTP/1.1 connections that
//! the caller holds ([`Connections`]), one per target; HTTP/2 is not negotiated yet. Files are never read at start: a
//! token or password file is read for every request, certificates are loaded again when their files change, so that
//! rotation needs no reload and a missing file is an error of the request.

mod auth;
mod client;
mod connect;
mod error;
mod redirect;
pub mod secret;
pub mod settings;
mod tls;

pub use client::{Answer, Client, Get, MAX_REDIRECTS};
pub use connect::Connections;
pub use error::FetchError;
pub use secret::Secret;
pub use settings::{Authorization, BasicAuth, NotYet, Settings, SettingsError, TlsSettings, TlsVersion};
