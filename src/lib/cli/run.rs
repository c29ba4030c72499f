//! From the command line to the exit status.

use super::signals::{self, Termination};
use super::{CommonArgs, logging, progress};
use crate::{Error, Result};
use clap::{Arg, ArgAction, Command, Parser, value_parser};
use clap_complete::Shell;
use std::io::{self, Write};
use std::process::ExitCode;

/// The arguments of a tool.
pub trait Tool: Parser {
    /// The arguments that every tool takes.
    fn common(&self) -> &CommonArgs;
}

/// Runs a tool: reads its arguments, does `work`, and says what came of it.
///
/// Exit status 0: done (also where the reader of the output went away); 1: failed, with one line on standard error;
/// 2: wrong usage.
pub fn run<T: Tool>(work: impl FnOnce(T) -> Result<()>) -> ExitCode {
    run_with(Termination::RemoveOutput, work)
}

/// As [`run`], for a tool that says what becomes of it when it is told to end.
pub fn run_with<T: Tool>(termination: Termination, work: impl FnOnce(T) -> Result<()>) -> ExitCode {
    let command = with_generators(T::command());
    let tool = command.get_name().to_owned();
    let parsed = command.clone().try_get_matches().and_then(|matches| {
        let generated = generate(&command, &matches);
        match generated {
            Some(text) => Ok(Err(text)),
            None => T::from_arg_matches(&matches).map(Ok),
        }
    });
    let arguments = match parsed {
        Ok(Ok(arguments)) => arguments,
        Ok(Err(text)) => {
            let written = io::stdout().write_all(&text).and_then(|()| io::stdout().flush());
            return finish(&tool, written.map_err(|error| Error::write("standard output", error)));
        }
        Err(error) => {
            // Help and version go to standard output, mistakes to standard error; a closed pipe is no reason to fail.
            let _ = error.print();
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    logging::start(&tool, arguments.common().log_level());
    if termination == Termination::RemoveOutput {
        signals::watch();
    }
    let outcome = work(arguments);
    progress::clear();
    finish(&tool, outcome)
}

fn finish(tool: &str, outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_closed_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            logging::write_line(tool, "error: ", &error.to_string());
            ExitCode::from(if matches!(error, Error::Usage(_)) { 2 } else { 1 })
        }
    }
}

/// Adds the hidden options that packagers call.
fn with_generators(command: Command) -> Command {
    let completions = Arg::new("completions")
        .long("completions")
        .value_name("SHELL")
        .help("Print a completion script")
        .value_parser(value_parser!(Shell))
        .exclusive(true)
        .hide(true);
    let man =
        Arg::new("man").long("man").help("Print the man page").action(ArgAction::SetTrue).exclusive(true).hide(true);
    command.arg(completions).arg(man)
}

/// The completion script or man page, where one is asked for.
fn generate(command: &Command, matches: &clap::ArgMatches) -> Option<Vec<u8>> {
    let mut command = command.clone();
    let mut text = Vec::new();
    if let Some(shell) = matches.get_one::<Shell>("completions") {
        let name = command.get_name().to_owned();
        clap_complete::generate(*shell, &mut command, name, &mut text);
        return Some(text);
    }
    if matches.get_flag("man") {
        // Writing to memory does not fail.
        let _ = clap_mangen::Man::new(command).render(&mut text);
        return Some(text);
    }
    None
}
