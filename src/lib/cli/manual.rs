//! What a tool prints about itself besides its help: the manual page, completions for shells, and the card of its model.
//!
//! These options stand outside the tool's own definition, whose required arguments they do not need.

use crate::model::cards;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Command, value_parser};
use clap_complete::Shell;
use clap_mangen::Man;
use std::fmt::Write;

/// The tools, with the names of the built-in models that they run; none for those without a model.
const TOOLS: [(&str, Option<&str>); 9] = [
    ("rna-kmerize", None),
    ("rna-mask", None),
    ("rnaret-coding", Some("coding")),
    ("rnaret-embed", Some("pretrain")),
    ("rnaret-fold", Some("fold")),
    ("rnaret-mirtarget", Some("mirtarget")),
    ("rnaret-predict", None),
    ("rnaret-report", None),
    ("rnaret-train", None),
];

const EXIT_STATUS: [(&str, &str); 4] = [
    ("0", "Done, also where the reader of the output went away."),
    ("1", "Failed: one line on standard error says what and where."),
    ("2", "Wrong usage: arguments that cannot be, or not together."),
    ("3", "rnaret-train alone: stopped by a signal, with a checkpoint to go on from."),
];

const ENVIRONMENT: [(&str, &str); 5] = [
    ("RNARET_THREADS", "Threads where --threads is not given."),
    ("RNARET_MODEL", "Weights where --model is not given."),
    ("SLURM_CPUS_PER_TASK", "No more threads than this are used by default."),
    (
        "SLURM_ARRAY_TASK_ID, SGE_TASK_ID, PBS_ARRAY_INDEX, LSB_JOBINDEX",
        "The task of an array job, and what goes with it, for --shard auto; PBS needs PBS_ARRAY_COUNT besides.",
    ),
    ("CUDA_VISIBLE_DEVICES", "The GPUs that --device cuda:N counts."),
];

const FILES: [(&str, &str); 2] = [
    (
        ".NAME.XXXXXX.tmp",
        "An output in the making, in the folder where it will be: it gets its name when it is complete.",
    ),
    ("docs/formats.md", "Every column, coordinate and unit of what goes in and what comes out."),
];

/// The options that this module answers, for the help.
pub(super) fn with_own_options(command: Command) -> Command {
    let has_model = model_of(command.get_name()).is_some();
    own_options(has_model).into_iter().fold(command, Command::arg)
}

fn own_options(has_model: bool) -> Vec<Arg> {
    let option = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).help(help).help_heading("General").exclusive(true)
    };
    let mut options = vec![
        option("man", "Print the manual page, or that of a subcommand").value_name("SUBCOMMAND").num_args(0..=1),
        option("completions", "Print completions for a shell").value_name("SHELL").value_parser(value_parser!(Shell)),
    ];
    if has_model {
        let help =
            "Print the card of the model: its data, figures and limits; with --model NAME, of another built-in one";
        options.push(
            Arg::new("model-card").long("model-card").help(help).help_heading("Model").action(ArgAction::SetTrue),
        );
    }
    options
}

fn model_of(tool: &str) -> Option<&'static str> {
    TOOLS.iter().find(|(name, _)| *name == tool).and_then(|(_, model)| *model)
}

/// What is printed where an argument asks for it, instead of a run.
pub(super) fn asked_for(command: &Command) -> Option<Result<Vec<u8>, clap::Error>> {
    let arguments: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned())
        .take_while(|argument| argument != "--")
        .collect();
    let asks = |option: &str| {
        let is = |argument: &String| {
            argument.strip_prefix(option).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
        };
        arguments.first().is_some_and(is)
    };
    if let Some(model) = model_of(command.get_name())
        && arguments.iter().any(|argument| argument == "--model-card")
    {
        return Some(card(command, &arguments, model));
    }
    if asks("--man") || asks("--completions") {
        return Some(page_or_completions(command));
    }
    None
}

/// The card of the model that the arguments name.
fn card(command: &Command, arguments: &[String], default: &str) -> Result<Vec<u8>, clap::Error> {
    let after = arguments.iter().position(|argument| argument == "--model").and_then(|place| arguments.get(place + 1));
    let joined = arguments.iter().find_map(|argument| argument.strip_prefix("--model=").map(str::to_owned));
    let environment = std::env::var("RNARET_MODEL").ok();
    let name = after.cloned().or(joined).or(environment).unwrap_or_else(|| default.to_owned());
    let missing = || {
        let message =
            format!("{name} is no built-in model, and has no card here: its metadata say how it was trained\n");
        command.clone().error(ErrorKind::InvalidValue, message)
    };
    cards::named(&name).map(|card| card.as_bytes().to_vec()).ok_or_else(missing)
}

