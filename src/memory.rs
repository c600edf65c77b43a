//! How much memory the process may use.

use std::path::{Component, Path, PathBuf};

/// Reads a file; `None` where it cannot be read.
type Read<'a> = &'a dyn Fn(&Path) -> Option<String>;

/// The bytes of memory that the process may use, as far as the system tells: the limit of its control group (v2, else v1)
/// or of one that this is in, whichever is lowest; without any, what the machine has available now.
pub(crate) fn allowed() -> Option<u64> {
    allowed_by(&|path| std::fs::read_to_string(path).ok())
}

/// The bytes of memory that are left beside what is in use now: of the limit of the control group, which is that of a server
/// in the same container, and of the machine.
pub(crate) fn left() -> Option<u64> {
    left_by(&|path| std::fs::read_to_string(path).ok())
}

fn left_by(read: Read<'_>) -> Option<u64> {
    let groups = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    let of_groups = groups
        .lines()
        .filter_map(|group| by_groups(group, &|limit| left_of(limit, read), read));
    let machine = read(Path::new("/proc/meminfo")).unwrap_or_default();
    of_groups.chain(kibibytes(&machine, "MemAvailable:")).min()
}

/// What a group has left: its limit without what it uses, of which pages of files that nobody asked for again can go.
fn left_of(limit: &Limit, read: Read<'_>) -> Option<u64> {
    let used: u64 = read(&limit.folder.join(limit.names.used))?.trim().parse().ok()?;
    let stat = read(&limit.folder.join("memory.stat")).unwrap_or_default();
    let told = |line: &str| {
        line.strip_prefix(limit.names.idle)?
            .strip_prefix(' ')?
            .trim()
            .parse()
            .ok()
    };
    let idle: u64 = stat.lines().find_map(told).unwrap_or(0);
    Some(limit.bytes.saturating_sub(used.saturating_sub(idle)))
}

fn allowed_by(read: Read<'_>) -> Option<u64> {
    let machine = read(Path::new("/proc/meminfo")).unwrap_or_default();
    let total = kibibytes(&machine, "MemTotal:");
    let groups = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    let limits = groups
        .lines()
        .filter_map(|group| by_groups(group, &|limit| Some(limit.bytes), read));
    // Without a limit, v1 has a number beyond all memory.
    let limit = limits.min().filter(|&limit| total.is_none_or(|total| limit < total));
    limit.or_else(|| kibibytes(&machine, "MemAvailable:")).or(total)
}

/// What the files of a group's memory are called.
struct Names {
    root: &'static str,
    limit: &'static str,
    used: &'static str,
    /// In `memory.stat`.
    idle: &'static str,
}

const V2: Names = Names {
    root: "/sys/fs/cgroup",
    limit: "memory.max",
    used: "memory.current",
    idle: "inactive_file",
};
const V1: Names = Names {
    root: "/sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    idle: "total_inactive_file",
};

/// The limit of a group.
struct Limit {
    names: &'static Names,
    folder: PathBuf,
    bytes: u64,
}

/// The lowest `value` of the limits of a group and of those that it is in, by a line of `/proc/self/cgroup` (cgroups(7)).
fn by_groups(group: &str, value: &dyn Fn(&Limit) -> Option<u64>, read: Read<'_>) -> Option<u64> {
    let mut fields = group.splitn(3, ':').skip(1);
    let (controllers, path) = fields.next().zip(fields.next())?;
    let names = match controllers {
        "" => &V2,
        v1 if v1.split(',').any(|controller| controller == "memory") => &V1,
        _ => return None,
    };
    // In a container, the names may be those of the host while its files are those of the container.
    let folders = Path::new(path)
        .components()
        .filter(|c| matches!(c, Component::Normal(_)));
    let folders: PathBuf = folders.collect();
    let values = folders.ancestors().filter_map(|group| {
        let folder = Path::new(names.root).join(group);
        // `max` sets none.
        let bytes = read(&folder.join(names.limit))?.trim().parse().ok()?;
        value(&Limit { names, folder, bytes })
    });
    values.min()
}

