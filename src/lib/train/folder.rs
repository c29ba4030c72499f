//! The run folder: locked while a run uses it, with a record of what the run is made of.
//!
//! A folder belongs to one run. What a command asks for is compared with the record field by field before anything is
//! written, so that a command that turns out to mean another run leaves the folder as it was.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::checkpoint::write_atomically;
use super::config::{ONCE_COMMON, TrainConfig};
use super::settings::Settings;
use crate::model::ModelConfig;
use crate::{Error, Result};

/// The weights in a run folder that are its result: there once the run is finished.
pub const MODEL: &str = "model.safetensors";
/// The weights that did best in a validation so far.
pub const BEST: &str = "best.safetensors";
/// How the run went.
pub const METRICS: &str = "metrics.tsv";
/// The settings, which `--config` takes.
pub const CONFIG: &str = "config.toml";
/// The record.
const INPUTS: &str = "inputs.json";
/// An empty file that the running process holds a lock on. It stays, since removing it would let two processes lock two
/// files of the same name.
const LOCK: &str = "lock";

/// The files of a run folder, beside its checkpoints.
pub const FILES: [&str; 6] = [MODEL, BEST, CONFIG, METRICS, INPUTS, LOCK];
/// The folder of the checkpoints in a run folder.
pub const CHECKPOINTS: &str = "checkpoints";

/// Settings that may change without making another run: how long it is, and how often it logs and saves.
const MAY_CHANGE: [&str; 6] = ["steps", "epochs", "patience", "log-every", "checkpoint-every", "checkpoints-kept"];

/// A file whose content decides what comes out of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputRecord {
    /// What it is to the run, as in `training data`.
    pub role: String,
    /// Its name, for people: the content counts.
    pub name: String,
    /// SHA-256 of its bytes; `None` for a pipe, whose bytes pass only once.
    pub sha256: Option<String>,
}

impl InputRecord {
    /// The file at `path`; `-` and whatever else is not a regular file is not read.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn of_file(role: &str, path: &Path) -> Result<Self> {
        let unreadable = |source| Error::read(path, source);
        let pipe = path == Path::new("-") || !fs::metadata(path).map_err(unreadable)?.is_file();
        let sha256 = match pipe {
            true => None,
            false => {
                let mut hash = Sha256::new();
                std::io::copy(&mut File::open(path).map_err(unreadable)?, &mut hash).map_err(unreadable)?;
                Some(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
            }
        };
        Ok(Self {
            role: role.into(),
            name: path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into(),
            sha256,
        })
    }

    fn describe(&self) -> String {
        match &self.sha256 {
            Some(sha256) => format!("{} (SHA-256 {}…)", self.name, sha256.get(..12).unwrap_or(sha256)),
            None => self.name.clone(),
        }
    }
}

/// What a run is made of: the same record gives the same weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Every setting, of all tasks and of this one.
    training: Map<String, Value>,
    /// Every size of the model.
    model: Value,
    /// Data and the weights to start from.
    inputs: Vec<InputRecord>,
}

/// The role of what version 1 of the record lists without saying what it was.
const UNKNOWN_ROLE: &str = "data";
/// The role of the weights that training starts from.
pub const START: &str = "weights to start from";

impl RunRecord {
    /// The record of a run with these settings (see [`recorded_settings`]).
    ///
    /// # Errors
    /// Where a number has no place in JSON.
    pub fn new(training: Map<String, Value>, model: &ModelConfig, inputs: Vec<InputRecord>) -> Result<Self> {
        Ok(Self { training, model: Value::Object(fields(model)?), inputs })
    }

    /// The record as JSON.
    ///
    /// # Errors
    /// Where it has no place in JSON.
    pub fn to_json(&self) -> Result<Value> {
        serde_json::to_value(self).map_err(no_json)
    }

