//! Checkpoints: everything that a run needs to continue as if it had never stopped.
//!
//! A checkpoint is one safetensors file: the weights under `weights/`, the optimiser's tensors under `optimiser/`, and
//! one metadata entry with [`Progress`] and what the run is made of ([`RunRecord`](super::folder::RunRecord)) as JSON,
//! which holds the SHA-256 of the tensors' bytes. It is written to a temporary name, forced to the disk, and renamed, so
//! that a checkpoint under its final name is whole; one that is not (a disk fault, a copy cut short) is found by its
//! checksum and passed over.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::cli::AtomicFile;
use crate::{Error, Result};

/// The key of the metadata entry.
const METADATA: &str = "rnaret-checkpoint";
/// What a checkpoint's name starts and ends with; the step stands between, with leading zeros.
const PREFIX: &str = "step-";
const SUFFIX: &str = ".safetensors";

/// Where a run stands. All randomness follows from the seed and these positions, so no generator state is kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Updates made.
    pub step: u64,
    /// The pass over the data that comes next or is under way, from 0.
    pub epoch: u64,
    /// Batches of that pass already used.
    pub batch: u64,
    /// Records used since the start of the run.
    pub records: u64,
    /// Tokens used since the start of the run.
    pub tokens: u64,
    /// The best value of the validation metric so far, and the step that gave it.
    pub best: Option<Best>,
    /// The step of the last validation, 0 before the first.
    pub last_validation: u64,
    /// Validations since the best one.
    pub validations_without_improvement: u64,
    /// Norm of the last step's gradient before clipping; no number in checkpoints of version 1.
    #[serde(default = "no_number", with = "exact")]
    pub gradient_norm: f64,
    /// Rows of metrics.tsv so far; unknown in checkpoints of version 1.
    #[serde(default)]
    pub rows: Option<u64>,
    /// Sums since the last row of metrics.tsv.
    pub since_last_row: RunningSums,
}

/// The best validation so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// The metric that decides.
    #[serde(with = "exact")]
    pub value: f64,
    /// The step at which it was measured.
    pub step: u64,
}

/// What a row of metrics.tsv averages over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunningSums {
    /// Sum of the loss.
    #[serde(with = "exact")]
    pub loss: f64,
    /// Sum of the weights.
    #[serde(with = "exact")]
    pub weight: f64,
    /// Tokens.
    pub tokens: u64,
    /// Seconds spent, which alone differ between two equal runs.
    pub seconds: f64,
}

fn no_number() -> f64 {
    f64::NAN
}

/// Numbers as text, since reading them from JSON may change the last bit. Numbers are read too: version 1 wrote them.
mod exact {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{value:?}"))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Stored {
            Text(String),
            Number(f64),
        }
        match Stored::deserialize(deserializer)? {
            Stored::Text(text) => text.parse().map_err(D::Error::custom),
            Stored::Number(number) => Ok(number),
        }
    }
}

/// A checkpoint in memory.
pub struct Checkpoint {
    /// Where the run stands.
    pub progress: Progress,
    /// What the run is made of, as JSON: a run continues only its own checkpoints. Null in checkpoints of version 1.
    pub run: serde_json::Value,
    /// The weights by name.
    pub weights: BTreeMap<String, Tensor>,
    /// The optimiser's tensors by name.
    pub optimiser: BTreeMap<String, Tensor>,
}

impl Checkpoint {
    /// Gives tensors new names, pairs of an old and a new one; those that the checkpoint does not hold are passed over.
    /// Checkpoints had the published names once.
    pub fn rename<'a>(&mut self, names: impl Iterator<Item = (String, &'a String)>) {
        let names: BTreeMap<String, &String> = names.collect();
        let renamed = |name: &str| names.get(name).map_or(name, |new| new.as_str()).to_owned();
        self.weights = std::mem::take(&mut self.weights).into_iter().map(|(name, t)| (renamed(&name), t)).collect();
        // The optimiser keeps several tensors of a name, each kind under a prefix of its own.
        let parted = |name: &str| match name.split_once('/') {
            Some((kind, name)) => format!("{kind}/{}", renamed(name)),
            None => name.to_owned(),
        };
        self.optimiser = std::mem::take(&mut self.optimiser).into_iter().map(|(name, t)| (parted(&name), t)).collect();
    }
}

