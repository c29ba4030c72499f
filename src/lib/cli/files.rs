//! The registry of everything that a run reads and writes.
//!
//! A tool declares its files before it does anything ([`Tool::declare`](super::Tool::declare)). An output that is also an
//! input, or that is another output, is wrong usage, under whatever names, and is told before the first byte is written:
//! so no run destroys what it was given. Outputs named while the run goes on (a picture for each record) are checked when
//! they are created.

use super::target::{Identity, Target, duplicate, folder, keeps_nothing};
use crate::{Error, Result};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The files of this process: there is one run in it.
static DECLARED: Mutex<Option<Files>> = Mutex::new(None);

/// What a run reads and writes.
#[derive(Default)]
pub struct Files {
    /// The inputs that are there, by what makes them the same, with their names.
    reads: HashMap<Identity, String>,
    /// The folders of these inputs, with their names.
    folders: HashMap<Identity, String>,
    /// Inputs that can be read only once: pipes, and standard input.
    once: HashSet<Identity>,
    /// The name of one of these that was declared twice.
    twice: Option<String>,
    writes: Vec<Written>,
}

/// An output.
struct Written {
    path: PathBuf,
    target: Target,
    kind: Kind,
    /// A descriptor of our own for one that has a name such as `/dev/fd/3`: taken at the start, when no number is in use
    /// but those that the process was started with.
    descriptor: Option<File>,
    /// Whether it is being written, or has been.
    taken: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A file that is declared before the run.
    File,
    /// A folder that gets files of some names.
    Folder,
    /// A folder whose files are all those of the run.
    OwnFolder,
    /// A file named while the run goes on.
    Passing,
}

impl Files {
    /// Declares files that the run reads; `-` is standard input.
    pub fn reads<P: AsRef<Path>>(&mut self, paths: impl IntoIterator<Item = P>) {
        for path in paths {
            let path = path.as_ref();
            let target = Target::of_input(path);
            // What is not there cannot be lost; reading it will say so.
            let Ok(data) = target.metadata() else { continue };
            let (kind, identity) = (data.file_type(), target.identity());
            let name = if target == Target::STDIN { "standard input".to_owned() } else { path.display().to_string() };
            let only_once = target == Target::STDIN || kind.is_fifo() || kind.is_socket();
            if only_once && !self.once.insert(identity.clone()) {
                self.twice.get_or_insert(name.clone());
            }
            if let Target::File(path) = &target {
                self.folders.insert(Target::File(folder(path).to_owned()).identity(), name.clone());
            }
            // A terminal or a socket may be both.
            if kind.is_file() || kind.is_fifo() {
                self.reads.insert(identity, name);
            }
        }
    }

    /// Declares files that the run writes; `-` is standard output.
    pub fn writes<P: AsRef<Path>>(&mut self, paths: impl IntoIterator<Item = P>) {
        self.add(paths, Kind::File);
    }

    /// Declares folders in which the run writes files of names that are known later.
    pub fn writes_into<P: AsRef<Path>>(&mut self, folders: impl IntoIterator<Item = P>) {
        self.add(folders, Kind::Folder);
    }

    /// Declares folders whose files are all written and removed as the run sees fit.
    pub fn owns<P: AsRef<Path>>(&mut self, folders: impl IntoIterator<Item = P>) {
        self.add(folders, Kind::OwnFolder);
    }

    fn add<P: AsRef<Path>>(&mut self, paths: impl IntoIterator<Item = P>, kind: Kind) {
        for path in paths {
            let path = path.as_ref().to_owned();
            let target = Target::of_output(&path);
            let descriptor = match target {
                Target::Descriptor(number) => duplicate(number).ok(),
                Target::File(_) => None,
            };
            self.writes.push(Written { path, target, kind, descriptor, taken: false });
        }
    }

    /// Refuses an output that is an input or another output.
    ///
    /// # Errors
    /// [`Error::Usage`] with their names.
    pub(super) fn check(&self) -> Result<()> {
        if let Some(name) = &self.twice {
            return Err(Error::Usage(match name.as_str() {
                "standard input" => "standard input ('-') can be read only once".into(),
                name => format!("{name} can be read only once, but is named twice"),
            }));
        }
        (0..self.writes.len()).try_for_each(|place| self.check_output(&self.writes[place], &self.writes[..place]))
    }

    /// As [`Files::check`], for the output declared last.
    pub(super) fn check_last(&self) -> Result<()> {
        self.writes.split_last().map_or(Ok(()), |(last, others)| self.check_output(last, others))
    }

    /// As [`Files::check`], for one output, beside these others.
    fn check_output(&self, output: &Written, others: &[Written]) -> Result<()> {
        let identity = output.target.identity();
        let name = output.path.display();
        if let Some(input) = self.reads.get(&identity) {
            let input = if *input == name.to_string() { String::new() } else { format!(" ({input})") };
            return Err(Error::Usage(format!("{name} is an input too{input}: give the output another name")));
        }
        if output.kind == Kind::OwnFolder
            && let Some(input) = self.folders.get(&identity)
        {
            return Err(Error::Usage(format!(
                "{input} is an input too, but all files in {name} are written anew: take it out of there"
            )));
        }
        let keeps_nothing = output.target.metadata().is_ok_and(|data| keeps_nothing(&data));
        for other in others {
            let are_folders = [output, other].iter().all(|one| matches!(one.kind, Kind::Folder | Kind::OwnFolder));
            let is_inside = |one: &Written, other: &Written| match (&one.target, other.kind) {
                (Target::File(path), Kind::OwnFolder) => {
                    Target::File(folder(path).to_owned()).identity() == other.target.identity()
                }
                _ => false,
            };
            let both_standard = output.target == Target::STDOUT && other.target == Target::STDOUT;
            let same = both_standard || !keeps_nothing && identity == other.target.identity() && !are_folders;
            if same || is_inside(output, other) || is_inside(other, output) {
                return Err(two_outputs(output, other));
            }
        }
        Ok(())
    }
}

