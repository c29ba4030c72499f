//! Which settings a subcommand of rnaret-train has, for its help: those of its task, with the defaults of the task.

use clap::Arg;

use super::config::TrainConfig;
use crate::model::Task;

/// Settings that some tasks alone have; the others are for all.
const OF_TASKS: &[(&str, &[Task])] = &[
    ("annotation", &[Task::Coding]),
    ("balance", &[Task::Coding]),
    ("columns", &[Task::Classify, Task::Regress, Task::Label]),
    ("decoys", &[Task::Coding]),
    ("fragment_length", &[Task::Coding]),
    ("fragments", &[Task::Coding]),
    ("gaps", &[Task::Coding]),
    ("known_structures", &[Task::Fold]),
    ("mask_rate", &[Task::Pretrain, Task::Mirtarget]),
    ("min_loop", &[Task::Fold]),
    ("positive_weight", &[Task::Fold]),
    ("record_weight", &[Task::Coding]),
    ("shuffle_records", &[Task::Pretrain]),
    ("trim", &[Task::Mirtarget]),
];

/// Settings that an evaluation has: how data are read and held out.
const OF_EVALUATION: &[&str] = &[
    "seed",
    "validation_fraction",
    "split_by",
    "validation_records",
    "max_length",
    "min_length",
    "mask_rate",
    "min_loop",
    "columns",
];

/// The argument as training for `task` has it: with its default, or where the task has no such setting hidden and refused.
pub fn of_task(task: Task, argument: Arg) -> Arg {
    let tasks = OF_TASKS.iter().find(|(name, _)| argument.get_id() == name);
    if tasks.is_some_and(|(_, tasks)| !tasks.contains(&task)) {
        return refused(argument, format!("{task} has no such setting"));
    }
    let key = argument.get_id().as_str().replace('_', "-");
    let default =
        toml::Table::try_from(TrainConfig::published(task)).ok().and_then(|defaults| defaults.get(&key).cloned());
    let help = argument.get_help().map(ToString::to_string);
    match (default, help) {
        (Some(toml::Value::String(text)), _) if text.is_empty() => argument,
        (Some(toml::Value::String(text)), Some(help)) => argument.help(format!("{help} [default: {text}]")),
        (Some(value), Some(help)) => argument.help(format!("{help} [default: {value}]")),
        _ => argument,
    }
}

/// The argument as an evaluation has it: hidden and refused where it is a setting of training alone.
pub fn of_evaluation(argument: Arg) -> Arg {
    let is_setting = argument.get_help_heading() == Some("Hyperparameters");
    match is_setting && !OF_EVALUATION.iter().any(|name| argument.get_id() == name) {
        true => refused(argument, "an evaluation has no such setting".into()),
        false => argument,
    }
}

/// The argument hidden, and refused with `reason` whatever its value is: it names no file and is no number.
fn refused(argument: Arg, reason: String) -> Arg {
    let argument = if argument.get_action().takes_values() { argument.value_name("X") } else { argument };
    let refuse = move |_: &str| -> Result<String, String> { Err(reason.clone()) };
    argument.hide(true).value_parser(refuse)
}
