//! Targets in files: read when they change, found out by looking at them every second.
//!
//! A ConfigMap volume changes by a symbolic link being swapped, which file notification reports in ways that differ by
//! kernel and file system; identity, size and times of what the link leads to tell it everywhere.

use crate::config::{FileConfig, StaticConfig};
use crate::fixed;
use crate::glob;
use crate::manager::{Publisher, Told};
use leadline_model::discovery::{GroupJob, JOB};
use leadline_model::target::TargetGroup;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// The largest file that is read, bytes: 100,000 targets with labels are about 20 MB.
const MAX_FILE: u64 = 128 << 20;

/// What tells whether a file is another one or was written: device, inode, size and both times (ns).
type Mark = (u64, u64, u64, i128, i128);

#[derive(Default)]
struct Known {
    mark: Option<Mark>,
    content: Vec<u8>,
    groups: Vec<Arc<TargetGroup>>,
}

/// The files of one configuration and what they held last.
pub(crate) struct Files {
    config: FileConfig,
    prefix: String,
    known: BTreeMap<PathBuf, Known>,
    /// What the discovery before this one found; the first look takes it.
    carried: Vec<Arc<TargetGroup>>,
}

/// What a look at the files brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Look {
    /// Whether any group changed.
    pub changed: bool,
    /// Files that could not be read or understood; their last good groups stay.
    pub errors: Vec<String>,
    /// Whether one of those may hold a group that says its `job`.
    pub may_say_job: bool,
}

/// Why a file is not taken over.
struct Broken {
    reason: String,
    /// Whether it may hold a group that says its `job`.
    may_say_job: bool,
}

impl From<std::io::Error> for Broken {
    /// Of a file that cannot be read: what it says nobody knows.
    fn from(error: std::io::Error) -> Self {
        Self {
            reason: error.to_string(),
            may_say_job: true,
        }
    }
}

fn mark(path: &Path) -> std::io::Result<Mark> {
    let meta = std::fs::metadata(path)?;
    let nanos = |s: i64, ns: i64| i128::from(s) * 1_000_000_000 + i128::from(ns);
    Ok((
        meta.dev(),
        meta.ino(),
        meta.len(),
        nanos(meta.mtime(), meta.mtime_nsec()),
        nanos(meta.ctime(), meta.ctime_nsec()),
    ))
}

impl Files {
    /// `prefix` starts the names of the groups, so that they are unique in the job. `carried` is what the discovery of the
    /// same prefix before this one found: the last good groups of a file that is broken at the first look.
    pub(crate) fn new(config: FileConfig, prefix: String, carried: Vec<Arc<TargetGroup>>) -> Self {
        Self {
            config,
            prefix,
            known: BTreeMap::new(),
            carried,
        }
    }

    /// Looks at every file; reads those that changed, or all with `refresh`.
    pub(crate) fn look(&mut self, refresh: bool) -> Look {
        let mut look = Look::default();
        let paths: Vec<PathBuf> = self.config.files.iter().flat_map(|path| glob::files(path)).collect();
        let before = self.known.len();
        self.known.retain(|path, _| paths.contains(path));
        look.changed |= self.known.len() != before;
        let carried = std::mem::take(&mut self.carried);
        for path in paths {
            let known = self.known.entry(path.clone()).or_insert_with(|| Known {
                groups: groups_of(&carried, &self.prefix, &path),
                ..Known::default()
            });
            match update(known, &path, &self.prefix, refresh) {
                Ok(changed) => look.changed |= changed,
                Err(broken) => {
                    look.may_say_job |= broken.may_say_job;
                    look.errors.push(format!("{}: {}", path.display(), broken.reason));
                }
            }
        }
        look
    }

    /// The groups of all files, by file name.
    pub(crate) fn groups(&self) -> Vec<Arc<TargetGroup>> {
        self.known
            .values()
            .flat_map(|known| known.groups.iter().cloned())
            .collect()
    }

    /// Looks at the files until `cancel`. The groups are known in full from the first look on that finds no file broken: what
    /// a broken one holds nobody can tell, and that it holds nothing would be an answer.
    pub(crate) async fn run(mut self, publisher: Publisher, cancel: CancellationToken) {
        let (mut first, mut since_refresh) = (true, Duration::ZERO);
        loop {
            let refresh = since_refresh >= self.config.refresh_interval.to_std();
            if refresh {
                since_refresh = Duration::ZERO;
            }
            let looked = tokio::task::spawn_blocking(move || {
                let look = self.look(refresh);
                (self, look)
            });
            let look;
            // The task is not cancelled, so it only fails where the process ends.
            (self, look) = match looked.await {
                Ok(done) => done,
                Err(_) => return,
            };
            let whole = look.errors.is_empty();
            publisher.tell_and_log(Told {
                groups: (look.changed || first).then(|| self.groups()),
                whole,
                error: look.errors.into_iter().next(),
                says: match look.may_say_job {
                    true => GroupJob::Anything,
                    false => GroupJob::Unseen,
                },
            });
            first &= !whole;
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(LOOK) => since_refresh += LOOK,
            }
        }
    }
}

