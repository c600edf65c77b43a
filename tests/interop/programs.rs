//! promtool and leadline's own commands, run to their end.

use crate::folder::Copied;
use crate::world::{binary, printed};
use leadline_testkit::programs::workspace_root;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// One release of Prometheus.
#[derive(Debug, Clone)]
pub(crate) struct Release {
    /// `2.42` or `3.16`.
    pub(crate) name: &'static str,
    /// The folder of its binaries.
    folder: PathBuf,
}

impl Release {
    /// Prometheus 3.16.
    pub(crate) fn newest() -> Option<Self> {
        Self::find("3.16", "build", "")
    }

    /// Prometheus 2.42.
    pub(crate) fn debian() -> Option<Self> {
        Self::find("2.42", "debian", "usr/bin")
    }

    /// Both, as far as they are here.
    pub(crate) fn all() -> Vec<Self> {
        [Self::debian(), Self::newest()].into_iter().flatten().collect()
    }

    fn find(name: &'static str, script: &str, below: &str) -> Option<Self> {
        let script = workspace_root().join("tests/programs").join(script);
        let output = Command::new(&script).args(["--where", "prometheus"]).output().unwrap();
        let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()).join(below);
        if folder.join("promtool").is_file() {
            return Some(Self { name, folder });
        }
        let hint = format!("run {} prometheus", script.display());
        absent(&format!("Prometheus {name}"), &hint);
        None
    }

    /// The path of one of its programs.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Whether the release knows native histograms in blocks and log.
    pub(crate) fn is_newest(&self) -> bool {
        self.name == "3.16"
    }

    /// What `promtool tsdb …` prints about a copy of `data`.
    pub(crate) fn promtool(&self, args: &[&str], data: &Path) -> String {
        self.promtool_on(args, data, &[])
    }

    /// The same with arguments behind the directory.
    pub(crate) fn promtool_on(&self, args: &[&str], data: &Path, more: &[&str]) -> String {
        let copy = Copied::of(data);
        let mut command = Command::new(self.program("promtool"));
        let command = command.arg("tsdb").args(args).arg(copy.path()).args(more);
        let output = command.output().unwrap();
        good(&format!("promtool {} tsdb {args:?}", self.name), output)
    }
}

/// Says that a part is left out because `what` is not here.
///
/// # Panics
/// With `CI=true`: there everything has to be here.
pub(crate) fn absent(what: &str, hint: &str) {
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "{what} is absent, which fails CI ({hint})"
    );
    println!("SKIPPED in part: {what} is absent ({hint})");
}

/// What `leadline tsdb …` prints about `data`, which it must not change.
pub(crate) fn leadline(args: &[&str], data: &Path) -> String {
    leadline_on(args, data, &[])
}

/// The same with arguments behind the directory.
pub(crate) fn leadline_on(args: &[&str], data: &Path, more: &[&str]) -> String {
    let before = crate::folder::content(data);
    let mut command = Command::new(binary());
    let output = command.arg("tsdb").args(args).arg(data).args(more).output().unwrap();
    let text = good(&format!("leadline tsdb {args:?}"), output);
    assert!(
        before == crate::folder::content(data),
        "leadline tsdb {args:?} changed the directory"
    );
    text
}

fn good(what: &str, output: Output) -> String {
    assert!(output.status.success(), "{what}: {}", printed(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Lines in order, so that what is printed in any order can be compared.
pub(crate) fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

/// Compares two texts line by line, in any order; says the first lines that only one has.
pub(crate) fn assert_same_lines(what: &str, ours: &str, theirs: &str) {
    let (ours, theirs) = (sorted(ours), sorted(theirs));
    let only = |these: &[&str], those: &[&str]| -> Vec<String> {
        let lacking = these.iter().filter(|line| those.binary_search(line).is_err());
        lacking.take(5).map(ToString::to_string).collect()
    };
    let (more, less) = (only(&ours, &theirs), only(&theirs, &ours));
    assert!(
        ours == theirs,
        "{what}: {} lines of leadline's, {} of theirs; only leadline's: {more:#?}, only theirs: {less:#?}",
        ours.len(),
        theirs.len()
    );
    assert!(!ours.is_empty(), "{what}: nothing was printed");
}
