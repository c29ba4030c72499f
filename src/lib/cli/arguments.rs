//! The arguments that the tools have in common, as groups to flatten.

use super::files::Files;
use super::numbers::{self, Range};
use super::output::Output;
use super::parallel::no_threads;
use super::shard::ShardChoice;
use super::target::Target;
use super::{logging, progress, statistics};
use crate::Result;
use crate::model::device::DeviceArgs;
use crate::model::{Model, Task, device};
use crate::sequence::{Accept, InputFile, OnError, ReaderOptions, RecordReader, Shard};
use std::io::{self, IsTerminal};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// Where records come from.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Input")]
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
    /// Declares the inputs.
    pub fn declare(&self, files: &mut Files) {
        files.reads(&self.inputs);
        if self.inputs.is_empty() {
            files.reads(["-"]);
        }
    }

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

    /// As [`InputArgs::open`], by options that [`InputArgs::reader_options`] began.
    pub fn open_with(&self, options: ReaderOptions, common: &CommonArgs) -> Result<RecordReader> {
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
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Output file instead of standard output; compressed (bgzip) where the name ends in .gz. It appears when the run is
    /// complete
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

impl OutputArgs {
    /// Declares the output.
    pub fn declare(&self, files: &mut Files) {
        files.writes([self.output.as_deref().unwrap_or(Path::new("-"))]);
    }

    /// The file to write, beside which others may lie; `None` for standard output and other descriptors, under whatever
    /// name, and for devices.
    pub fn file(&self) -> Option<&Path> {
        self.output.as_deref().filter(|path| match Target::of_output(path) {
            Target::Descriptor(_) => false,
            Target::File(path) => !std::fs::metadata(path).is_ok_and(|data| data.file_type().is_char_device()),
        })
    }

    /// Creates the output. The run has its name, or that of its first input.
    ///
    /// # Errors
    /// As [`Output::create`].
    pub fn create<P: AsRef<Path>>(&self, inputs: &[P]) -> Result<Output> {
        let first = inputs.first().map(AsRef::as_ref).filter(|path| *path != Path::new("-"));
        if let Some(path) = self.file().or(first) {
            statistics::note_run(path);
        }
        Output::create(self.output.as_deref())
    }
}

/// What becomes of the rest of a record's header, after its id.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub struct DescriptionArgs {
    /// Keep what stands after the id in a record's header: a last column `description` in tables, and behind the id where
    /// formats have a place for it
    #[arg(long)]
    pub keep_description: bool,
}

/// What every tool takes; where there are subcommands, before or after their names.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "General")]
pub struct CommonArgs {
    /// Threads; by default as many as the process may use (affinity, cgroup, SLURM_CPUS_PER_TASK)
    #[arg(short, long, global = true, env = "RNARET_THREADS", hide_env_values = true, value_name = "N", value_parser = numbers::parser::<usize>(Range::AT_LEAST_1))]
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
        let threads = self.threads();
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(|error| no_threads(threads, &error))
    }

    pub(super) fn log_level(&self) -> log::LevelFilter {
        logging::level(self.quiet, self.verbose)
    }
}

/// Which model to run, and where.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    /// Weights: a safetensors file of rnaret-train, a published .pt or .pth, a folder of another language model
    /// (docs/models.md), or the name of a built-in model (pretrain, pretrain-k5, fold, coding, mirtarget); by default the
    /// built-in model for the task
    #[arg(long, env = "RNARET_MODEL", hide_env_values = true, value_name = "PATH")]
    pub model: Option<PathBuf>,

    /// Where to compute, and how precisely.
    #[command(flatten)]
    pub device: DeviceArgs,

    /// Nucleotides computed at once: only speed and memory depend on it. Where memory runs out, halves are computed one
    /// after the other
    #[arg(long, value_name = "N", default_value = "16384", value_parser = numbers::parser::<usize>(Range::AT_LEAST_1))]
    pub batch_tokens: usize,
}

impl ModelArgs {
    /// Declares the weights. The name of a built-in model is no file, unless there is one of that name.
    pub fn declare(&self, files: &mut Files) {
        files.reads(&self.model);
    }

    /// The model that the arguments ask for, by default the built-in one for `task`; `--stats` says which it was.
    ///
    /// # Errors
    /// Those of [`Model::load`].
    pub fn load(&self, task: Task) -> Result<Model> {
        let model = Model::load(self.model.as_deref(), task, self.device)?;
        note(&model);
        Ok(model)
    }

    /// As [`ModelArgs::load`], where a model of any task will do.
    ///
    /// # Errors
    /// Those of [`Model::load_any`].
    pub fn load_any(&self, task: Task) -> Result<Model> {
        let model = Model::load_any(self.model.as_deref(), task, self.device)?;
        note(&model);
        Ok(model)
    }
}

/// Notes which model runs where.
fn note(model: &Model) {
    statistics::note_model(&model.weights.source, &model.weights.checksum);
    statistics::note_device(device::name(&model.device));
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
    fn the_batch_system_lowers_the_threads_but_never_raises_them() {
        assert_eq!(granted_threads(8, None), 8);
        assert_eq!(granted_threads(8, Some("2")), 2);
        assert_eq!(granted_threads(2, Some("64")), 2);
        assert_eq!(granted_threads(8, Some("")), 8);
        assert_eq!(granted_threads(8, Some("0")), 8);
        assert_eq!(granted_threads(8, Some("many")), 8);
    }
}