    /// How `self`, which is asked for, differs from `recorded`: a sentence a field, with the value there and here. A
    /// setting that the record does not know, being older, had its default.
    ///
    /// # Errors
    /// Where a record has no place in JSON.
    pub fn differences(&self, recorded: &Self, defaults: &Map<String, Value>) -> Result<Vec<String>> {
        // Both sides as they are after they were read from JSON.
        let text = serde_json::to_string(self).map_err(no_json)?;
        let asked: Self = serde_json::from_str(&text).map_err(no_json)?;
        let (training, mut recorded_training) = (asked.training, recorded.training.clone());
        // Earlier versions recorded the settings of other tasks too.
        recorded_training.retain(|name, _| training.contains_key(name) || !ONCE_COMMON.contains(&name.as_str()));
        let mut differences = Vec::new();
        let mut compare = |name: String, there: Option<&Value>, here: Option<&Value>| {
            let word = |value: Option<&Value>| match value {
                None => "not known".to_string(),
                Some(Value::String(text)) => text.clone(),
                Some(value) => value.to_string(),
            };
            if there != here {
                differences.push(format!("{name} is {} there and {} here", word(there), word(here)));
            }
        };
        let known = |record: &Map<String, Value>, name: &str| record.get(name).or_else(|| defaults.get(name)).cloned();
        for name in keys(&training, &recorded_training) {
            if !MAY_CHANGE.contains(&name) {
                let (there, here) = (known(&recorded_training, name), known(&training, name));
                compare(format!("--{name}"), there.as_ref(), here.as_ref());
            }
        }
        // A record of an earlier program's model is read as that program's weights are.
        let model = ModelConfig::deserialize(&recorded.model).map_err(no_json).and_then(|model| fields(&model));
        let recorded_model = model.unwrap_or_else(|_| recorded.model.as_object().cloned().unwrap_or_default());
        let asked_model = asked.model.as_object().cloned().unwrap_or_default();
        let (recorded_model, asked_model) = (flat(&recorded_model), flat(&asked_model));
        for name in keys(&asked_model, &recorded_model) {
            compare(format!("the model's {name}"), recorded_model.get(name), asked_model.get(name));
        }
        differences.extend(different_inputs(&recorded.inputs, &asked.inputs));
        Ok(differences)
    }
}

/// The settings of a run as its record has them: those that all tasks have and those of the task, side by side, under the
/// names of their flags.
///
/// # Errors
/// Where a number has no place in JSON.
pub fn recorded_settings(config: &TrainConfig, of_task: &impl Settings) -> Result<Map<String, Value>> {
    let mut settings = fields(config)?;
    settings.extend(fields(of_task)?);
    Ok(settings)
}

/// The names in either of two maps.
fn keys<'a>(one: &'a Map<String, Value>, two: &'a Map<String, Value>) -> impl Iterator<Item = &'a str> {
    one.keys().chain(two.keys().filter(|name| !one.contains_key(*name))).map(String::as_str)
}

fn different_inputs(recorded: &[InputRecord], asked: &[InputRecord]) -> Vec<String> {
    // Version 1 did not say which file was what.
    let roles_known = recorded.iter().all(|input| input.role != UNKNOWN_ROLE);
    let role = |input: &InputRecord| match roles_known || input.role == START {
        true => input.role.clone(),
        false => UNKNOWN_ROLE.to_string(),
    };
    let mut roles: Vec<String> = recorded.iter().chain(asked).map(role).collect();
    roles.sort();
    roles.dedup();
    let mut differences = Vec::new();
    for name in roles {
        let of_role = |inputs: &[InputRecord]| -> Vec<InputRecord> {
            let mut of_role: Vec<InputRecord> = inputs.iter().filter(|input| role(input) == name).cloned().collect();
            if !roles_known {
                of_role.retain(|input| input.sha256.is_some());
                of_role.sort_by(|one, two| one.sha256.cmp(&two.sha256));
            }
            of_role
        };
        let (there, here) = (of_role(recorded), of_role(asked));
        let same =
            there.len() == here.len() && there.iter().zip(&here).all(|(there, here)| there.sha256 == here.sha256);
        if !same {
            let words = |inputs: &[InputRecord]| match inputs {
                [] => "none".to_string(),
                inputs => inputs.iter().map(InputRecord::describe).collect::<Vec<_>>().join(" and "),
            };
            differences.push(format!("{name}: {} there and {} here", words(&there), words(&here)));
        }
    }
    differences
}

/// The same values, those of objects in objects under names like `encoder.width`.
fn flat(fields: &Map<String, Value>) -> Map<String, Value> {
    let mut all = Map::new();
    for (name, value) in fields {
        match value {
            Value::Object(inner) => {
                all.extend(flat(inner).into_iter().map(|(key, value)| (format!("{name}.{key}"), value)))
            }
            value => {
                all.insert(name.clone(), value.clone());
            }
        }
    }
    all
}

fn fields(value: &impl Serialize) -> Result<Map<String, Value>> {
    match serde_json::to_value(value).map_err(no_json)? {
        Value::Object(fields) => Ok(fields),
        _ => unreachable!("a structure of named fields is an object"),
    }
}

fn no_json(error: serde_json::Error) -> Error {
    Error::Failed(format!("the record of the run: {error}"))
}

/// A run folder that no other process uses: the lock ends with the process, however that ends.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    _lock: Option<File>,
}