fn two_outputs(one: &Written, other: &Written) -> Error {
    let (name, also) = (one.path.display(), other.path.display());
    Error::Usage(if one.target == Target::STDOUT && other.target == Target::STDOUT {
        "two outputs go to standard output: name a file for one of them".to_owned()
    } else if one.path == other.path {
        format!("two outputs have the name {name}: give each its own")
    } else {
        format!("two outputs have the name {name}, which is {also} too: give each its own")
    })
}

fn declared() -> MutexGuard<'static, Option<Files>> {
    DECLARED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps what a run has declared, for [`take`].
pub(super) fn keep(files: Files) {
    *declared() = Some(files);
}

/// Declares inputs that are named in an input, as those of a run's settings are, before anything is written.
///
/// # Errors
/// [`Error::Usage`] where one of them is an output.
pub fn also_reads<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<()> {
    let mut declared = declared();
    let files = declared.get_or_insert_default();
    files.reads(paths);
    files.check()
}

/// An output that is being written: the right to do so, until this is dropped. What was declared is written once.
pub(super) struct Taken {
    path: PathBuf,
    /// What its path leads to.
    pub(super) target: Target,
    /// The descriptor to write to, where it is one.
    pub(super) descriptor: Option<File>,
}

/// Takes an output to write it; it must neither be an input nor any other output.
///
/// # Errors
/// [`Error::Usage`] with their names.
pub(super) fn take(path: &Path) -> Result<Taken> {
    let mut declared = declared();
    let files = declared.get_or_insert_default();
    let target = Target::of_output(path);
    if let Some(own) = files.writes.iter_mut().find(|own| own.kind == Kind::File && own.path == path && !own.taken) {
        own.taken = true;
        return Ok(Taken { path: path.to_owned(), target, descriptor: own.descriptor.take() });
    }
    let output = Written { path: path.to_owned(), target, kind: Kind::Passing, descriptor: None, taken: true };
    files.check_output(&output, &files.writes)?;
    let target = output.target.clone();
    let descriptor = match target {
        Target::Descriptor(number) => duplicate(number).ok(),
        Target::File(_) => None,
    };
    files.writes.push(output);
    Ok(Taken { path: path.to_owned(), target, descriptor })
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(files) = &mut *declared() {
            files.writes.retain(|output| output.kind != Kind::Passing || output.path != self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// The message about these inputs and outputs, if there is one.
    fn refusal(declare: impl FnOnce(&mut Files)) -> Option<String> {
        let mut files = Files::default();
        declare(&mut files);
        files.check().err().map(|error| {
            assert!(matches!(error, Error::Usage(_)));
            error.to_string()
        })
    }

    #[test]
    fn an_output_is_no_input_and_no_other_output() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("input"), "").unwrap();
        fs::hard_link(at("input"), at("hard")).unwrap();
        symlink("input", at("soft")).unwrap();
        symlink("new", at("dangling")).unwrap();
        for output in ["input", "hard", "soft", "./input"] {
            let message = refusal(|files| {
                files.reads([at("input")]);
                files.writes([at("fine"), at(output)]);
            });
            assert!(message.unwrap().contains("is an input too"), "{output}");
        }
        for (one, other) in [("new", "new"), ("new", "./new"), ("new", "dangling"), ("soft", "hard")] {
            let message = refusal(|files| files.writes([at(one), at(other)]));
            assert!(message.unwrap().contains("two outputs have the name"), "{one} {other}");
        }
        for name in ["-", "/dev/stdout", "/dev/fd/1"] {
            let message = refusal(|files| files.writes(["-", name]));
            assert!(message.unwrap().contains("two outputs go to standard output"), "{name}");
        }
        let fine = refusal(|files| {
            files.reads([at("input"), at("missing"), at("input")]);
            files.writes([at("new"), at("missing"), at("other")]);
            files.writes(["/dev/null", "/dev/null", "/dev/full", "/dev/full"]);
        });
        assert_eq!(fine, None);
    }

    #[test]
    fn folders_hold_many_files() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("run/checkpoints")).unwrap();
        fs::write(at("run/checkpoints/old"), "").unwrap();
        fs::write(at("run/data"), "").unwrap();
        let run = |input: &str, output: &str| {
            refusal(|files| {
                files.reads([at(input)]);
                files.writes_into([at("run")]);
                files.owns([at("run/checkpoints")]);
                files.writes([at("run/model"), at(output)]);
            })
        };
        assert_eq!(run("run/data", "run/other"), None);
        assert!(run("run/checkpoints/old", "other").unwrap().contains("is an input too"));
        assert!(run("run/data", "run/checkpoints/new").unwrap().contains("two outputs"));
        assert!(run("run/data", "run").unwrap().contains("two outputs"));
        let pictures = |one: &str, other: &str| refusal(|files| files.writes_into([at(one), at(other)]));
        assert_eq!(pictures("pictures", "pictures"), None);
    }

    #[test]
    fn what_can_be_read_once_is_named_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        assert!(refusal(|files| files.reads([&pipe, &pipe])).unwrap().contains("only once"));
        assert!(refusal(|files| files.reads(["-", "-"])).unwrap().contains("only once"));
        assert_eq!(refusal(|files| files.reads(["/dev/null", "/dev/null"])), None);
    }

    #[test]
    fn what_is_named_on_the_way_is_checked_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passing");
        let first = take(&path).unwrap();
        assert!(take(&path).err().unwrap().to_string().contains("two outputs"));
        drop(first);
        assert!(take(&path).is_ok());
    }
}
