//! Prometheus' `http_config` as data (`config/http_config.go` of prometheus/common).

use crate::secret::Secret;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

mod tls;
mod unsupported;

pub use tls::{TlsSettings, TlsVersion};
pub use unsupported::NotYet;

/// How to authenticate to and talk with a server.
///
/// Serde knows no `flatten` together with `deny_unknown_fields`: who embeds these keys in a larger section declares
/// them there and fills this struct; every field is public and has its own type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// User name and password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<BasicAuth>,
    /// The `Authorization` header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Authorization>,
    /// Older spelling of `authorization` with type Bearer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer_token: Option<Secret>,
    /// Older spelling of `authorization` with type Bearer and a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer_token_file: Option<PathBuf>,
    /// Recognised and refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<NotYet>,
    /// Certificates and checks of `https`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_config: Option<TlsSettings>,
    /// Whether redirects are followed (default yes).
    pub follow_redirects: bool,
    /// Whether HTTP/2 may be negotiated by ALPN (default yes).
    pub enable_http2: bool,
    /// Recognised; a value is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_url: Option<String>,
    /// Recognised; a value is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_proxy: Option<String>,
    /// Recognised; `true` is refused.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub proxy_from_environment: bool,
    /// Recognised and refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_connect_header: Option<NotYet>,
    /// Recognised and refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_headers: Option<NotYet>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            basic_auth: None,
            authorization: None,
            bearer_token: None,
            bearer_token_file: None,
            oauth2: None,
            tls_config: None,
            follow_redirects: true,
            enable_http2: true,
            proxy_url: None,
            no_proxy: None,
            proxy_from_environment: false,
            proxy_connect_header: None,
            http_headers: None,
        }
    }
}

/// User name and password, each as text or in a file.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BasicAuth {
    /// The user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// File that holds the user; read at every request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username_file: Option<PathBuf>,
    /// The password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// File that holds the password; read at every request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
}

/// The `Authorization` header: scheme and credentials.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Authorization {
    /// The scheme; `Bearer` where it is absent or empty. `Basic` is refused.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What follows the scheme.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Secret>,
    /// File that holds what follows the scheme; read at every request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_file: Option<PathBuf>,
}

/// Why settings were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct SettingsError {
    /// The key, with its parents (`basic_auth.password`).
    pub field: &'static str,
    /// What is wrong and what was expected.
    pub reason: String,
}

pub(crate) fn refuse<T>(field: &'static str, reason: impl Into<String>) -> Result<T, SettingsError> {
    Err(SettingsError {
        field,
        reason: reason.into(),
    })
}

fn some<T>(option: Option<&T>) -> bool {
    option.is_some()
}

impl Settings {
    /// Every secret that is written in the settings themselves, so that whoever shows their text can hide them.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let password = self.basic_auth.as_ref().and_then(|basic| basic.password.as_ref());
        let credentials = self.authorization.as_ref().and_then(|a| a.credentials.as_ref());
        let key = self.tls_config.as_ref().and_then(|tls| tls.key.as_ref());
        [password, credentials, self.bearer_token.as_ref(), key]
            .into_iter()
            .flatten()
            .filter(|secret| !secret.is_empty())
    }

    /// Checks what the types cannot say, with Prometheus' rules (`HTTPClientConfig.Validate`).
    ///
    /// # Errors
    /// [`SettingsError`] names the key.
    pub fn validate(&self) -> Result<(), SettingsError> {
        self.check_unsupported()?;
        self.check_credentials()?;
        if let Some(basic) = &self.basic_auth {
            basic.validate()?;
        }
        if let Some(authorization) = &self.authorization {
            authorization.validate()?;
        }
        if let Some(tls) = &self.tls_config {
            tls.validate()?;
        }
        Ok(())
    }

    fn check_unsupported(&self) -> Result<(), SettingsError> {
        let set = |text: &Option<String>| text.as_deref().is_some_and(|t| !t.is_empty());
        let found = [
            ("oauth2", some(self.oauth2.as_ref())),
            ("proxy_url", set(&self.proxy_url)),
            ("no_proxy", set(&self.no_proxy)),
            ("proxy_from_environment", self.proxy_from_environment),
            ("proxy_connect_header", some(self.proxy_connect_header.as_ref())),
            ("http_headers", some(self.http_headers.as_ref())),
        ];
        match found.into_iter().find(|(_, set)| *set) {
            Some((field, _)) => refuse(field, "not supported yet"),
            None => Ok(()),
        }
    }

    /// At most one way to authenticate.
    fn check_credentials(&self) -> Result<(), SettingsError> {
        let ways = [
            ("basic_auth", some(self.basic_auth.as_ref())),
            ("authorization", some(self.authorization.as_ref())),
            (
                "bearer_token",
                self.bearer_token.as_ref().is_some_and(|t| !t.is_empty()),
            ),
            (
                "bearer_token_file",
                self.bearer_token_file
                    .as_ref()
                    .is_some_and(|p| !p.as_os_str().is_empty()),
            ),
        ];
        let mut set = ways.into_iter().filter(|(_, set)| *set).map(|(field, _)| field);
        match (set.next(), set.next()) {
            (Some(first), Some(second)) => refuse(
                second,
                format!(
                    "{first} is set too, expected at most one of basic_auth, authorization, bearer_token and bearer_token_file"
                ),
            ),
            _ => Ok(()),
        }
    }

    /// Makes relative paths relative to `directory` (that of the configuration file), as Prometheus does.
    pub fn set_directory(&mut self, directory: &Path) {
        let join = |path: &mut Option<PathBuf>| {
            if let Some(path) = path.as_mut().filter(|p| !p.as_os_str().is_empty()) {
                *path = directory.join(&*path);
            }
        };
        join(&mut self.bearer_token_file);
        if let Some(basic) = &mut self.basic_auth {
            join(&mut basic.username_file);
            join(&mut basic.password_file);
        }
        if let Some(authorization) = &mut self.authorization {
            join(&mut authorization.credentials_file);
        }
        if let Some(tls) = &mut self.tls_config {
            join(&mut tls.ca_file);
            join(&mut tls.cert_file);
            join(&mut tls.key_file);
        }
    }
}

impl BasicAuth {
    fn validate(&self) -> Result<(), SettingsError> {
        let name = self.username.as_deref().is_some_and(|t| !t.is_empty());
        if name && some(self.username_file.as_ref()) {
            return refuse(
                "basic_auth.username_file",
                "expected at most one of username and username_file",
            );
        }
        let password = self.password.as_ref().is_some_and(|t| !t.is_empty());
        if password && some(self.password_file.as_ref()) {
            return refuse(
                "basic_auth.password_file",
                "expected at most one of password and password_file",
            );
        }
        Ok(())
    }
}

impl Authorization {
    /// The scheme that is sent.
    #[must_use]
    pub fn scheme(&self) -> &str {
        match self.kind.as_deref().map(str::trim) {
            None | Some("") => "Bearer",
            Some(kind) => kind,
        }
    }

    fn validate(&self) -> Result<(), SettingsError> {
        if self.scheme().eq_ignore_ascii_case("basic") {
            return refuse(
                "authorization.type",
                "\"basic\" is not taken here, expected basic_auth instead",
            );
        }
        let text = self.credentials.as_ref().is_some_and(|t| !t.is_empty());
        if text && some(self.credentials_file.as_ref()) {
            return refuse(
                "authorization.credentials_file",
                "expected at most one of credentials and credentials_file",
            );
        }
        if !self.scheme().bytes().all(|b| b.is_ascii_graphic()) {
            return refuse("authorization.type", "expected one word");
        }
        Ok(())
    }
}