#[derive(Serialize, Deserialize)]
struct Metadata {
    version: u32,
    program: String,
    progress: Progress,
    #[serde(default)]
    run: serde_json::Value,
    sha256: String,
}

/// The checkpoints of a run: a folder that keeps the newest ones.
#[derive(Clone, Debug)]
pub struct CheckpointFolder {
    folder: PathBuf,
    kept: usize,
}

impl CheckpointFolder {
    /// The folder `folder`, made with the first checkpoint, that keeps `kept` checkpoints.
    pub fn new(folder: PathBuf, kept: usize) -> Self {
        Self { folder, kept }
    }

    /// Writes a checkpoint and removes those beyond the newest `kept`. Returns its path.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, checkpoint: &Checkpoint) -> Result<PathBuf> {
        fs::create_dir_all(&self.folder).map_err(|source| Error::write(&self.folder, source))?;
        let path = self.folder.join(format!("{PREFIX}{:010}{SUFFIX}", checkpoint.progress.step));
        write_atomically(&path, |file| write_checkpoint(file, checkpoint))?;
        let steps = self.steps()?;
        for (_, old) in steps.iter().take(steps.len().saturating_sub(self.kept)) {
            fs::remove_file(old).map_err(|source| Error::write(old, source))?;
        }
        Ok(path)
    }

    /// The newest checkpoint that is whole, and its path. Those that are not are named in a warning and passed over.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn newest(&self) -> Result<Option<(PathBuf, Checkpoint)>> {
        for (_, path) in self.steps()?.into_iter().rev() {
            match read_checkpoint(&path) {
                Ok(checkpoint) => return Ok(Some((path, checkpoint))),
                Err(error) => log::warn!("this checkpoint is not whole and is passed over: {error}"),
            }
        }
        Ok(None)
    }

    /// Path of the newest checkpoint by name, for messages.
    pub fn newest_path(&self) -> Option<PathBuf> {
        self.steps().ok()?.pop().map(|(_, path)| path)
    }

    /// The checkpoints by step, oldest first.
    fn steps(&self) -> Result<Vec<(u64, PathBuf)>> {
        let unreadable = |source| Error::read(&self.folder, source);
        let mut steps = Vec::new();
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(steps),
            entries => entries.map_err(unreadable)?,
        };
        for entry in entries {
            let path = entry.map_err(unreadable)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let number = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX));
            if let Some(step) = number.and_then(|number| number.parse().ok()) {
                steps.push((step, path));
            }
        }
        steps.sort();
        Ok(steps)
    }
}

