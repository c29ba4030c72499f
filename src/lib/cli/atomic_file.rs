//! A file that appears under its name when it is whole.

use super::signals;
use super::target::folder;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use tempfile::TempPath;

/// Bytes of a file's name that its temporary name shows: with what is added, less than any file system allows.
const MOST_BYTES: usize = 60;

/// The mode of a new file, of which the user's mask takes away.
const NEW: u32 = 0o666;

/// A file that is written under a temporary name of its own in the folder where it will be.
///
/// Dropped before [`AtomicFile::finish`] it is removed, also when a signal ends the process; a process that is killed
/// outright leaves a hidden file that stands in nobody's way.
pub struct AtomicFile {
    temporary: Option<TempPath>,
    target: PathBuf,
}

impl AtomicFile {
    /// Begins a file for the path `target`, which is no symbolic link.
    ///
    /// A file that is there keeps its mode, and its owner where that can be; a new one has what the user's mask leaves.
    ///
    /// # Errors
    /// Where the folder is missing or does not take files, and where a file is there that may not be written.
    pub fn create(target: &Path) -> io::Result<(File, Self)> {
        let name = target
            .file_name()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "this is no name of a file"))?;
        if target.as_os_str().as_bytes().ends_with(b"/") {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let earlier = match fs::metadata(target) {
            Ok(data) => {
                // Renaming asks for the folder's leave alone: a file that is read-only would not stand in its way.
                File::options().write(true).open(target)?;
                Some(data)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let prefix = hidden_prefix(name);
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(".tmp").permissions(Permissions::from_mode(NEW));
        let file = signals::begin(|| builder.tempfile_in(folder(target))).map_err(|error| explain(error, target))?;
        let (file, temporary) = file.into_parts();
        let begun = Self { temporary: Some(temporary), target: target.to_owned() };
        if let Some(earlier) = earlier {
            let new = file.metadata()?;
            if (new.uid(), new.gid()) != (earlier.uid(), earlier.gid()) {
                // Only root may give files away; then at least the group stays, if the user is of it.
                let _ = fchown(&file, Some(earlier.uid()), Some(earlier.gid()))
                    .or_else(|_| fchown(&file, None, Some(earlier.gid())));
            }
            file.set_permissions(Permissions::from_mode(earlier.mode() & 0o7777))?;
        }
        Ok((file, begun))
    }

    /// Forces the file to the disk and gives it its name.
    ///
    /// # Errors
    /// Where one of these fails: then nothing has the name that did not have it before, or the name may be lost with the
    /// power.
    pub fn finish(mut self, file: &File) -> io::Result<()> {
        synchronise(file)?;
        if let Some(temporary) = self.temporary.take() {
            let path = temporary.to_path_buf();
            signals::release(&path, || temporary.persist(&self.target)).map_err(|error| error.error)?;
        }
        // The name is on the disk only once its folder is.
        synchronise(&File::open(folder(&self.target))?)
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Some(temporary) = self.temporary.take() {
            let path = temporary.to_path_buf();
            signals::release(&path, || drop(temporary));
        }
    }
}

/// Forces a file or folder to the disk; file systems that know no such thing are not asked again.
fn synchronise(file: &File) -> io::Result<()> {
    match file.sync_all() {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOTSUP | libc::ENOSYS)) => Ok(()),
        done => done,
    }
}

/// What a temporary name begins with: a point, which hides it, and the beginning of the name.
fn hidden_prefix(name: &OsStr) -> OsString {
    let bytes = name.as_bytes();
    let mut end = bytes.len().min(MOST_BYTES);
    // Not within a letter: some file systems take whole ones only.
    while end > 0 && bytes.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) {
        end -= 1;
    }
    OsString::from_vec([b".", &bytes[..end], b"."].concat())
}

/// Says what is wrong with the folder, where it is the folder.
pub(super) fn explain(error: io::Error, target: &Path) -> io::Error {
    let folder = folder(target).display();
    let message = match error.kind() {
        io::ErrorKind::NotFound => format!("the directory {folder} does not exist"),
        io::ErrorKind::PermissionDenied => {
            format!("the directory {folder} may not be written: no file can be made in it")
        }
        _ => return error,
    };
    io::Error::new(error.kind(), message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn names(folder: &Path) -> Vec<OsString> {
        let mut names: Vec<OsString> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_appears_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let (mut file, begun) = AtomicFile::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        assert!(!path.exists() && names(folder.path()).len() == 1);
        begun.finish(&file).unwrap();
        assert_eq!((fs::read(&path).unwrap(), names(folder.path()).len()), (b"new".to_vec(), 1));
        let (_, dropped) = AtomicFile::create(&path).unwrap();
        assert_eq!(names(folder.path()).len(), 2);
        drop(dropped);
        assert_eq!((fs::read(&path).unwrap(), names(folder.path()).len()), (b"new".to_vec(), 1));
    }

    #[test]
    fn a_file_keeps_its_mode_and_a_new_one_has_the_usual() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().mode() & 0o7777;
        fs::write(folder.path().join("plain"), "").unwrap();
        for wanted in [0o600, 0o640, 0o755, 0o622] {
            let path = folder.path().join("file");
            fs::write(&path, "old").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(wanted)).unwrap();
            let (file, begun) = AtomicFile::create(&path).unwrap();
            begun.finish(&file).unwrap();
            assert_eq!((mode("file"), fs::read(&path).unwrap()), (wanted, Vec::new()));
        }
        let (file, begun) = AtomicFile::create(&folder.path().join("new")).unwrap();
        begun.finish(&file).unwrap();
        assert_eq!(mode("new"), mode("plain"));
    }

    #[test]
    fn names_of_any_length_and_bytes() {
        let folder = tempfile::tempdir().unwrap();
        for name in [vec![b'x'; 255], "\u{e9}".repeat(127).into_bytes(), b"bytes \xff\x1b".to_vec(), b"a".to_vec()] {
            let path = folder.path().join(OsString::from_vec(name));
            let (file, begun) = AtomicFile::create(&path).unwrap();
            begun.finish(&file).unwrap();
            assert!(path.exists());
        }
        assert!(AtomicFile::create(&folder.path().join("x".repeat(256))).is_err());
        assert!(AtomicFile::create(Path::new("/")).is_err());
        assert!(AtomicFile::create(&folder.path().join("slash/")).is_err());
        for prefix in [&b"\xc3\xa9"[..], b"x"] {
            let name = OsString::from_vec([prefix, "\u{e9}".repeat(100).as_bytes()].concat());
            assert!(hidden_prefix(&name).into_string().is_ok());
        }
    }

    #[test]
    fn a_missing_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = AtomicFile::create(&folder.path().join("no/such/file")).err().unwrap();
        assert!(error.to_string().contains("no/such does not exist"), "{error}");
    }
}