impl RunFolder {
    /// Makes the folder if need be, and locks it.
    ///
    /// # Errors
    /// Where it cannot be made or another process holds it.
    pub fn lock(path: &Path) -> Result<Self> {
        fs::create_dir_all(path).map_err(|source| Error::write(path, source))?;
        let name = path.join(LOCK);
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&name);
        let file = file.map_err(|source| Error::write(&name, source))?;
        let lock = match file.try_lock() {
            Ok(()) => Some(file),
            Err(TryLockError::WouldBlock) => {
                return Err(Error::RunFolder {
                    folder: path.display().to_string(),
                    message: "another process is training in this folder: wait for it, or give another --run".into(),
                });
            }
            Err(TryLockError::Error(error)) => {
                log::warn!(
                    "{}: this file system has no locks ({error}); see to it that no other process trains here",
                    path.display()
                );
                None
            }
        };
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where `name` is in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Refuses a run other than the one that is here: `checkpoint` has the record of that run where it is known, otherwise
    /// `inputs.json`, if the folder holds anything that would be lost.
    ///
    /// # Errors
    /// [`Error::Usage`] names what differs.
    pub fn compare(&self, asked: &RunRecord, defaults: &Map<String, Value>, checkpoint: Option<&Value>) -> Result<()> {
        let recorded = match checkpoint {
            Some(value) if !value.is_null() => Some(RunRecord::deserialize(value).map_err(no_json)?),
            Some(_) => self.record()?,
            None if self.holds_results()? => self.record()?,
            None => None,
        };
        let Some(recorded) = recorded else { return Ok(()) };
        let differences = asked.differences(&recorded, defaults)?;
        if differences.is_empty() {
            return Ok(());
        }
        Err(Error::Usage(format!(
            "{}: this folder holds a run with other settings or inputs: {}; give the same to go on with it, or another \
             --run",
            self.path.display(),
            differences.join("; ")
        )))
    }