/// Writes a file under a temporary name beside `path`, forces it to the disk, and renames it.
pub fn write_atomically(path: &Path, write: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<()> {
    let result = AtomicFile::create(path).and_then(|(mut file, begun)| {
        write(&mut file)?;
        begun.finish(&file)
    });
    result.map_err(|source| Error::write(path, source))
}

fn write_checkpoint(file: &mut File, checkpoint: &Checkpoint) -> std::io::Result<()> {
    let other = std::io::Error::other::<Box<dyn std::error::Error + Send + Sync>>;
    let mut views = Vec::new();
    for (prefix, tensors) in [("weights/", &checkpoint.weights), ("optimiser/", &checkpoint.optimiser)] {
        for (name, tensor) in tensors {
            let values = tensor.flatten_all().and_then(|flat| flat.to_vec1::<f32>());
            views.push((
                format!("{prefix}{name}"),
                OwnedTensor { shape: tensor.dims().to_vec(), values: values.map_err(|error| other(error.into()))? },
            ));
        }
    }
    views.sort_by(|one, two| one.0.cmp(&two.0));
    let metadata = Metadata {
        version: 2,
        program: concat!("rnaret ", env!("CARGO_PKG_VERSION")).into(),
        progress: checkpoint.progress.clone(),
        run: checkpoint.run.clone(),
        sha256: digest(views.iter().map(|(name, tensor)| (name.as_str(), bytemuck::cast_slice(&tensor.values)))),
    };
    let json = serde_json::to_string(&metadata).map_err(|error| other(error.into()))?;
    let bytes = safetensors::serialize(views, Some(HashMap::from([(METADATA.to_string(), json)])))
        .map_err(|error| other(error.into()))?;
    file.write_all(&bytes)
}

struct OwnedTensor {
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl safetensors::View for OwnedTensor {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(bytemuck::cast_slice(&self.values))
    }

    fn data_len(&self) -> usize {
        self.values.len() * size_of::<f32>()
    }
}

fn read_checkpoint(path: &Path) -> Result<Checkpoint> {
    let bytes = fs::read(path).map_err(|source| Error::read(path, source))?;
    let broken = |what: String| Error::weights(path, what);
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| broken(error.to_string()))?;
    let json = header.metadata().as_ref().and_then(|entries| entries.get(METADATA));
    let json = json.ok_or_else(|| broken(format!("the metadata entry {METADATA} is missing")))?;
    let metadata: Metadata = serde_json::from_str(json).map_err(|error| broken(error.to_string()))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| broken(error.to_string()))?;
    let mut tensors: Vec<(&str, TensorView<'_>)> = file.iter().collect();
    tensors.sort_by_key(|(name, _)| *name);
    if digest(tensors.iter().map(|(name, view)| (*name, view.data()))) != metadata.sha256 {
        return Err(broken("its checksum does not agree with its tensors".into()));
    }
    let mut checkpoint = Checkpoint {
        progress: metadata.progress,
        run: metadata.run,
        weights: BTreeMap::new(),
        optimiser: BTreeMap::new(),
    };
    for (name, view) in tensors {
        let tensor = Tensor::from_raw_buffer(view.data(), DType::F32, view.shape(), &Device::Cpu)?;
        let place = match name.split_once('/') {
            Some(("weights", name)) => checkpoint.weights.insert(name.to_string(), tensor),
            Some(("optimiser", name)) => checkpoint.optimiser.insert(name.to_string(), tensor),
            _ => return Err(broken(format!("the tensor {name} has no place in a checkpoint"))),
        };
        debug_assert!(place.is_none(), "names in a safetensors file are distinct");
    }
    Ok(checkpoint)
}

