//! One run of a tool.

use super::tools::{Format, Tool};
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The folder of the package, where tools run: `testdata` is in it.
pub const PACKAGE: &str = env!("CARGO_MANIFEST_DIR");

/// The folder of the binaries.
pub fn binaries() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_rna-kmerize")).parent().unwrap().to_owned()
}

/// A run to be made.
pub struct Run {
    what: String,
    command: Command,
    input: Vec<u8>,
}

/// What came of a run.
pub struct Done {
    what: String,
    pub output: Output,
}

impl Run {
    /// A tool with the arguments of a format, one thread, no input.
    pub fn new(tool: &Tool, format: &Format) -> Self {
        Self::bare(tool).args(format.arguments).args(["-t", "1"])
    }

    /// A tool without arguments.
    pub fn bare(tool: &Tool) -> Self {
        Self::by(Command::new(binaries().join(tool.name)), tool)
    }

    /// As [`Run::new`], with the signals that end a process neither ignored nor blocked: nohup and a shell's `&` start
    /// the tests, and whatever these start, to ignore some.
    pub fn with_default_signals(tool: &Tool, format: &Format) -> Self {
        // Of GNU coreutils. A shell cannot do this: what it was started to ignore stays ignored.
        let mut command = Command::new("env");
        command.arg("--default-signal=HUP,INT,TERM").arg(binaries().join(tool.name));
        Self::by(command, tool).args(format.arguments).args(["-t", "1"])
    }

    fn by(mut command: Command, tool: &Tool) -> Self {
        command.current_dir(PACKAGE).stdout(Stdio::piped()).stderr(Stdio::piped());
        // No array job or batch system around the tests may change what they see.
        for (name, _) in std::env::vars()
            .filter(|(name, _)| ["SLURM_", "SGE_", "PBS_", "LSB_"].iter().any(|prefix| name.starts_with(prefix)))
        {
            command.env_remove(name);
        }
        Self { what: tool.name.to_owned(), command, input: Vec::new() }
    }

    pub fn args<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        for argument in arguments {
            let argument = argument.into();
            self.what.push_str(&format!(" {}", argument.to_string_lossy()));
            self.command.arg(argument);
        }
        self
    }

    pub fn arg(self, argument: impl Into<OsString>) -> Self {
        self.args([argument.into()])
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// What comes by standard input.
    pub fn stdin(mut self, input: &[u8]) -> Self {
        self.input = input.to_vec();
        self
    }

    /// Where standard output goes, instead of being collected.
    pub fn stdout(mut self, output: impl Into<Stdio>) -> Self {
        self.command.stdout(output);
        self
    }

    /// Starts the tool with its standard input open.
    pub fn spawn(mut self) -> std::process::Child {
        self.command.stdin(Stdio::piped()).spawn().unwrap_or_else(|error| panic!("{}: {error}", self.what))
    }

    pub fn done(self) -> Done {
        let (what, input) = (self.what.clone(), self.input.clone());
        let mut child = self.spawn();
        let mut stdin = child.stdin.take().unwrap();
        let feeder = std::thread::spawn(move || {
            // A tool that stops at an error does not read the rest.
            let _ = stdin.write_all(&input);
        });
        let output = child.wait_with_output().unwrap();
        feeder.join().unwrap();
        Done { what, output }
    }

    /// Runs, expects success and returns what was written.
    pub fn ok(self) -> Vec<u8> {
        let done = self.done();
        done.expect_status(0);
        done.output.stdout
    }

    /// Runs, expects this exit status and one line of error that holds all of `expected`; returns what was written.
    pub fn fails(self, status: i32, expected: &[&str]) -> Vec<u8> {
        let done = self.done();
        done.expect_status(status);
        let errors = done.stderr();
        for text in expected {
            assert!(errors.contains(text), "{}: '{text}' is not in: {errors}", done.what);
        }
        assert!(!errors.contains("panicked"), "{}: {errors}", done.what);
        done.output.stdout
    }
}

impl Done {
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    pub fn expect_status(&self, status: i32) {
        assert_eq!(self.output.status.code(), Some(status), "{}: {}", self.what, self.stderr());
    }
}
