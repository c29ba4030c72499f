//! How much memory the system lets this process take.
//!
//! Linux alone tells all of it. Elsewhere nothing is known but the process's own limits.

use std::path::{Path, PathBuf};

/// Bytes that can still be had, and who says so: the least of what the machine and the control groups of this process
/// have left. `None` where nothing is known.
pub(super) fn room() -> Option<(u64, &'static str)> {
    room_under(Path::new("/"))
}

/// As [`room`], where the file systems of the kernel are mounted under `root`.
fn room_under(root: &Path) -> Option<(u64, &'static str)> {
    let machine = machine(root).map(|room| (room, "the memory of this machine"));
    let groups =
        control_groups(root).map(|room| (room, "the memory limit of its control group (container, batch job)"));
    machine.into_iter().chain(groups).min_by_key(|(room, _)| *room)
}

/// What can be had without taking from other processes, and what can be moved out to make room.
fn machine(root: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes << 10)
    };
    Some(field("MemAvailable")? + field("SwapFree").unwrap_or(0))
}

/// The least that the control groups of this process leave, from its own up to the topmost; of version 2 or 1.
fn control_groups(root: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let rooms = text.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (number, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let path = Path::new(path).strip_prefix("/").ok()?;
        if number == "0" && controllers.is_empty() {
            least(&root.join("sys/fs/cgroup"), path, ["memory.max", "memory.current"], "inactive_file")
        } else if controllers.split(',').any(|controller| controller == "memory") {
            let names = ["memory.limit_in_bytes", "memory.usage_in_bytes"];
            least(&root.join("sys/fs/cgroup/memory"), path, names, "total_inactive_file")
        } else {
            None
        }
    });
    rooms.min()
}

/// The least that the groups from `mount`/`path` up to `mount` leave: of the limit (the first of `names`) what is not used
/// (the second). Of what is used, the files that nobody has read of late (`reclaimable` in memory.stat) are given up when
/// memory is wanted. Within a container the path may be that outside, and is not found: the mount itself is its group.
fn least(mount: &Path, path: &Path, names: [&str; 2], reclaimable: &str) -> Option<u64> {
    let number = |file: PathBuf| std::fs::read_to_string(file).ok()?.trim().parse::<u64>().ok();
    let of_group = |group: PathBuf| {
        // `max` is no number, and no limit.
        let limit = number(group.join(names[0]))?;
        let used = number(group.join(names[1]))?;
        let statistics = std::fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
        let reclaimable =
            statistics.lines().find_map(|line| line.strip_prefix(reclaimable)?.trim().parse::<u64>().ok());
        Some(limit.saturating_sub(used.saturating_sub(reclaimable.unwrap_or(0))))
    };
    path.ancestors().filter_map(|part| of_group(mount.join(part))).min()
}

/// The least limit that is set for this process alone, in bytes: of its address space or its data. `None` without one.
#[cfg(unix)]
pub(super) fn of_process() -> Option<u64> {
    let limit = |resource| {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the address is that of a structure of the type that the function fills.
        let status = unsafe { libc::getrlimit(resource, &mut limit) };
        (status == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
    };
    [limit(libc::RLIMIT_AS), limit(libc::RLIMIT_DATA)].into_iter().flatten().min()
}

/// The least limit that is set for this process alone.
#[cfg(not(unix))]
pub(super) fn of_process() -> Option<u64> {
    None
}

/// Has the allocator of the tools give back to the system what is free in its hands.
pub(super) fn give_back_freed() {
    unsafe extern "C" {
        /// Of mimalloc, which the crate of that name brings along but does not declare: gives back what is free, of all
        /// threads where `force` says so.
        fn mi_collect(force: bool);
    }
    // SAFETY: the declaration is that of mimalloc.h; the function takes no address, and any thread may call it at any time.
    unsafe { mi_collect(true) };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The files of a kernel that says this.
    fn kernel(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    fn bytes(files: &[(&str, &str)]) -> Option<u64> {
        room_under(kernel(files).path()).map(|(room, _)| room)
    }

    const MACHINE: (&str, &str) = ("proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:    8000 kB\nSwapFree:  1000 kB\n");

    #[test]
    fn the_machine_has_what_is_available_and_swap() {
        assert_eq!(bytes(&[MACHINE]), Some(9000 << 10));
        assert_eq!(bytes(&[]), None);
        assert_eq!(bytes(&[("proc/meminfo", "nonsense")]), None);
    }

    #[test]
    fn control_groups_of_version_2_count_up_to_the_topmost() {
        let group = ("proc/self/cgroup", "0::/batch/job\n");
        let inner = [
            ("sys/fs/cgroup/batch/job/memory.max", "max\n"),
            ("sys/fs/cgroup/batch/job/memory.current", "700000\n"),
            ("sys/fs/cgroup/batch/memory.max", "1000000\n"),
            ("sys/fs/cgroup/batch/memory.current", "800000\n"),
            ("sys/fs/cgroup/batch/memory.stat", "anon 600000\ninactive_file 100000\nactive_file 5\n"),
        ];
        assert_eq!(bytes(&[&[MACHINE, group], &inner[..]].concat()), Some(300_000));
        // More than its limit is nothing, not less.
        let full = ("sys/fs/cgroup/batch/memory.current", "1200000\n");
        assert_eq!(bytes(&[MACHINE, group, inner[2], full]), Some(0));
    }

    #[test]
    fn control_groups_of_version_1_and_of_containers() {
        let group = ("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/docker/0123\n1:name=systemd:/\n");
        let mount = [
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "5000\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "4000\n"),
            ("sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 500\n"),
        ];
        assert_eq!(bytes(&[&[MACHINE, group], &mount[..]].concat()), Some(1500));
        // No limit is written as a number beyond all memory.
        let none = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(bytes(&[MACHINE, group, none, mount[1]]), Some(9000 << 10));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_machine_tells() {
        assert!(room().is_some_and(|(room, _)| room > 0));
    }
}
