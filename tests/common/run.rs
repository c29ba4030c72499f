//! One run of a tool.

use super::tools::{Format, Tool};
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
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
    input_from: Option<Stdio>,
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
        Self::bare_with_default_signals(tool).args(format.arguments).args(["-t", "1"])
    }

    /// As [`Run::with_default_signals`], without arguments.
    pub fn bare_with_default_signals(tool: &Tool) -> Self {
        // Of GNU coreutils. A shell cannot do this: what it was started to ignore stays ignored.
        let mut command = Command::new("env");
        command.arg("--default-signal=HUP,INT,TERM").arg(binaries().join(tool.name));
        Self::by(command, tool)
    }

    fn by(mut command: Command, tool: &Tool) -> Self {
        command.current_dir(PACKAGE).stdout(Stdio::piped()).stderr(Stdio::piped());
        // No array job or batch system around the tests may change what they see.
        for (name, _) in std::env::vars().filter(|(name, _)| {
            ["SLURM_", "SGE_", "PBS_", "LSB_", "RNARET_"].iter().any(|prefix| name.starts_with(prefix))
        }) {
            command.env_remove(name);
        }
        Self { what: tool.name.to_owned(), command, input: Vec::new(), input_from: None }
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

    /// Where standard input comes from.
    pub fn stdin_from(mut self, input: impl Into<Stdio>) -> Self {
        self.input_from = Some(input.into());
        self
    }

    /// With a file as descriptor 3, as a shell's `3>FILE` gives it.
    pub fn with_descriptor_3(self, file: File) -> Self {
        // A shell hands it on: what Rust opens does not outlive the start of a program.
        let mut command = Command::new("bash");
        command.args(["-c", "exec \"$@\" 3>&0 0</dev/null", "bash"]);
        command.arg(self.command.get_program()).args(self.command.get_args());
        command.current_dir(PACKAGE).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command, input_from: Some(file.into()), ..self }
    }

    /// As another user, where root asks for one.
    pub fn by_user(mut self, user: Option<u32>) -> Self {
        if let Some(user) = user {
            self.command.uid(user).gid(user);
        }
        self
    }

    /// Where standard output goes, instead of being collected.
    pub fn stdout(mut self, output: impl Into<Stdio>) -> Self {
        self.command.stdout(output);
        self
    }

    /// Starts the tool with its standard input open.
    pub fn spawn(mut self) -> std::process::Child {
        let input = self.input_from.unwrap_or_else(Stdio::piped);
        self.command.stdin(input).spawn().unwrap_or_else(|error| panic!("{}: {error}", self.what))
    }

    pub fn done(self) -> Done {
        let (what, input) = (self.what.clone(), self.input.clone());
        let mut child = self.spawn();
        let stdin = child.stdin.take();
        let feeder = std::thread::spawn(move || {
            // A tool that stops at an error does not read the rest.
            let _ = stdin.map(|mut stdin| stdin.write_all(&input));
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
