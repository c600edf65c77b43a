//! A container's file system without a container runtime: a mount namespace whose root holds the machine's libraries, the
//! image's one binary and the pod's volumes at their mount paths.

use crate::{Result, fail};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs in the new namespace: assembles the root and becomes the container's program, with the same process id.
/// Arguments: root, binary, its path inside, hosts file, read-only (0 or 1), user (`-` for none), then pairs of source and
/// target, `--`, and the program's arguments.
const SCRIPT: &str = r#"
set -eu
root=$1 binary=$2 entry=$3 hosts=$4 readonly=$5 user=$6
shift 6
mount -t tmpfs -o mode=755 rootfs "$root"
place() {
  if [ -d "$1" ]; then mkdir -p "$root$2"; else mkdir -p "$(dirname "$root$2")"; : > "$root$2"; fi
  mount --rbind "$1" "$root$2"
}
for dir in bin sbin lib lib32 lib64 libx32 usr; do
  if [ -L "/$dir" ]; then ln -s "$(readlink "/$dir")" "$root/$dir"
  elif [ -d "/$dir" ]; then place "/$dir" "/$dir"; fi
done
for path in /proc /dev /etc/ld.so.cache /etc/nsswitch.conf /etc/ssl; do
  if [ -e "$path" ]; then place "$path" "$path"; fi
done
mkdir -p "$root/tmp"
place "$hosts" /etc/hosts
place "$binary" "$entry"
while [ "$1" != -- ]; do place "$1" "$2"; shift 2; done
shift
cd /
if [ "$readonly" = 1 ]; then mount -o remount,ro "$root"; fi
if [ "$user" = - ]; then exec chroot "$root" "$entry" "$@"; fi
exec chroot "$root" setpriv --reuid "$user" --regid "$user" --clear-groups --no-new-privs --pdeathsig KILL "$entry" "$@"
"#;

/// How mount namespaces can be made on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sandbox {
    /// As root.
    Root,
    /// As an ordinary user, inside a user namespace. The container's user is not changed then.
    User,
}

/// One container's file system.
#[derive(Debug)]
pub(super) struct Root<'a> {
    /// An empty folder on which the root is mounted, inside the namespace alone.
    pub(super) folder: &'a Path,
    /// The image's binary.
    pub(super) binary: &'a Path,
    /// /etc/hosts.
    pub(super) hosts: &'a Path,
    /// `readOnlyRootFilesystem`.
    pub(super) read_only: bool,
    /// `runAsUser`.
    pub(super) user: Option<u64>,
    /// Source and mount path of every volume.
    pub(super) mounts: Vec<(PathBuf, String)>,
}

impl Sandbox {
    /// Finds out.
    ///
    /// # Errors
    /// Neither way works here.
    pub fn detect() -> Result<Self> {
        for (kind, flags) in [(Self::Root, "-m"), (Self::User, "-Urm")] {
            let tried = Command::new("unshare")
                .args([flags, "sh", "-c", "mount -t tmpfs probe /mnt"])
                .output();
            if tried.is_ok_and(|output| output.status.success()) {
                return Ok(kind);
            }
        }
        fail!("pods run in mount namespaces: neither 'unshare -m' nor 'unshare -Urm' (util-linux) works here")
    }

    /// `unshare` and its arguments for running `args` with `root` as the file system.
    pub(super) fn command(self, root: &Root<'_>, args: &[String]) -> Vec<OsString> {
        let name = root.binary.file_name().unwrap_or_default().to_string_lossy();
        let user = match (self, root.user) {
            (Self::Root, Some(user)) => user.to_string(),
            _ => "-".to_owned(),
        };
        let flag = if self == Self::Root { "-m" } else { "-Urm" };
        let mut line: Vec<OsString> = [flag, "sh", "-c", SCRIPT, "container"].map(OsString::from).into();
        line.extend([
            root.folder.into(),
            root.binary.into(),
            format!("/{name}").into(),
            root.hosts.into(),
        ]);
        line.extend([OsString::from(if root.read_only { "1" } else { "0" }), user.into()]);
        for (source, target) in &root.mounts {
            line.extend([source.into(), target.into()]);
        }
        line.push("--".into());
        line.extend(args.iter().map(OsString::from));
        line
    }

    /// `unshare` and its arguments for running `program` on this machine's file system with another /etc/hosts.
    #[must_use]
    pub fn with_hosts(self, hosts: &Path, program: &Path) -> Vec<OsString> {
        let flag = if self == Self::Root { "-m" } else { "-Urm" };
        let script = r#"mount --bind "$0" /etc/hosts && exec "$@""#;
        let mut line: Vec<OsString> = [flag, "sh", "-c", script].map(OsString::from).into();
        line.extend([hosts.into(), program.into()]);
        line
    }
}