    /// Writes what the run is made of: `config.toml` and `inputs.json`.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub fn write_record(&self, settings: &str, record: &RunRecord, provenance: &Value) -> Result<()> {
        self.write_if_other(CONFIG, settings.as_bytes())?;
        let mut about = fields(record)?;
        about.insert("provenance".into(), provenance.clone());
        let text = serde_json::to_string_pretty(&about).map_err(no_json)? + "\n";
        self.write_if_other(INPUTS, text.as_bytes())
    }

    /// Writes the file `name` unless it holds these bytes already.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write_if_other(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.file(name);
        if fs::read(&path).is_ok_and(|held| held == bytes) {
            return Ok(());
        }
        write_atomically(&path, |file| file.write_all(bytes))
    }

    /// Whether anything of a run is here that another one would overwrite.
    fn holds_results(&self) -> Result<bool> {
        if self.file(MODEL).exists() || self.file(BEST).exists() {
            return Ok(true);
        }
        let table = self.file(METRICS);
        match File::open(&table) {
            Ok(file) => Ok(BufReader::new(file).lines().nth(1).is_some()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(Error::read(&table, source)),
        }
    }

    /// The record in `inputs.json`, in version 1 completed by `config.toml`.
    fn record(&self) -> Result<Option<RunRecord>> {
        let path = self.file(INPUTS);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                log::warn!("{}: there is no {INPUTS} to tell whether the run here is the same", self.path.display());
                return Ok(None);
            }
            text => text.map_err(|source| Error::read(&path, source))?,
        };
        let damaged = |message: String| Error::RunFolder {
            folder: path.display().to_string(),
            message: format!("what the run here is made of cannot be read: {message}"),
        };
        let mut about: Value = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        if about.get("training").is_none() {
            let config = self.file(CONFIG);
            let text = fs::read_to_string(&config).map_err(|source| Error::read(&config, source))?;
            let mut settings: Map<String, Value> =
                toml::from_str(&text).map_err(|error| damaged(error.message().to_string()))?;
            settings.retain(|_, value| !value.is_object());
            let data = about.pointer("/provenance/data_sha256").and_then(Value::as_object).cloned().unwrap_or_default();
            let mut inputs: Vec<Value> = data
                .into_iter()
                .map(|(name, sha256)| json!({ "role": UNKNOWN_ROLE, "name": name, "sha256": sha256 }))
                .collect();
            if let Some(Value::String(sha256)) = about.pointer("/provenance/started_from_sha256") {
                inputs.push(json!({ "role": START, "name": "weights", "sha256": sha256 }));
            }
            about = json!({ "training": settings, "model": about["model"], "inputs": inputs });
        }
        Ok(Some(RunRecord::deserialize(&about).map_err(|error| damaged(error.to_string()))?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Task;
    use crate::train::tasks::{FoldTask, TrainingTask};

    type FoldSettings = <FoldTask as TrainingTask>::Settings;

    fn defaults() -> Map<String, Value> {
        recorded_settings(&FoldTask::defaults(), &FoldSettings::default()).expect("settings")
    }

    fn record(change: impl FnOnce(&mut TrainConfig, &mut FoldSettings), data: &str) -> RunRecord {
        let (mut config, mut settings) = (FoldTask::defaults(), FoldSettings::default());
        change(&mut config, &mut settings);
        let settings = recorded_settings(&config, &settings).expect("settings");
        let model = ModelConfig::published(Task::Fold, 1);
        let input = |role: &str, sha256: &str| InputRecord {
            role: role.into(),
            name: "data.fa".into(),
            sha256: Some(sha256.into()),
        };
        RunRecord::new(settings, &model, vec![input("training data", data), input(START, "w")]).expect("a record")
    }

    fn differences(asked: &RunRecord, recorded: &RunRecord) -> Vec<String> {
        asked.differences(recorded, &defaults()).expect("records")
    }

    #[test]
    fn what_differs_is_named_with_both_values() {
        let recorded = record(|_, _| (), "0123456789abcdef");
        assert!(differences(&recorded, &recorded).is_empty());
        let longer = record(|config, _| (config.steps, config.patience) = (7, 2), "0123456789abcdef");
        assert!(differences(&longer, &recorded).is_empty(), "a run may be made longer");
        let other = record(|config, _| config.learning_rate = 0.1, "fedcba9876543210");
        assert_eq!(
            differences(&other, &recorded),
            [
                "--learning-rate is 0.00001 there and 0.1 here",
                "training data: data.fa (SHA-256 0123456789ab…) there and data.fa (SHA-256 fedcba987654…) here",
            ]
        );
        let mut wider = recorded.clone();
        wider.model["head"]["width"] = 64.into();
        assert_eq!(differences(&wider, &recorded), ["the model's head.width is 128 there and 64 here"]);
        let mut fresh = recorded.clone();
        fresh.inputs.pop();
        assert_eq!(differences(&fresh, &recorded), ["weights to start from: data.fa (SHA-256 w…) there and none here"]);
    }

    #[test]
    fn a_new_setting_had_its_default_and_other_numbers_stay_exact() {
        let asked = record(|config, _| config.learning_rate = 0.1 + 0.2, "d");
        let text = serde_json::to_string(&asked).expect("JSON");
        let mut recorded: RunRecord = serde_json::from_str(&text).expect("a record");
        assert!(differences(&asked, &recorded).is_empty());
        recorded.training.remove("positive-weight");
        assert!(differences(&asked, &recorded).is_empty());
        let asked = record(|config, settings| (config.learning_rate, settings.positive_weight) = (0.1 + 0.2, 2.0), "d");
        assert_eq!(differences(&asked, &recorded), ["--positive-weight is 10.0 there and 2.0 here"]);
    }

    #[test]
    fn a_folder_is_for_one_process() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("run");
        let held = RunFolder::lock(&path).expect("it is free");
        let error = RunFolder::lock(&path).expect_err("it is held");
        assert!(error.to_string().contains("another process"), "{error}");
        drop(held);
        RunFolder::lock(&path).expect("it is free again");
    }

    /// What version 1 wrote: settings in config.toml alone, and data without their roles.
    #[test]
    fn a_folder_of_version_1_is_compared_too() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let run = RunFolder::lock(folder.path()).expect("a folder");
        let model = json!({
            "task": "fold", "k": 1, "embed_dim": 384, "value_dim": 512, "ffn_dim": 512, "layers": 8, "heads": 4,
            "norm_epsilon": 1e-6, "head": "published", "head_blocks": 16, "head_width": 128, "skip_head_blocks": false
        });
        let mut settings: toml::Table = toml::Table::try_from(defaults()).expect("TOML");
        settings.insert("trim".into(), 0.into());
        let settings = settings.to_string() + "\n[model]\nk = 1\n";
        let about = json!({
            "provenance": { "data_sha256": { "x.fa": "d" }, "started_from_sha256": "w", "seed": 0 }, "model": model
        });
        fs::write(folder.path().join(CONFIG), settings).expect("written");
        fs::write(folder.path().join(INPUTS), about.to_string()).expect("written");
        let defaults = defaults();
        run.compare(&record(|_, _| (), "d"), &defaults, Some(&Value::Null)).expect("the same run");
        let other = run.compare(&record(|config, _| config.seed = 1, "e"), &defaults, Some(&Value::Null));
        let message = other.expect_err("another run").to_string();
        for part in ["--seed is 0 there and 1 here", "data: x.fa (SHA-256 d…) there and data.fa (SHA-256 e…) here"]
        {
            assert!(message.contains(part), "{message}");
        }
        // Nothing is here that would be lost.
        run.compare(&record(|config, _| config.seed = 1, "e"), &defaults, None).expect("a new run");
        fs::write(folder.path().join(BEST), "weights").expect("written");
        assert!(run.compare(&record(|config, _| config.seed = 1, "e"), &defaults, None).is_err());
    }
}
