//! `tls_config` as data.

use super::{SettingsError, refuse};
use crate::secret::Secret;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A TLS version as Prometheus names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TlsVersion {
    /// Recognised; refused as an upper bound, and no lower bound goes below 1.2.
    #[serde(rename = "TLS10")]
    Tls10,
    /// As [`TlsVersion::Tls10`].
    #[serde(rename = "TLS11")]
    Tls11,
    /// TLS 1.2.
    #[serde(rename = "TLS12")]
    Tls12,
    /// TLS 1.3.
    #[serde(rename = "TLS13")]
    Tls13,
}

/// Certificates and checks.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsSettings {
    /// PEM of the authorities the server's certificate must come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// File of the same; read again when it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// PEM of the client's certificate chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<String>,
    /// File of the same; read again when it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_file: Option<PathBuf>,
    /// PEM of the client's private key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Secret>,
    /// File of the same; read again when it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// The name the server's certificate must carry, in place of the host that is dialled; sent as SNI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// Takes any server certificate.
    pub insecure_skip_verify: bool,
    /// Oldest version taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_version: Option<TlsVersion>,
    /// Newest version taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_version: Option<TlsVersion>,
}

impl TlsSettings {
    pub(super) fn validate(&self) -> Result<(), SettingsError> {
        let text = |t: &Option<String>| t.as_deref().is_some_and(|t| !t.is_empty());
        let file = |p: &Option<PathBuf>| p.as_ref().is_some_and(|p| !p.as_os_str().is_empty());
        let key_text = self.key.as_ref().is_some_and(|k| !k.is_empty());
        if text(&self.ca) && file(&self.ca_file) {
            return refuse("tls_config.ca_file", "expected at most one of ca and ca_file");
        }
        if text(&self.cert) && file(&self.cert_file) {
            return refuse("tls_config.cert_file", "expected at most one of cert and cert_file");
        }
        if key_text && file(&self.key_file) {
            return refuse("tls_config.key_file", "expected at most one of key and key_file");
        }
        let (cert, key) = (
            text(&self.cert) || file(&self.cert_file),
            key_text || file(&self.key_file),
        );
        if cert && !key {
            return refuse(
                "tls_config.key_file",
                "a client certificate is set, expected key or key_file with it",
            );
        }
        if key && !cert {
            return refuse(
                "tls_config.cert_file",
                "a client key is set, expected cert or cert_file with it",
            );
        }
        if self.max_version.is_some_and(|max| max < TlsVersion::Tls12) {
            return refuse("tls_config.max_version", "versions below TLS12 are not supported");
        }
        if let (Some(min), Some(max)) = (self.min_version, self.max_version)
            && min > max
        {
            return refuse(
                "tls_config.max_version",
                "it is below min_version, expected at least that",
            );
        }
        Ok(())
    }
}
