//! Where Prometheus' own test data lies. It is never copied into the project.

use std::path::{Path, PathBuf};

/// The folder with Prometheus' PromQL test data: `$LEADLINE_CONFORMANCE_DATA/promql`, else `../shared/data/promql`
/// beside the checkout.
pub(crate) fn promql_folder() -> Option<PathBuf> {
    let given = std::env::var_os("LEADLINE_CONFORMANCE_DATA").map(|folder| Path::new(&folder).join("promql"));
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/promql");
    given.into_iter().chain([beside]).find(|folder| folder.is_dir())
}

/// One visible line about data that is absent. Written past the test harness, which would swallow it.
///
/// # Panics
/// With `CI=true` where it was said where the data is.
pub(crate) fn say_skipped(what: &str) {
    use std::io::Write as _;
    let hint = "set LEADLINE_CONFORMANCE_DATA or LEADLINE_PROMQLTEST";
    let _ = writeln!(
        std::io::stderr(),
        "absent: {what} of Prometheus' PromQL test data ({hint})"
    );
    let given = ["LEADLINE_CONFORMANCE_DATA", "LEADLINE_PROMQLTEST"].map(std::env::var_os);
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true") || given.iter().all(Option::is_none),
        "{what} of Prometheus' PromQL test data is absent, which fails CI ({hint})"
    );
}
