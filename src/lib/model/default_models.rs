//! The models that travel inside the binaries: one for each task that a tool runs where no `--model` is given, and others
//! that `--model` knows by name.
//!
//! `models/` in the repository holds them with a card for each: data, training, figures, limits.

use std::path::Path;

use super::config::Task;
use super::weights::{self, Weights};
use crate::{Error, Result};

/// A model inside the binary: its name, and its safetensors.
#[cfg(feature = "embedded-models")]
const MODELS: &[(&str, &[u8])] = &[
    ("pretrain", include_bytes!("../../../models/pretrain.safetensors")),
    ("pretrain-k5", include_bytes!("../../../models/pretrain-k5.safetensors")),
    ("fold", include_bytes!("../../../models/fold.safetensors")),
    ("coding", include_bytes!("../../../models/coding.safetensors")),
    ("mirtarget", include_bytes!("../../../models/mirtarget.safetensors")),
];

#[cfg(not(feature = "embedded-models"))]
const MODELS: &[(&str, &[u8])] = &[];

/// The default model for a task, which has the task's name.
///
/// # Errors
/// Where this build has no models inside (feature `embedded-models` off).
pub fn load(task: Task) -> Result<Weights> {
    named(&task.to_string()).unwrap_or_else(|| {
        Err(Error::Usage(format!("there is no {task} model in this program: give one with --model")))
    })
}

/// The weights that `--model` asks for: those in the file `path`, or, where there is no such file, the built-in model of
/// that name.
///
/// # Errors
/// Where there is neither, or the file holds no weights.
pub fn open(path: &Path) -> Result<Weights> {
    let built_in = if path.exists() { None } else { path.to_str().and_then(named) };
    built_in.unwrap_or_else(|| {
        weights::read(path).map_err(|error| match error {
            Error::Read { file, source } if source.kind() == std::io::ErrorKind::NotFound && !MODELS.is_empty() => {
                let names: Vec<&str> = MODELS.iter().map(|(name, _)| *name).collect();
                Error::weights(path, format!("{file}: {source}; built-in models are {}", names.join(", ")))
            }
            other => other,
        })
    })
}

fn named(name: &str) -> Option<Result<Weights>> {
    let (_, bytes) = MODELS.iter().find(|(known, _)| *known == name)?;
    Some(weights::parse(bytes, Path::new(&format!("built-in {name} model"))))
}

#[cfg(all(test, feature = "embedded-models"))]
mod tests {
    use std::path::PathBuf;

    use sha2::{Digest, Sha256};

    use super::*;
    use crate::model::heads::mirtarget::Pair;
    use crate::predict::mirtarget::MirtargetModel;
    use crate::train::data::mirtarget;

    #[test]
    fn every_model_has_its_name_and_every_task_a_model() -> Result<()> {
        for (name, _) in MODELS {
            let weights = open(Path::new(name))?;
            assert!(name.starts_with(&weights.config.task().to_string()), "{name}");
        }
        for task in [Task::Pretrain, Task::Fold, Task::Coding, Task::Mirtarget] {
            assert_eq!(load(task)?.config.task(), task);
        }
        assert_eq!(open(Path::new("pretrain-k5"))?.config.encoder.k(), 5);
        Ok(())
    }

    /// Of the pairs in testdata, which training may have seen: this is about the model being whole, not being good.
    #[test]
    fn known_sites_are_told_from_pairs_that_are_none() -> Result<()> {
        let weights = load(Task::Mirtarget)?;
        let model = MirtargetModel::of_parameters(&weights.config, &weights.parameters, weights.background)?;
        let records = mirtarget::read(include_str!("../../../testdata/mirna_pairs.tsv").as_bytes(), "mirna_pairs.tsv")?;
        assert_eq!(records.len(), 16);
        let pairs: Vec<Pair> =
            records.iter().map(|record| Pair { mirna: &record.mirna, site: &record.target }).collect();
        let found = model.predict(&pairs, |index| records[index].id.clone())?;
        let right = records.iter().zip(&found).filter(|(record, it)| record.label == (it.probability > 0.5)).count();
        assert!(right >= 13, "{found:?}");
        Ok(())
    }

    #[test]
    fn an_unknown_name_gets_the_names_that_there_are() {
        let error = open(Path::new("folding")).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("folding") && error.contains("pretrain-k5"), "{error}");
    }

    #[test]
    fn together_they_leave_room_in_a_package() {
        let bytes: u64 = cards().iter().map(|(_, file)| std::fs::metadata(file).map_or(0, |data| data.len())).sum();
        assert!((1..=9_000_000).contains(&bytes), "{bytes}");
    }

    /// What travels inside, and the card of each.
    fn cards() -> Vec<(PathBuf, PathBuf)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        let names = MODELS.iter().map(|(name, _)| (*name, "safetensors")).chain([("known-structures", "dbn.zst")]);
        names.map(|(name, kind)| (folder.join(format!("{name}.md")), folder.join(format!("{name}.{kind}")))).collect()
    }

    #[test]
    fn every_card_is_about_the_file_beside_it() -> std::io::Result<()> {
        for (card, file) in cards() {
            let digest: String =
                Sha256::digest(std::fs::read(&file)?).iter().map(|byte| format!("{byte:02x}")).collect();
            assert!(std::fs::read_to_string(&card)?.contains(&digest), "{}: {digest}", card.display());
        }
        Ok(())
    }
}
