//! The `Authorization` header of a request.

use crate::error::FetchError;
use crate::secret::Secret;
use crate::settings::{BasicAuth, Settings};
use base64::Engine;
use http::HeaderValue;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The largest credentials or certificate file (bytes) that is read.
const MAX_FILE: u64 = 1 << 20;

/// The header's value, with files read now; `None` where the settings name no credentials.
pub(crate) fn header(settings: &Settings) -> Result<Option<HeaderValue>, FetchError> {
    let text = if let Some(basic) = &settings.basic_auth {
        basic_text(basic)?
    } else if let Some(authorization) = &settings.authorization {
        let (text, path) = (authorization.credentials.as_ref(), authorization.credentials_file.as_ref());
        match either("authorization.credentials_file", text, path)? {
            Some(credentials) => format!("{} {}", authorization.scheme(), credentials.expose()),
            None => return Ok(None),
        }
    } else {
        let (text, path) = (settings.bearer_token.as_ref(), settings.bearer_token_file.as_ref());
        match either("bearer_token_file", text, path)? {
            Some(token) => format!("Bearer {}", token.expose()),
            None => return Ok(None),
        }
    };
    let mut value = HeaderValue::from_str(&text).map_err(|_| FetchError::Setting {
        field: "authorization",
        reason: "the credentials hold a byte that no header can carry".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(Some(value))
}

fn basic_text(basic: &BasicAuth) -> Result<String, FetchError> {
    let name = match (&basic.username, &basic.username_file) {
        (_, Some(path)) => read_trimmed("basic_auth.username_file", path)?,
        (name, None) => name.clone().unwrap_or_default(),
    };
    let password = either("basic_auth.password_file", basic.password.as_ref(), basic.password_file.as_ref())?;
    let both = format!("{name}:{}", password.unwrap_or_default().expose());
    Ok(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(both)))
}

fn either(field: &'static str, text: Option<&Secret>, path: Option<&PathBuf>) -> Result<Option<Secret>, FetchError> {
    match (text.filter(|t| !t.is_empty()), path.filter(|p| !p.as_os_str().is_empty())) {
        (Some(text), _) => Ok(Some(text.clone())),
        (None, Some(path)) => read_trimmed(field, path).map(|text| Some(Secret::new(text))),
        (None, None) => Ok(None),
    }
}

fn read_trimmed(field: &'static str, path: &Path) -> Result<String, FetchError> {
    let text = read_file(field, path)?;
    Ok(text.trim().to_owned())
}

/// Reads a small text file.
pub(crate) fn read_file(field: &'static str, path: &Path) -> Result<String, FetchError> {
    let fail = |reason: String| FetchError::File { field, path: path.to_owned(), reason };
    let file = std::fs::File::open(path).map_err(|e| fail(e.to_string()))?;
    let mut text = String::new();
    let read = file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(|e| fail(e.to_string()))?;
    if read as u64 > MAX_FILE {
        return Err(fail(format!("expected at most {MAX_FILE} bytes")));
    }
    Ok(text)
}
