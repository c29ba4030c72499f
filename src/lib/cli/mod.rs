//! What all tools share: arguments, logging, progress, shards, output files, parallel work, exit status.
//!
//! A tool is a clap parser that flattens [`InputArgs`], [`OutputArgs`], [`CommonArgs`] and perhaps [`ModelArgs`],
//! implements [`Tool`], and hands its work to [`run`]:
//!
//! ```no_run
//! use rnaret::cli::{self, CommonArgs, Files, InputArgs, OutputArgs, Tool};
//! use rnaret::sequence::Accept;
//! use std::process::ExitCode;
//!
//! /// Counts the nucleotides of each record.
//! #[derive(clap::Parser)]
//! #[command(name = "rna-count", version)]
//! struct Arguments {
//!     #[command(flatten)]
//!     input: InputArgs,
//!     #[command(flatten)]
//!     output: OutputArgs,
//!     #[command(flatten)]
//!     common: CommonArgs,
//! }
//!
//! impl Tool for Arguments {
//!     fn common(&self) -> &CommonArgs {
//!         &self.common
//!     }
//!
//!     fn declare(&self, files: &mut Files) {
//!         self.input.declare(files);
//!         self.output.declare(files);
//!     }
//! }
//!
//! fn main() -> ExitCode {
//!     cli::run(|arguments: Arguments| {
//!         let mut output = arguments.output.create(&arguments.input.inputs)?;
//!         let records = arguments.input.open(Accept::Any, &arguments.common)?;
//!         if arguments.input.writes_header() {
//!             output.put(b"id\tlength\n")?;
//!         }
//!         cli::ordered_map(
//!             arguments.common.threads(),
//!             cli::batches(records, 16_384),
//!             |batch| Ok(batch.iter().map(|record| format!("{}\t{}\n", record.id, record.len())).collect::<String>()),
//!             |rows| output.put(rows.as_bytes()),
//!         )?;
//!         output.finish()
//!     })
//! }
//! ```

mod allocator;
mod arguments;
mod atomic_file;
mod files;
mod logging;
mod manual;
mod memory;
pub mod numbers;
mod output;
mod parallel;
mod pictures;
mod progress;
mod run;
mod shard;
mod signals;
mod statistics;
mod target;

pub use crate::model::device::{DeviceArgs, DeviceChoice, Precision};
pub use allocator::Allocator;
pub use arguments::{CommonArgs, DescriptionArgs, InputArgs, ModelArgs, OutputArgs, default_threads};
pub use atomic_file::AtomicFile;
pub use files::{Files, also_reads};
pub use memory::{in_memory, rows_in_memory, set_aside_or_fail};
pub use output::Output;
pub use parallel::{Batches, batches, ordered_map, prefetch};
pub use pictures::PictureFolder;
pub use progress::count_windows;
pub use run::{Tool, keep_tensors_on_their_thread, run, run_with};
pub use shard::ShardChoice;
pub use signals::Termination;
pub use statistics::{note_device, note_model, note_run, tally};
