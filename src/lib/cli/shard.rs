//! `--shard`: given as I/N or taken from the variables of an array job.

use crate::sequence::Shard;

/// The value of `--shard`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardChoice(pub Shard);

impl std::str::FromStr for ShardChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return from_array_job(|name| std::env::var(name).ok()).map(ShardChoice);
        }
        let numbers = text.split_once('/').and_then(|(part, count)| Some((part.parse().ok()?, count.parse().ok()?)));
        let (part, count) = numbers.ok_or("give I/N, as in 2/10, or auto")?;
        Shard::new(part, count).map(ShardChoice).ok_or_else(|| "I runs from 1 to N".to_owned())
    }
}

/// The shard of this task of an array job. Tasks are numbered from FIRST to LAST in steps, which the batch systems tell
/// in their own words; PBS tells only the task's number, so that the count has to be given.
fn from_array_job(variable: impl Fn(&str) -> Option<String>) -> Result<Shard, String> {
    // An array variable that a batch system sets outside of arrays ('undefined' of SGE, 0 of LSF) is none.
    let number = |name: &str| variable(name).and_then(|value| value.trim().parse::<u64>().ok());
    let required = |name: &str| {
        number(name).ok_or_else(|| match variable(name) {
            Some(value) => format!("{name} is '{value}', which is no number"),
            None => format!("{name} is not set: give --shard I/N"),
        })
    };
    let task = |name: &str, first: u64, count: u64, step: u64| {
        let id = required(name)?;
        let offset = id.checked_sub(first).filter(|offset| step > 0 && offset % step == 0);
        offset.and_then(|offset| Shard::new(offset / step + 1, count)).ok_or_else(|| {
            format!("{name} is {id}, which is not among {count} tasks that begin at {first} in steps of {step}")
        })
    };
    let steps = |first: u64, last: u64, step: u64| last.saturating_sub(first) / step.max(1) + 1;
    if number("SLURM_ARRAY_TASK_ID").is_some() {
        let first = required("SLURM_ARRAY_TASK_MIN")?;
        let step = number("SLURM_ARRAY_TASK_STEP").unwrap_or(1);
        let count = match number("SLURM_ARRAY_TASK_COUNT") {
            Some(count) => count,
            None => steps(first, required("SLURM_ARRAY_TASK_MAX")?, step),
        };
        if let Some(last) = number("SLURM_ARRAY_TASK_MAX").filter(|last| steps(first, *last, step) != count) {
            return Err(format!(
                "the array has {count} tasks from {first} to {last}, which are not evenly spaced: give --shard I/N"
            ));
        }
        return task("SLURM_ARRAY_TASK_ID", first, count, step);
    }
    if number("SGE_TASK_ID").is_some() {
        let (first, last) = (required("SGE_TASK_FIRST")?, required("SGE_TASK_LAST")?);
        let step = number("SGE_TASK_STEPSIZE").unwrap_or(1);
        return task("SGE_TASK_ID", first, steps(first, last, step), step);
    }
    for name in ["PBS_ARRAY_INDEX", "PBS_ARRAYID"] {
        if number(name).is_some() {
            let count = required("PBS_ARRAY_COUNT")
                .map_err(|_| format!("PBS does not say how many tasks there are: set PBS_ARRAY_COUNT (tasks {name} 1 to N) or give --shard I/N"))?;
            return task(name, 1, count, 1);
        }
    }
    if number("LSB_JOBINDEX").is_some_and(|index| index > 0) {
        let step = number("LSB_JOBINDEX_STEP").unwrap_or(1);
        return task("LSB_JOBINDEX", 1, steps(1, required("LSB_JOBINDEX_END")?, step), step);
    }
    Err("this is no task of an array job (SLURM, SGE, PBS, LSF): give I/N".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(variables: &str) -> Result<String, String> {
        let variables: Vec<(&str, &str)> =
            variables.split_whitespace().filter_map(|variable| variable.split_once('=')).collect();
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string());
        from_array_job(find).map(|shard| shard.to_string())
    }

    #[test]
    fn reads_parts() {
        let parse = |text: &str| text.parse::<ShardChoice>().map(|choice| choice.0.to_string());
        assert_eq!(parse("1/1").unwrap(), "1/1");
        assert_eq!(parse("3/12").unwrap(), "3/12");
        for text in ["", "0/3", "4/3", "1/0", "1", "1/", "/2", "a/b", "-1/2", "1/2/3", "1.5/2"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn slurm() {
        let array = "SLURM_ARRAY_TASK_MIN=0 SLURM_ARRAY_TASK_MAX=9 SLURM_ARRAY_TASK_COUNT=10 SLURM_ARRAY_TASK_ID=";
        assert_eq!(shard(&format!("{array}0")).unwrap(), "1/10");
        assert_eq!(shard(&format!("{array}9")).unwrap(), "10/10");
        assert!(shard(&format!("{array}10")).is_err());
        let stepped = "SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=7 SLURM_ARRAY_TASK_STEP=3 SLURM_ARRAY_TASK_ID=7";
        assert_eq!(shard(stepped).unwrap(), "3/3");
        let uneven = "SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=9 SLURM_ARRAY_TASK_COUNT=3 SLURM_ARRAY_TASK_ID=4";
        assert!(shard(uneven).unwrap_err().contains("evenly"));
    }

    #[test]
    fn grid_engine() {
        let array = "SGE_TASK_FIRST=2 SGE_TASK_LAST=10 SGE_TASK_STEPSIZE=2 SGE_TASK_ID=";
        assert_eq!(shard(&format!("{array}2")).unwrap(), "1/5");
        assert_eq!(shard(&format!("{array}10")).unwrap(), "5/5");
        assert!(shard(&format!("{array}3")).is_err());
        assert!(shard("SGE_TASK_ID=undefined SGE_TASK_FIRST=undefined").is_err());
    }

    #[test]
    fn pbs() {
        assert_eq!(shard("PBS_ARRAY_INDEX=3 PBS_ARRAY_COUNT=4").unwrap(), "3/4");
        assert_eq!(shard("PBS_ARRAYID=1 PBS_ARRAY_COUNT=4").unwrap(), "1/4");
        assert!(shard("PBS_ARRAY_INDEX=3").unwrap_err().contains("PBS_ARRAY_COUNT"));
        assert!(shard("PBS_ARRAY_INDEX=0 PBS_ARRAY_COUNT=4").is_err());
    }

    #[test]
    fn lsf() {
        assert_eq!(shard("LSB_JOBINDEX=3 LSB_JOBINDEX_END=8").unwrap(), "3/8");
        assert_eq!(shard("LSB_JOBINDEX=5 LSB_JOBINDEX_END=9 LSB_JOBINDEX_STEP=2").unwrap(), "3/5");
        assert!(shard("LSB_JOBINDEX=0 LSB_JOBINDEX_END=0").is_err());
        assert!(shard("").unwrap_err().contains("no task of an array job"));
    }
}