/// SHA-256 over names and bytes, in the order of the names.
fn digest<'a>(tensors: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    let mut hash = Sha256::new();
    for (name, bytes) in tensors {
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update(bytes);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(step: u64) -> Checkpoint {
        let tensor = |values: &[f32]| Tensor::new(values, &Device::Cpu).expect("a tensor");
        Checkpoint {
            progress: Progress {
                step,
                best: Some(Best { value: 0.1 + 0.2, step: 1 }),
                since_last_row: RunningSums { loss: 1.0 / 3.0, ..Default::default() },
                ..Default::default()
            },
            run: "this run".into(),
            weights: [("a".to_string(), tensor(&[step as f32, 2.0]))].into(),
            optimiser: [("first_moment/a".to_string(), tensor(&[0.5, -0.5]))].into(),
        }
    }

    fn folder() -> (tempfile::TempDir, CheckpointFolder) {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let folder = CheckpointFolder::new(temporary.path().join("checkpoints"), 2);
        (temporary, folder)
    }

    #[test]
    fn what_is_written_is_read_again_and_only_the_newest_are_kept() {
        let (_temporary, folder) = folder();
        for step in [5, 10, 15] {
            folder.write(&checkpoint(step)).expect("a checkpoint is written");
        }
        let steps: Vec<u64> = folder.steps().expect("a listing").into_iter().map(|(step, _)| step).collect();
        assert_eq!(steps, [10, 15]);
        let (_, read) = folder.newest().expect("it can be read").expect("there is one");
        assert_eq!(read.run, "this run");
        assert_eq!(read.progress, checkpoint(15).progress, "numbers survive to the last bit");
        assert_eq!(read.weights["a"].to_vec1::<f32>().expect("values"), [15.0, 2.0]);
        assert_eq!(read.optimiser["first_moment/a"].to_vec1::<f32>().expect("values"), [0.5, -0.5]);
    }

    #[test]
    fn a_cut_or_altered_checkpoint_is_passed_over() {
        let (_temporary, folder) = folder();
        folder.write(&checkpoint(1)).expect("a checkpoint is written");
        let newest = folder.write(&checkpoint(2)).expect("a checkpoint is written");
        let whole = fs::read(&newest).expect("its bytes");
        let mut altered = whole.clone();
        *altered.last_mut().expect("a byte") ^= 1;
        for damaged in [&whole[..whole.len() - 1], &whole[..20], &altered, b""] {
            fs::write(&newest, damaged).expect("damage is done");
            let (_, read) = folder.newest().expect("no error").expect("the older one");
            assert_eq!(read.progress.step, 1);
        }
    }

    /// What version 1 wrote: numbers as numbers, fewer of them, and a digest of the run.
    #[test]
    fn progress_of_version_1_is_read() {
        let json = r#"{"step":7,"epoch":1,"batch":2,"records":8,"tokens":9,"best":{"value":0.5,"step":5},
            "last_validation":5,"validations_without_improvement":0,
            "since_last_row":{"loss":1.5,"weight":2.0,"tokens":3,"seconds":0.25}}"#;
        let read: Progress = serde_json::from_str(json).expect("it is read");
        assert_eq!((read.step, read.best), (7, Some(Best { value: 0.5, step: 5 })));
        assert!(read.rows.is_none() && read.gradient_norm.is_nan());
    }

    /// JSON's readers lose the last bit of some of these, read as numbers.
    #[test]
    fn numbers_survive_to_the_last_bit() {
        let mut random = crate::train::random::generator(5, crate::train::random::Purpose::Split, &[]);
        for _ in 0..10_000 {
            let value = f64::from_bits(rand::Rng::random(&mut random));
            let text = serde_json::to_string(&Best { value, step: 1 }).expect("JSON");
            let read: Best = serde_json::from_str(&text).expect("it is read");
            assert!(read.value.to_bits() == value.to_bits() || value.is_nan() && read.value.is_nan(), "{text}");
        }
    }

    #[test]
    fn old_names_become_new_ones() {
        let mut old = checkpoint(1);
        let new = "encoder.a".to_string();
        old.rename([("a".to_string(), &new), ("b".to_string(), &new)].into_iter());
        assert_eq!(old.weights.into_keys().collect::<Vec<_>>(), ["encoder.a"]);
        assert_eq!(old.optimiser.into_keys().collect::<Vec<_>>(), ["first_moment/encoder.a"]);
    }

    #[test]
    fn equal_checkpoints_are_equal_files() {
        let (_one, first) = folder();
        let (_two, second) = folder();
        let paths = [first.write(&checkpoint(3)).expect("written"), second.write(&checkpoint(3)).expect("written")];
        assert_eq!(fs::read(&paths[0]).expect("bytes"), fs::read(&paths[1]).expect("bytes"));
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("result");
        fs::write(&path, "old").expect("a file");
        let result = write_atomically(&path, |file| {
            file.write_all(b"new")?;
            Err(std::io::Error::other("the disk is full"))
        });
        assert!(result.is_err());
        assert_eq!(fs::read(&path).expect("the file"), b"old");
        assert_eq!(fs::read_dir(folder.path()).expect("a listing").count(), 1);
    }
}
