//! The arguments that the tools have in common, as groups to flatten.

use super::output::{Output, is_standard_output, refuse_same_file};
use super::shard::ShardChoice;
use super::{logging, progress, statistics};
use crate::sequence::{Accept, InputFile, OnError, ReaderOptions, RecordReader, Shard};
use crate::{Error, Result};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

/// Where records come from.
#[derive(Clone, Debug, clap::Args)]
pub struct InputArgs {
    /// Input files; `-` or none is standard input. Plain or compressed with gzip, bgzip, bzip2, xz or zstd: told by
    /// content
    #[arg(value_name = "INPUT")]
    pub inputs: Vec<PathBuf>,

    /// What becomes of a record that cannot be read: `fail` ends the run, `skip` names it on standard error and goes on
    #[arg(long, value_name = "WHAT", default_value = "fail")]
    pub on_error: OnError,

    /// Work on part I of N (from 1). The outputs of all parts, joined in order, equal that of the whole; only the first
    /// has a header row. `auto` takes both from the array job: SLURM, SGE, LSF, or PBS, which needs PBS_ARRAY_COUNT set to
    /// N besides
    #[arg(long, value_name = "I/N|auto")]
    pub shard: Option<ShardChoice>,
}

impl InputArgs {
    /// The inputs; standard input where none is given.
    pub fn files(&self) -> Vec<InputFile> {
        if self.inputs.is_empty() {
            return vec![InputFile::Stdin];
        }
        self.inputs.iter().map(|path| InputFile::from(path.as_path())).collect()
    }

    /// The part of the input to work on; `None` for all of it.
    pub fn shard(&self) -> Option<Shard> {
        self.shard.map(|choice| choice.0)
    }

    /// Whether this run writes the header row: all but the later shards.
    pub fn writes_header(&self) -> bool {
        self.shard().is_none_or(|shard| shard.is_first())
    }

    /// Opens the inputs, with a progress bar where one is wanted.
    pub fn open(&self, accept: Accept, common: &CommonArgs) -> Result<RecordReader> {
        self.open_with(ReaderOptions { accept, ..self.reader_options() }, common)
    }

    /// As [`InputArgs::open`], where ids key the output: a second record of the same id is an error.
    pub fn open_unique(&self, accept: Accept, common: &CommonArgs) -> Result<RecordReader> {
        self.open_with(ReaderOptions { accept, unique_ids: true, ..self.reader_options() }, common)
    }

    /// How to read, as the arguments say.
    pub fn reader_options(&self) -> ReaderOptions {
        statistics::note_shard(self.shard());
        ReaderOptions {
            on_error: self.on_error,
            shard: self.shard(),
            tally: statistics::tally(),
            ..ReaderOptions::default()
        }
    }

    /// Creates another output of the run where the user names one; it must not be one of the inputs.
    pub fn create_other_output(&self, path: Option<&Path>) -> Result<Option<Output>> {
        let Some(path) = path else { return Ok(None) };
        refuse_same_file(path, &self.inputs)?;
        Output::create(Some(path)).map(Some)
    }

    fn open_with(&self, options: ReaderOptions, common: &CommonArgs) -> Result<RecordReader> {
        let files = self.files();
        let mut reader = RecordReader::open(&files, options)?;
        if self.inputs.is_empty() && io::stdin().is_terminal() {
            log::info!("reading standard input; Ctrl-D ends it, --help tells more");
        }
        if !common.quiet {
            progress::show(&mut reader, &files);
        }
        Ok(reader)
    }
}

/// Where the result goes.
#[derive(Clone, Debug, clap::Args)]
pub struct OutputArgs {
    /// Output file instead of standard output; compressed (bgzip) where the name ends in .gz. It appears when the run is
    /// complete
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

impl OutputArgs {
    /// The file to write; `None` for standard output, under whatever name.
    pub fn file(&self) -> Option<&Path> {
        self.output.as_deref().filter(|path| !is_standard_output(path))
    }

    /// Creates the output, which must not be one of the inputs.
    pub fn create(&self, input: &InputArgs) -> Result<Output> {
        self.create_beside(&input.inputs)
    }

    /// As [`OutputArgs::create`], with the paths of everything that the run reads.
    pub fn create_beside<P: AsRef<Path>>(&self, inputs: &[P]) -> Result<Output> {
        if let Some(path) = &self.output {
            refuse_same_file(path, inputs)?;
        }
        let first = inputs.first().map(AsRef::as_ref).filter(|path| *path != Path::new("-"));
        if let Some(path) = self.file().or(first) {
            statistics::note_run(path);
        }
        Output::create(self.output.as_deref())
    }
}

/// What every tool takes; where there are subcommands, before or after their names.
#[derive(Clone, Debug, clap::Args)]
pub struct CommonArgs {
    /// Threads; by default as many as the process may use (affinity, cgroup, SLURM_CPUS_PER_TASK)
    #[arg(short, long, global = true, value_name = "N", value_parser = parse_count)]
    pub threads: Option<usize>,

    /// Neither notes nor warnings nor a progress bar
    #[arg(short, long, global = true)]
    pub quiet: bool,

    /// More notes on standard error; twice for even more
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,