/// The name of a group: its file's, and its place in the file.
fn source(prefix: &str, path: &Path, place: usize) -> String {
    format!("{prefix}{}:{place}", path.display())
}

/// Those of `groups` that `path` held, which is in their names.
fn groups_of(groups: &[Arc<TargetGroup>], prefix: &str, path: &Path) -> Vec<Arc<TargetGroup>> {
    let file = format!("{prefix}{}:", path.display());
    // A file's own name may end in a colon and a number: what follows has to be a place and nothing else.
    let held = |group: &&Arc<TargetGroup>| {
        let place = group.source.strip_prefix(&file).and_then(|place| place.parse().ok());
        place.is_some_and(|place| group.source == source(prefix, path, place))
    };
    groups.iter().filter(held).cloned().collect()
}

/// Reads `path` where it changed; whether its groups changed.
fn update(known: &mut Known, path: &Path, prefix: &str, refresh: bool) -> Result<bool, Broken> {
    let mark = mark(path)?;
    if known.mark == Some(mark) && !refresh {
        return Ok(false);
    }
    if mark.2 > MAX_FILE {
        return Err(Broken {
            reason: format!("the file has {} bytes, expected at most {MAX_FILE}", mark.2),
            may_say_job: true,
        });
    }
    let content = std::fs::read(path)?;
    if known.mark.is_some() && known.content == content {
        known.mark = Some(mark);
        return Ok(false);
    }
    // The mark is kept only with what was understood: a broken file is reported at each look until it is mended.
    let written = file_targets(path, &content).map_err(|reason| Broken {
        reason,
        may_say_job: may_say_job(path, &content),
    })?;
    let name = path.display().to_string();
    let group = |(i, config): (usize, &StaticConfig)| {
        Arc::new(fixed::group(
            source(prefix, path, i),
            config,
            &[("__meta_filepath", &name)],
        ))
    };
    known.groups = written.iter().enumerate().map(group).collect();
    known.content = content;
    known.mark = Some(mark);
    Ok(true)
}

/// Whether a file that is broken may be meant to say the `job` of a group: the word occurs, or might behind an escape or in an
/// encoding that is not read, or the text is cut off, and with it what would say more.
fn may_say_job(path: &Path, content: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(content) else {
        return true;
    };
    let ended = match is_json(path) {
        true => serde_json::from_str::<serde::de::IgnoredAny>(text).map_or_else(|e| !e.is_eof(), |_| true),
        false => text.ends_with('\n'),
    };
    !ended || text.contains(JOB) || text.contains(['\\', '\0'])
}

fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json"))
}