/// A number of `/proc/meminfo`, bytes (proc_meminfo(5)).
fn kibibytes(meminfo: &str, key: &str) -> Option<u64> {
    let value = meminfo.lines().find_map(|line| line.strip_prefix(key))?;
    let number: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    number.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: &str =
        "MemTotal:       16000 kB\nMemFree:         200 kB\nMemAvailable:    9000 kB\nBuffers: 1 kB\n";
    const K: u64 = 1024;

    fn of(files: &[(&str, &str)]) -> Option<u64> {
        allowed_by(&|path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path)?;
            Some(found.1.to_owned())
        })
    }

    #[test]
    fn the_lowest_limit_of_the_group_and_those_above_it_holds() {
        let pod = "0::/kubepods/pod1/app\n";
        let v1 = "7:cpu,cpuacct:/a\n5:memory:/docker/1\n0::/\n";
        for (what, files, bytes) in [
            ("no group", vec![], Some(9_000 * K)),
            (
                "v2",
                vec![
                    ("/proc/self/cgroup", pod),
                    ("/sys/fs/cgroup/kubepods/pod1/app/memory.max", "max\n"),
                    ("/sys/fs/cgroup/kubepods/pod1/memory.max", "5000000\n"),
                    ("/sys/fs/cgroup/kubepods/memory.max", "8000000\n"),
                ],
                Some(5_000_000),
            ),
            (
                "v2 in a container of its own",
                vec![("/proc/self/cgroup", "0::/\n"), ("/sys/fs/cgroup/memory.max", "4096\n")],
                Some(4_096),
            ),
            (
                "v2 outside of the container's root",
                vec![
                    ("/proc/self/cgroup", "0::/../x\n"),
                    ("/sys/fs/cgroup/memory.max", "4097\n"),
                ],
                Some(4_097),
            ),
            (
                "v2 without a limit",
                vec![
                    ("/proc/self/cgroup", pod),
                    ("/sys/fs/cgroup/kubepods/pod1/app/memory.max", "max\n"),
                ],
                Some(9_000 * K),
            ),
            (
                "v1, with the files of the container",
                vec![
                    ("/proc/self/cgroup", v1),
                    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "6000000\n"),
                ],
                Some(6_000_000),
            ),
            (
                "v1 without a limit",
                vec![
                    ("/proc/self/cgroup", v1),
                    (
                        "/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes",
                        "9223372036854771712\n",
                    ),
                ],
                Some(9_000 * K),
            ),
            (
                "nonsense",
                vec![
                    ("/proc/self/cgroup", "0\n::\n:\nx:memory\n"),
                    ("/sys/fs/cgroup/memory.max", "-1"),
                ],
                Some(9_000 * K),
            ),
        ] {
            let files: Vec<_> = files.into_iter().chain([("/proc/meminfo", MEMINFO)]).collect();
            assert_eq!(of(&files), bytes, "{what}");
        }
    }

    #[test]
    fn without_a_word_of_the_system_nothing_is_known() {
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("/proc/meminfo", "MemTotal: 7 kB")]), Some(7 * K));
        assert_eq!(
            of(&[("/proc/meminfo", "MemTotal: 99999999999999999999 kB\nMemAvailable: 1 MB")]),
            None
        );
    }

    #[test]
    fn what_is_left_is_the_limit_without_what_is_in_use_and_cannot_go() {
        let group = ("/proc/self/cgroup", "0::/app\n");
        let limit = ("/sys/fs/cgroup/app/memory.max", "5000000\n");
        let used = ("/sys/fs/cgroup/app/memory.current", "3000000\n");
        let stat = (
            "/sys/fs/cgroup/app/memory.stat",
            "anon 1\ninactive_file 1000000\nactive_file 7\n",
        );
        let v1 = [
            ("/proc/self/cgroup", "5:memory:/\n"),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712"),
            ("/sys/fs/cgroup/memory/memory.usage_in_bytes", "4096"),
        ];
        for (files, bytes) in [
            (vec![], Some(9_000 * K)),
            (vec![group, limit], Some(9_000 * K)),
            (vec![group, limit, used], Some(2_000_000)),
            (vec![group, limit, used, stat], Some(3_000_000)),
            (v1.to_vec(), Some(9_000 * K)),
        ] {
            let left = left_by(&|path| match files.iter().find(|(name, _)| Path::new(name) == path) {
                Some(found) => Some(found.1.to_owned()),
                None => (path == Path::new("/proc/meminfo")).then(|| MEMINFO.to_owned()),
            });
            assert_eq!(left, bytes, "{files:?}");
        }
    }
}
