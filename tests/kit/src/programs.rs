//! Where the real programs are: `tests/programs/build` builds them from pinned Go modules into a cache folder.

use crate::failure::Context;
use crate::{Result, fail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The checkout's root, above this crate's folder.
#[must_use]
pub fn workspace_root() -> PathBuf {
    let kit = Path::new(env!("CARGO_MANIFEST_DIR"));
    kit.ancestors().nth(2).unwrap_or(kit).to_path_buf()
}

/// The folder that holds the binaries of `program` (`kubernetes`, `keda`, `etcd`, `prometheus` or `grpcurl`).
///
/// # Errors
/// Says which command builds the program when it is not there.
pub fn folder(program: &str) -> Result<PathBuf> {
    let build = workspace_root().join("tests/programs/build");
    let output = Command::new(&build)
        .args(["--where", program])
        .output()
        .context(build.display())?;
    let folder = PathBuf::from(std::str::from_utf8(&output.stdout)?.trim());
    if !output.status.success() || !folder.is_dir() {
        fail!(
            "{program} is not built ({} is missing): run tests/programs/build {program}",
            folder.display()
        );
    }
    Ok(folder)
}

/// The path of `binary` of `program`, as [`folder`] finds it.
///
/// # Errors
/// See [`folder`]; also when the folder lacks the binary.
pub fn binary(program: &str, binary: &str) -> Result<PathBuf> {
    let path = folder(program)?.join(binary);
    if !path.is_file() {
        fail!(
            "{} is missing: remove its folder and run tests/programs/build {program}",
            path.display()
        );
    }
    Ok(path)
}