/// The groups of a file of targets: JSON where its name ends so, otherwise YAML.
///
/// # Errors
/// What is wrong with it, for people; nothing of a broken file is taken over.
pub fn file_targets(path: &Path, content: &[u8]) -> Result<Vec<StaticConfig>, String> {
    let groups: Vec<Option<StaticConfig>> = if is_json(path) {
        serde_json::from_slice(content).map_err(|e| e.to_string())?
    } else if content.trim_ascii().is_empty() {
        Vec::new()
    } else {
        let text = std::str::from_utf8(content).map_err(|e| e.to_string())?;
        serde_saphyr::from_str::<Option<_>>(text)
            .map_err(|e| e.without_snippet().to_string())?
            .unwrap_or_default()
    };
    #[cfg(feature = "planted")]
    leadline_model::planted::trap(
        groups
            .iter()
            .flatten()
            .any(|group| group.targets.iter().any(|target| !target.contains(':'))),
    );
    let nothing = "nil target group item found, expected targets and labels";
    groups
        .into_iter()
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| nothing.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use leadline_model::labels::Labels;

    fn config(directory: &Path, pattern: &str) -> FileConfig {
        FileConfig {
            files: vec![directory.join(pattern)],
            refresh_interval: leadline_model::duration::Duration::from_secs(300),
        }
    }

    fn addresses(files: &Files) -> Vec<String> {
        let of = |group: &Arc<TargetGroup>| -> Vec<String> {
            group
                .targets
                .iter()
                .filter_map(|t| t.get(fixed::ADDRESS).map(str::to_owned))
                .collect()
        };
        files.groups().iter().flat_map(of).collect()
    }

    const CHANGED: Look = Look {
        changed: true,
        errors: Vec::new(),
        may_say_job: false,
    };
    const SAME: Look = Look {
        changed: false,
        errors: Vec::new(),
        may_say_job: false,
    };

    #[test]
    fn files_of_both_formats_become_groups_and_vanish_with_their_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(
            dir.path().join("a.yml"),
            "- targets: ['x:1', 'y:2']\n  labels: {env: prod, n: 7}\n- targets: []\n",
        )
        .unwrap();
        std::fs::write(dir.path().join("b.json"), r#"[{"targets": ["z:3"]}]"#).unwrap();
        std::fs::write(dir.path().join("c.txt"), "nonsense").unwrap();
        let mut files = Files::new(config(dir.path(), "*.*"), "file/0/".into(), Vec::new());
        files.config.files = vec![dir.path().join("*.yml"), dir.path().join("*.json")];
        assert_eq!(files.look(false), CHANGED);
        assert_eq!(addresses(&files), ["x:1", "y:2", "z:3"]);
        let path = dir.path().join("a.yml").display().to_string();
        let first = &files.groups()[0];
        assert_eq!(
            first.labels,
            Labels::from_pairs([("env", "prod"), ("n", "7"), ("__meta_filepath", path.as_str())])
        );
        assert_eq!(first.source, format!("file/0/{path}:0"));
        assert_eq!(files.look(false), SAME);
        assert_eq!(files.look(true), SAME, "read again, but the same");
        std::fs::remove_file(dir.path().join("a.yml")).unwrap();
        assert_eq!(files.look(false), CHANGED);
        assert_eq!(addresses(&files), ["z:3"]);
    }

    #[test]
    fn a_swapped_symbolic_link_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for (version, target) in [("..1", "old:1"), ("..2", "new:1")] {
            std::fs::create_dir(at(version)).unwrap();
            std::fs::write(at(version).join("t.json"), format!(r#"[{{"targets": ["{target}"]}}]"#)).unwrap();
        }
        // As a ConfigMap volume is laid out: t.json -> ..data/t.json, ..data -> a directory that is swapped by a rename.
        std::os::unix::fs::symlink("..1", at("..data")).unwrap();
        std::os::unix::fs::symlink("..data/t.json", at("t.json")).unwrap();
        let mut files = Files::new(config(dir.path(), "*.json"), String::new(), Vec::new());
        assert_eq!(
            (files.look(false), addresses(&files)),
            (CHANGED, vec!["old:1".to_owned()])
        );
        std::os::unix::fs::symlink("..2", at("..tmp")).unwrap();
        std::fs::rename(at("..tmp"), at("..data")).unwrap();
        assert_eq!(
            (files.look(false), addresses(&files)),
            (CHANGED, vec!["new:1".to_owned()])
        );
    }

    #[test]
    fn a_broken_file_is_reported_until_it_is_mended_and_its_last_good_targets_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.yml");
        std::fs::write(&path, "- targets: ['x:1']\n").unwrap();
        let mut files = Files::new(config(dir.path(), "t.yml"), String::new(), Vec::new());
        files.look(false);
        for (broken, part) in [
            ("- targets: ['x:1'\n", "t.yml: "),
            ("- targets: ['x:1']\n  lables: {}\n", "lables"),
            ("-\n", "nil target group item found"),
            ("- targets: ['x:1']\n  labels: {'': x}\n", "is not a valid label name"),
        ] {
            std::fs::write(&path, broken).unwrap();
            for _ in 0..2 {
                let look = files.look(false);
                assert!(
                    !look.changed && look.errors.len() == 1 && look.errors[0].contains(part),
                    "{broken:?}: {look:?}"
                );
                assert_eq!(addresses(&files), ["x:1"]);
            }
        }
        std::fs::write(&path, "- targets: ['y:1']\n").unwrap();
        assert_eq!(
            (files.look(false), addresses(&files)),
            (CHANGED, vec!["y:1".to_owned()])
        );
    }

    #[test]
    fn a_broken_file_may_say_a_job_where_its_text_does_or_what_it_says_cannot_be_seen() {
        let dir = tempfile::tempdir().unwrap();
        for (name, broken, may) in [
            ("a.yml", "- targets: ['x:1'\n", false),
            ("a.yml", "- targets: ['x:1']\n  lables: {team: a}\n", false),
            ("a.yml", "- targets: ['x:1'\n  labels: {job: a}\n", true),
            ("a.yml", "- targets: ['x:1'\n  labels: {\"\\x6aob\": a}\n", true),
            ("a.yml", "- targets: ['x:1'", true),
            ("a.json", r#"[{"targets": ["x:1",]}]"#, false),
            ("a.json", r#"[{"targets": ["x:1",], "labels": {"job": "a"}}]"#, true),
            (
                "a.json",
                r#"[{"targets": ["x:1",], "labels": {"\u006aob": "a"}}]"#,
                true,
            ),
            ("a.json", r#"[{"targets": ["x:1"]"#, true),
            ("a.json", r#"[{"targets": ["x:1"], "lables": {}}]"#, false),
            ("a.json", "", true),
        ] {
            let path = dir.path().join(name);
            std::fs::write(&path, broken).unwrap();
            let mut files = Files::new(config(dir.path(), name), String::new(), Vec::new());
            let look = files.look(false);
            assert_eq!((look.errors.len(), look.may_say_job), (1, may), "{broken:?}");
        }
        std::fs::write(dir.path().join("a.yml"), b"- targets: ['\xff:1'\n").unwrap();
        std::fs::create_dir(dir.path().join("b.yml")).unwrap();
        for name in ["a.yml", "b.yml"] {
            let look = Files::new(config(dir.path(), name), String::new(), Vec::new()).look(false);
            assert!(look.errors.len() == 1 && look.may_say_job, "{name}: {look:?}");
        }
    }
}