    /// Add a row about this run to a TSV, which is made where it is missing: records, nucleotides, rejected records,
    /// seconds, peak memory, device, model checksum, exit status and more. Many runs may share the file
    #[arg(long, global = true, value_name = "FILE")]
    pub stats: Option<PathBuf>,
}

impl CommonArgs {
    /// The number of threads to use, at least 1.
    pub fn threads(&self) -> usize {
        self.threads.unwrap_or_else(default_threads)
    }

    /// A pool of as many threads as the user allows, for everything that is computed in parallel.
    ///
    /// # Errors
    /// Where the threads cannot be started.
    pub fn thread_pool(&self) -> Result<rayon::ThreadPool> {
        rayon::ThreadPoolBuilder::new().num_threads(self.threads()).build().map_err(|error| {
            Error::Usage(format!("cannot start {} threads ({error}); use fewer with --threads", self.threads()))
        })
    }

    pub(super) fn log_level(&self) -> log::LevelFilter {
        logging::level(self.quiet, self.verbose)
    }
}

/// Which model to run, and where.
#[derive(Clone, Debug, clap::Args)]
pub struct ModelArgs {
    /// Weights: a safetensors file of rnaret-train, a published .pth, or the name of a built-in model (pretrain,
    /// pretrain-k5, fold, coding, mirtarget); by default the built-in model for the task
    #[arg(long, value_name = "PATH")]
    pub model: Option<PathBuf>,

    /// Where to compute, and how precisely.
    #[command(flatten)]
    pub device: DeviceArgs,

    /// Nucleotides computed at once: only speed and memory depend on it. Where memory runs out, halves are computed one
    /// after the other
    #[arg(long, value_name = "N", default_value = "16384", value_parser = parse_count)]
    pub batch_tokens: usize,
}

/// Where to compute, and how precisely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Args)]
pub struct DeviceArgs {
    /// Where to compute: `auto` takes a GPU if there is one; `cuda` never falls back
    #[arg(long, value_name = "auto|cpu|cuda[:N]", default_value = "auto")]
    pub device: DeviceChoice,

    /// Bits of the numbers: f32, or on a GPU bf16, which is faster and keeps about two significant digits. By default f32;
    /// training on a GPU takes bf16 with f32 weights
    #[arg(long, value_enum)]
    pub precision: Option<Precision>,
}

impl DeviceArgs {
    /// The CPU in f32, as tests and benchmarks use it.
    pub const CPU: Self = Self { device: DeviceChoice::Cpu, precision: None };
}

/// The type of the numbers that a model computes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Precision {
    /// 32 bits
    F32,
    /// 16 bits with the range of 32 (bfloat16); sums are in 32
    Bf16,
}

/// A device as the user names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A GPU if there is one, otherwise the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// The CUDA device of this number, or an error.
    Cuda(usize),
}

impl std::str::FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "auto" => Ok(DeviceChoice::Auto),
            "cpu" => Ok(DeviceChoice::Cpu),
            "cuda" => Ok(DeviceChoice::Cuda(0)),
            _ => {
                let number = text.strip_prefix("cuda:").and_then(|number| number.parse().ok());
                number.map(DeviceChoice::Cuda).ok_or_else(|| "use auto, cpu, cuda or cuda:N".to_owned())
            }
        }
    }
}

impl std::fmt::Display for DeviceChoice {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DeviceChoice::Auto => write!(out, "auto"),
            DeviceChoice::Cpu => write!(out, "cpu"),
            DeviceChoice::Cuda(number) => write!(out, "cuda:{number}"),
        }
    }
}

/// A number of at least 1.
fn parse_count(text: &str) -> std::result::Result<usize, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| "give a whole number of at least 1".to_owned())
}

/// The threads that this process may use: the CPUs of its affinity mask and cgroup quota, and no more than the batch
/// system granted the task.
pub fn default_threads() -> usize {
    // The standard library looks at the affinity mask and at the quotas of both versions of cgroup.
    let available = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let granted = std::env::var("SLURM_CPUS_PER_TASK").ok();
    granted_threads(available, granted.as_deref())
}

fn granted_threads(available: usize, granted: Option<&str>) -> usize {
    let granted = granted.and_then(|count| count.trim().parse().ok()).filter(|count| *count > 0);
    granted.map_or(available, |count: usize| available.min(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named_as_in_the_help() {
        for (text, device) in [
            ("auto", DeviceChoice::Auto),
            ("cpu", DeviceChoice::Cpu),
            ("cuda", DeviceChoice::Cuda(0)),
            ("cuda:3", DeviceChoice::Cuda(3)),
        ] {
            assert_eq!(text.parse(), Ok(device));
            assert_eq!(device.to_string().parse(), Ok(device));
        }
        for text in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "CPU"] {
            assert!(text.parse::<DeviceChoice>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_batch_system_lowers_the_threads_but_never_raises_them() {
        assert_eq!(granted_threads(8, None), 8);
        assert_eq!(granted_threads(8, Some("2")), 2);
        assert_eq!(granted_threads(2, Some("64")), 2);
        assert_eq!(granted_threads(8, Some("")), 8);
        assert_eq!(granted_threads(8, Some("0")), 8);
        assert_eq!(granted_threads(8, Some("many")), 8);
    }
}
