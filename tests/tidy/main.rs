//! The rules of the repository itself.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail the test that calls them"
)]

mod arrows;
mod graph;
mod image;
mod text;

use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the checkout.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a command in the checkout and gives its standard output.
fn output(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(root()).output();
    let output = output.unwrap_or_else(|e| panic!("{program} cannot be run: {e}"));
    assert!(
        output.status.success(),
        "{program} {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Every file under version control (and new ones that are not ignored), relative to the root.
fn files() -> Vec<PathBuf> {
    let list = output("git", &["ls-files", "--cached", "--others", "--exclude-standard", "-z"]);
    list.split('\0')
        .filter(|f| !f.is_empty())
        .map(PathBuf::from)
        .filter(|f| root().join(f).is_file())
        .collect()
}

/// The text of a file, or `None` where it is not text.
fn read(file: &Path) -> Option<String> {
    std::fs::read_to_string(root().join(file)).ok()
}
