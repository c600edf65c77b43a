//! Manifests as values.

use crate::failure::Context;
use crate::{Result, programs};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The folder of the plain manifests.
#[must_use]
pub fn folder() -> PathBuf {
    programs::workspace_root().join("manifests/static")
}

/// All objects of a file of YAML documents.
///
/// # Errors
/// The file cannot be read or is no YAML; the message says where.
pub fn read(path: &Path) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(path).context(path.display())?;
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).context(path.display())?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}
