//! From the command line to the exit status.

use super::files::{self, Files};
use super::signals::{self, Termination};
use super::{CommonArgs, allocator, logging, manual, progress, statistics};
use crate::model::cards;
use crate::{Error, Result};
use clap::{Arg, Command, Parser};
use std::io::{self, Write};
use std::process::ExitCode;

/// The arguments of a tool.
pub trait Tool: Parser {
    /// The arguments that every tool takes.
    fn common(&self) -> &CommonArgs;

    /// Declares every file that the run reads or writes, but for that of `--stats`: an output that is an input or another
    /// output is refused before anything is done.
    fn declare(&self, files: &mut Files);

    /// What becomes of the run when it is told to end.
    fn termination(&self) -> Termination {
        Termination::RemoveOutput
    }
}

/// Runs a tool: reads its arguments, does `work`, and says what came of it.
///
/// Exit status 0: done (also where the reader of the output went away); 1: failed, with one line on standard error;
/// 2: wrong usage.
pub fn run<T: Tool>(work: impl FnOnce(T) -> Result<()>) -> ExitCode {
    run_with(|arguments| work(arguments).map(|()| 0))
}

/// As [`run`], for a tool that says what its exit status is where nothing failed.
pub fn run_with<T: Tool>(work: impl FnOnce(T) -> Result<u8>) -> ExitCode {
    keep_tensors_on_their_thread();
    let command = T::command();
    let tool = command.get_name().to_owned();
    allocator::name_tool(&tool);
    if let Some(outcome) = manual::asked_for(&command) {
        return match outcome {
            Ok(text) => {
                let written = io::stdout().write_all(&text).and_then(|()| io::stdout().flush());
                ExitCode::from(report(
                    &tool,
                    written.map(|()| 0).map_err(|error| Error::write("standard output", error)),
                ))
            }
            Err(error) => refuse(&error),
        };
    }
    let arguments = match parse::<T>(command) {
        Ok(arguments) => arguments,
        Err(error) => return refuse(&error),
    };
    logging::start(&tool, arguments.common().log_level());
    let outcome = begin(&tool, &arguments).and_then(|()| work(arguments));
    progress::clear();
    report_model_and_doubts(outcome.is_ok());
    let status = report(&tool, outcome);
    // A row that cannot be written fails a run that was well until then.
    let written = statistics::finish(status).map(|()| status);
    ExitCode::from(if written.is_err() { report(&tool, written).max(status) } else { status })
}

/// The arguments of this process. A negative number is the value of the option before it, which says what it takes, and no
/// option of its own.
fn parse<T: Tool>(command: Command) -> std::result::Result<T, clap::Error> {
    fn take_negative_numbers(command: Command) -> Command {
        let option = |arg: Arg| match !arg.is_positional() && arg.get_action().takes_values() {
            true => arg.allow_negative_numbers(true),
            false => arg,
        };
        command.mut_args(option).mut_subcommands(take_negative_numbers)
    }
    let mut command = take_negative_numbers(manual::with_own_options(command));
    let mut matches = command.try_get_matches_from_mut(std::env::args_os())?;
    T::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

/// What comes before the work: the files are checked, and the row of `--stats` and the ends by signals are seen to.
fn begin<T: Tool>(tool: &str, arguments: &T) -> Result<()> {
    let common = arguments.common();
    statistics::check_name(common.stats.as_deref())?;
    let mut files = Files::default();
    arguments.declare(&mut files);
    let fits = files.check();
    files.writes(&common.stats);
    // A run that is refused has its row too, unless the table is what is wrong.
    let has_row = if common.stats.is_some() { files.check_last() } else { Ok(()) };
    files::keep(files);
    if arguments.termination() == Termination::RemoveOutput {
        signals::watch();
    }
    has_row?;
    statistics::start(tool, common.threads(), common.stats.as_deref())?;
    fits
}

/// Keeps the tensor library from starting threads of its own: its workers spin while they wait, which takes the cores
/// from ours (training ran at a third of its speed). It asks these variables when it first needs to know. To be called
/// before anything else: [`run`] does. Once there are other threads, which might read the environment meanwhile, it does
/// nothing.
pub fn keep_tensors_on_their_thread() {
    if !is_only_thread() {
        return;
    }
    for name in ["CANDLE_NUM_THREADS", "RAYON_NUM_THREADS"] {
        // SAFETY: this is the only thread, so nothing reads or writes the environment meanwhile.
        unsafe { std::env::set_var(name, "1") };
    }
}

/// Whether the process has this thread alone, so far as the system says.
fn is_only_thread() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
}

/// One line about the model that answered, what it was trained on, and how many records lie outside of that.
fn report_model_and_doubts(is_well: bool) {
    let doubts = statistics::tally().doubts_in_words();
    // A run that failed says why, and nothing else.
    let about = statistics::model().filter(|_| is_well).map(|model| match cards::trained_on(&model) {
        Some(data) => format!("{model}, trained on {data} (--model-card tells more)"),
        None => format!("model {model}"),
    });
    match (about, doubts) {
        (None, None) => {}
        (Some(about), None) => log::info!("{about}"),
        (None, Some(doubts)) => log::warn!("{doubts}; -v names each"),
        (Some(about), Some(doubts)) => log::warn!("{doubts}; -v names each. {about}"),
    }
}

/// The exit status, after a line about what failed.
fn report(tool: &str, outcome: Result<u8>) -> u8 {
    match outcome {
        Ok(status) => status,
        Err(error) if error.is_closed_pipe() => 0,
        Err(error) => {
            logging::write_line(tool, "error: ", &error.to_string());
            if matches!(error, Error::Usage(_)) { 2 } else { 1 }
        }
    }
}

/// Help and version go to standard output, mistakes to standard error; a closed pipe is no reason to fail.
fn refuse(error: &clap::Error) -> ExitCode {
    // In colour, but where an argument would command the terminal itself: the name of a file may come from anywhere.
    if std::env::args_os().any(|argument| argument.to_string_lossy().chars().any(char::is_control)) {
        let text = error.render().to_string();
        let lines: Vec<String> = text.lines().map(logging::escape_controls).collect();
        let _ = writeln!(io::stderr(), "{}", lines.join("\n"));
    } else {
        let _ = error.print();
    }
    ExitCode::from(error.exit_code() as u8)
}