/// The manual page or the completions: `--man SUBCOMMAND` gives the page of a subcommand.
fn page_or_completions(command: &Command) -> Result<Vec<u8>, clap::Error> {
    let name = command.get_name().to_owned();
    let parser = own_options(false).into_iter().fold(Command::new("generate").bin_name(&name), Command::arg);
    let matches = parser.try_get_matches()?;
    let mut text = Vec::new();
    if let Some(shell) = matches.get_one::<Shell>("completions") {
        clap_complete::generate(*shell, &mut command.clone(), name, &mut text);
        return Ok(text);
    }
    let mut command = with_own_options(command.clone());
    // Built, so that the options for all subcommands are in their pages too.
    command.build();
    if let Some(wanted) = matches.get_one::<String>("man") {
        let Some(found) = command.find_subcommand(wanted).cloned() else {
            let message = format!("{name} has no subcommand {wanted}\n");
            return Err(command.error(ErrorKind::InvalidSubcommand, message));
        };
        command = found;
    }
    // Writing to memory does not fail.
    let _ = write_page(command, &name, &mut text);
    Ok(text)
}

/// The sections in the order of man-pages(7).
fn write_page(command: Command, tool: &str, page: &mut Vec<u8>) -> std::io::Result<()> {
    let synopsis = synopsis(&command);
    let has_subcommands = command.has_subcommands();
    let has_examples = command.get_after_help().is_some() || command.get_after_long_help().is_some();
    let has_version = command.get_version().is_some() || command.get_long_version().is_some();
    let man = Man::new(command);
    man.render_title(page)?;
    man.render_name_section(page)?;
    page.extend_from_slice(section("SYNOPSIS", &synopsis).as_bytes());
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    if has_subcommands {
        man.render_subcommands_section(page)?;
    }
    for (title, entries) in [("EXIT STATUS", &EXIT_STATUS[..]), ("ENVIRONMENT", &ENVIRONMENT), ("FILES", &FILES)] {
        page.extend_from_slice(section(title, &definitions(entries)).as_bytes());
    }
    if has_examples {
        man.render_extra_section(page)?;
    }
    let others: Vec<String> =
        TOOLS.iter().filter(|(name, _)| *name != tool).map(|(name, _)| bold(name) + "(1)").collect();
    page.extend_from_slice(section("SEE ALSO", &others.join(", ")).as_bytes());
    if has_version {
        man.render_version_section(page)?;
    }
    Ok(())
}

/// How the tool is called, every option with its value.
fn synopsis(command: &Command) -> String {
    let mut text = bold(command.get_bin_name().unwrap_or(command.get_name()));
    let visible = command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str()));
    let (positional, options): (Vec<&Arg>, Vec<&Arg>) = visible.partition(|arg| arg.is_positional());
    for arg in options.into_iter().chain(positional) {
        let values = arg.get_value_names().unwrap_or_default().iter().map(|name| format!("\\fI{}\\fR", escaped(name)));
        let values = values.collect::<Vec<_>>().join(" ");
        let takes_value = arg.get_action().takes_values() && !values.is_empty();
        let mut word = match arg.get_long() {
            Some(long) if takes_value => format!("{} {values}", bold(&format!("--{long}"))),
            Some(long) => bold(&format!("--{long}")),
            None => values,
        };
        if arg.is_positional() && arg.get_num_args().is_some_and(|range| range.max_values() > 1) {
            word.push_str("...");
        }
        let _ = if arg.is_required_set() { write!(text, " {word}") } else { write!(text, " [{word}]") };
    }
    if command.has_subcommands() {
        text.push_str(" \\fISUBCOMMAND\\fR ...");
    }
    text
}

fn section(title: &str, body: &str) -> String {
    format!(".SH \"{title}\"\n{body}\n")
}

fn definitions(entries: &[(&str, &str)]) -> String {
    entries.iter().map(|(term, text)| format!(".TP\n{}\n{}", bold(term), escaped(text))).collect::<Vec<_>>().join("\n")
}

fn bold(text: &str) -> String {
    format!("\\fB{}\\fR", escaped(text))
}

/// Text in which nothing is a command of roff: hyphens are such as can be copied, and no line begins with a point.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_synopsis_has_every_value() {
        let command = Command::new("x")
            .arg(Arg::new("a").long("a-b").value_name("FILE").required(true))
            .arg(Arg::new("c").long("c").action(ArgAction::SetTrue))
            .arg(Arg::new("in").value_name("INPUT").num_args(0..));
        assert_eq!(
            synopsis(&command),
            "\\fBx\\fR \\fB\\-\\-a\\-b\\fR \\fIFILE\\fR [\\fB\\-\\-c\\fR] [\\fIINPUT\\fR...]"
        );
        assert_eq!(escaped(".x"), "\\&.x");
    }
}
