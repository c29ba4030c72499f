//! What a path leads to: an open descriptor of this process, or a file behind its symbolic links.
//!
//! Two spellings of a path mean one file where device and inode agree; of a file that is not there yet, where the folder
//! and the name do. The kind of a file is what the system says it is, never what its path looks like.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::{FromRawFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Links followed before they are taken for a circle, as Linux does.
const MOST_LINKS: usize = 40;

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A descriptor that this process was started with, as `/dev/stdout` or `/dev/fd/3` name it.
    Descriptor(RawFd),
    /// A file, which need not be there: a dangling link leads to what it names.
    File(PathBuf),
}

impl Target {
    /// Standard input.
    pub(super) const STDIN: Self = Self::Descriptor(0);
    /// Standard output.
    pub(super) const STDOUT: Self = Self::Descriptor(1);

    /// What an input's path leads to; `-` is standard input.
    pub(super) fn of_input(path: &Path) -> Self {
        if path == Path::new("-") { Self::STDIN } else { Self::of(path) }
    }

    /// What an output's path leads to; `-` is standard output.
    pub(super) fn of_output(path: &Path) -> Self {
        if path == Path::new("-") { Self::STDOUT } else { Self::of(path) }
    }

    fn of(path: &Path) -> Self {
        let mut path = path.to_owned();
        for _ in 0..MOST_LINKS {
            if let Some(number) = descriptor(&path) {
                return Self::Descriptor(number);
            }
            let Ok(next) = fs::read_link(&path) else { break };
            path = path.parent().unwrap_or(Path::new("")).join(next);
        }
        Self::File(path)
    }

    /// What the system says of it.
    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        match self {
            Self::Descriptor(number) => duplicate(*number)?.metadata(),
            Self::File(path) => fs::metadata(path),
        }
    }

    /// What makes it the same as another.
    pub(super) fn identity(&self) -> Identity {
        if let Ok(data) = self.metadata() {
            return Identity::File { device: data.dev(), inode: data.ino() };
        }
        match self {
            Self::Descriptor(number) => Identity::Closed(*number),
            Self::File(path) => {
                let folder = fs::metadata(folder(path)).map(|data| (data.dev(), data.ino()));
                match (folder, path.file_name()) {
                    (Ok(folder), Some(name)) => Identity::ToBeMade { folder, name: name.to_owned() },
                    _ => Identity::Nowhere(path.clone()),
                }
            }
        }
    }
}

/// What makes two paths one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Identity {
    /// A file that is there.
    File { device: u64, inode: u64 },
    /// A file that is not: device and inode of its folder, and its name.
    ToBeMade { folder: (u64, u64), name: OsString },
    /// A descriptor that is not open.
    Closed(RawFd),
    /// A path to a folder that is not there.
    Nowhere(PathBuf),
}

/// Whether this is one of the devices that keep nothing, so that it does not matter how often they are written to.
pub(super) fn keeps_nothing(data: &Metadata) -> bool {
    let same = |name: &&str| fs::metadata(name).is_ok_and(|device| device.rdev() == data.rdev());
    data.file_type().is_char_device() && ["/dev/null", "/dev/zero", "/dev/full"].iter().any(same)
}

/// The folder of a file.
pub(super) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A descriptor of our own for what `number` is open on: it goes on where that one stands, and appends where that one
/// does, which opening `/dev/fd/N` anew would not.
pub(super) fn duplicate(number: RawFd) -> io::Result<File> {
    // SAFETY: the call takes numbers alone and touches no memory of ours; one that is no open descriptor is an error.
    let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the system has just made this descriptor for us: it is open, and nothing else owns it.
    Ok(unsafe { File::from_raw_fd(copy) })
}

/// The number of the descriptor of this process that a path without links names: in `/dev/fd` or `/proc/self/fd`.
fn descriptor(path: &Path) -> Option<RawFd> {
    let number: RawFd = path.file_name()?.to_str()?.parse().ok().filter(|number| *number >= 0)?;
    let folder = folder(path);
    if folder == Path::new("/dev/fd") {
        return Some(number);
    }
    let folder = fs::canonicalize(folder).ok()?;
    let rest = folder.strip_prefix(format!("/proc/{}", std::process::id())).ok()?;
    // Threads share their descriptors.
    let parts: Vec<_> = rest.iter().map(|part| part.to_string_lossy()).collect();
    let parts: Vec<&str> = parts.iter().map(|part| part.as_ref()).collect();
    matches!(parts[..], ["fd"] | ["task", _, "fd"]).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn identity(path: &Path) -> Identity {
        Target::of_output(path).identity()
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn names_of_descriptors() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        symlink("/dev/fd/7", &link).unwrap();
        let own = format!("/proc/{}/fd/2", std::process::id());
        for (path, number) in [
            ("/dev/stdout", 1),
            ("/dev/stderr", 2),
            ("/dev/fd/17", 17),
            ("/dev/../dev/fd/3", 3),
            ("/proc/self/fd/1", 1),
            ("/proc/thread-self/fd/4", 4),
            (own.as_str(), 2),
            (link.to_str().unwrap(), 7),
        ] {
            assert_eq!(Target::of_output(Path::new(path)), Target::Descriptor(number), "{path}");
        }
        assert_eq!(Target::of_output(Path::new("-")), Target::STDOUT);
        assert_eq!(Target::of_input(Path::new("-")), Target::STDIN);
        for path in ["/dev/null", "/dev/shm/1", "1", "/proc/1/fd/1", "/dev/fd/x"] {
            assert_eq!(Target::of_output(Path::new(path)), Target::File(path.into()), "{path}");
        }
    }

    #[test]
    fn spellings_of_one_file_are_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("real")).unwrap();
        symlink("real", at("linked")).unwrap();
        symlink("real/file", at("dangling")).unwrap();
        symlink("dangling", at("twice")).unwrap();
        let spellings = ["real/file", "./real/file", "linked/file", "linked/../real/file", "dangling", "twice"];
        for made in [false, true] {
            if made {
                fs::write(at("real/file"), "").unwrap();
                fs::hard_link(at("real/file"), at("hard")).unwrap();
                assert_eq!(identity(&at("hard")), identity(&at("real/file")));
            }
            for spelling in spellings {
                assert_eq!(identity(&at(spelling)), identity(&at("real/file")), "{spelling}, made: {made}");
            }
            assert_ne!(identity(&at("real/other")), identity(&at("real/file")));
            assert_ne!(identity(&at("file")), identity(&at("real/file")));
        }
    }

    #[test]
    fn a_circle_of_links_leads_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        symlink(&one, &two).unwrap();
        symlink(&two, &one).unwrap();
        assert!(Target::of_output(&one).metadata().is_err());
    }

    #[test]
    fn devices_that_keep_nothing() {
        let is = |path: &str| keeps_nothing(&fs::metadata(path).unwrap());
        assert!(is("/dev/null") && is("/dev/full") && is("/dev/zero"));
        assert!(!is("/dev/urandom") && !is("/") && !is("Cargo.toml"));
    }
}
