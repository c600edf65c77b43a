//! Where Prometheus' own test data lies. It is never copied into the project.

use std::path::{Path, PathBuf};

/// The folder with Prometheus' PromQL test data: `$LEADLINE_CONFORMANCE_DATA/promql`, else `../shared/data/promql`
/// beside the checkout, else `$LEADLINE_PROMQLTEST` (`promql/promqltest/testdata` of the pinned Prometheus module).
pub(crate) fn promql_folder() -> Option<PathBuf> {
    let given = std::env::var_os("LEADLINE_CONFORMANCE_DATA").map(|folder| Path::new(&folder).join("promql"));
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/promql");
    let module = std::env::var_os("LEADLINE_PROMQLTEST").map(PathBuf::from);
    given
        .into_iter()
        .chain([beside])
        .chain(module)
        .find(|folder| folder.is_dir())
}

/// One visible line about data that is absent. Written past the test harness, which would swallow it.
pub(crate) fn say_skipped(what: &str) {
    use std::io::Write as _;
    let hint = "set LEADLINE_CONFORMANCE_DATA or LEADLINE_PROMQLTEST";
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED: {what} of Prometheus' PromQL test data is absent ({hint})"
    );
}
