//! A file system of a few megabytes that can be full.
//!
//! It is a tmpfs in a mount namespace that a process of its own holds, so that it outlives whoever writes to it and nobody
//! else sees it. A limit on the size of files (`RLIMIT_FSIZE`) would not do: that is another error, and one file's alone.

use crate::world::{PATIENCE, binary, until};
use leadline_testkit::kubelet::Sandbox;
use leadline_testkit::process::{Process, Spec};
use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Output;

/// Mounts, says so, and holds the namespace.
const SCRIPT: &str = r#"mount -t tmpfs -o size="$1" small "$0" && echo mounted && exec sleep infinity"#;
/// Its size, bytes.
const SIZE: u64 = 8 * 1024 * 1024;
/// A page of memory, which is what a tmpfs gives out.
const PAGE: [u8; 4096] = [0; 4096];

/// The file system.
pub(crate) struct SmallDisk {
    holder: Process,
    kind: Sandbox,
    filler: PathBuf,
}

impl SmallDisk {
    /// Mounts one at `at`, an empty folder in `folder`; `None`, with a word of it, where this machine lets nobody mount.
    ///
    /// # Panics
    /// With `CI=true`: there it has to be possible.
    pub(crate) async fn mount(at: &Path, folder: &Path) -> Option<Self> {
        let kind = match Sandbox::detect() {
            Ok(kind) => kind,
            Err(why) => {
                let ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
                assert!(!ci, "a file system cannot be mounted, which fails CI: {why}");
                println!("SKIPPED: a file system cannot be mounted: {why}");
                return None;
            }
        };
        let flag = if kind == Sandbox::Root { "-m" } else { "-Urm" };
        let holder = Spec::new("small-disk", Path::new("unshare"), folder)
            .args([flag, "sh", "-c", SCRIPT])
            .args([at])
            .args([SIZE.to_string()])
            .start()
            .unwrap();
        let told = || holder.tail(5);
        until("the file system", told, async || {
            assert!(holder.exited().is_none(), "{}", told());
            told().contains("mounted").then_some(())
        })
        .await;
        let filler = at.join("filler");
        Some(Self { holder, kind, filler })
    }

    /// The program, with its arguments, that runs another where the file system is seen.
    pub(crate) fn before(&self) -> Vec<OsString> {
        let of = |name: &str, file: &str| OsString::from(format!("--{name}=/proc/{}/ns/{file}", self.holder.id()));
        let mut line = vec![OsString::from("nsenter"), of("mount", "mnt")];
        if self.kind == Sandbox::User {
            line.extend([of("user", "user"), "--preserve-credentials".into()]);
        }
        line.push("--".into());
        line
    }

    /// A path of the file system as this process sees it.
    pub(crate) fn seen(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(path.strip_prefix("/").unwrap())
    }

    /// Leaves not a page of room.
    pub(crate) fn fill(&self) {
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(self.seen(&self.filler))
            .unwrap();
        let full = loop {
            if let Err(error) = file.write_all(&PAGE) {
                break error;
            }
        };
        assert_eq!(full.kind(), ErrorKind::StorageFull, "{full}");
    }

    /// Gives the room back.
    pub(crate) fn make_room(&self) {
        std::fs::remove_file(self.seen(&self.filler)).unwrap();
    }

    /// Runs a command of leadline to its end.
    pub(crate) async fn run(&self, args: &[&str]) -> Output {
        let line = self.before();
        let mut command = tokio::process::Command::new(&line[0]);
        command.args(&line[1..]).arg(binary()).args(args).kill_on_drop(true);
        command.stdin(std::process::Stdio::null());
        command.env_remove("KUBERNETES_SERVICE_HOST").env_remove("LEADLINE_URL");
        tokio::time::timeout(PATIENCE, command.output())
            .await
            .unwrap_or_else(|_| panic!("{args:?} did not end"))
            .unwrap()
    }
}
