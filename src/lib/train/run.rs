//! The training loop: passes, steps, validation, checkpoints, and an end that can be continued.
//!
//! A step takes a batch, cuts it into micro-batches that do not depend on the number of threads, lets the threads work
//! on them side by side, and adds the gradients up in a fixed order. What is random in a step follows from the seed and
//! from where the run stands. So a run resumed from any checkpoint, on any number of threads, ends with the same weights
//! to the last bit (on the CPU).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Instant;

use candle_core::{DType, Var};
use rand::Rng;
use rayon::prelude::*;

use super::checkpoint::{Best, Checkpoint, CheckpointFolder, Progress, RunningSums};
use super::config::TrainConfig;
use super::data::Records;
use super::data::batches::{BatchSize, Pass, micro_batches};
use super::data::pretrain::{PretrainRecords, Stream};
use super::folder::{BEST, CHECKPOINTS, METRICS, MODEL, RunFolder};
use super::gradients::{Contribution, StepSum};
use super::metrics_table::{MetricsTable, Row};
use super::objective::Objective;
use super::optimiser::{AdamW, AdamWSettings};
use super::progress::TrainingBar;
use super::random::{Purpose, generator};
use super::signals::Interrupt;
use crate::memory::in_halves;
use crate::model::device::Compute;
use crate::model::ops::dropout::Dropout;
use crate::model::{ModelConfig, Parameters, Weights, weights};
use crate::{Error, Result};

/// The records of each pass.
pub trait Passes<D> {
    /// The records of pass `number` (from 0), or `None` where there is no such pass.
    ///
    /// # Errors
    /// Where records cannot be read.
    fn pass(&mut self, number: u64) -> Result<Option<&D>>;

    /// Whether the records come again in every pass, so that only a number of passes or steps ends the run.
    fn repeat(&self) -> bool {
        true
    }
}

/// The same records in every pass.
pub struct Repeated<D>(pub D);

impl<D> Passes<D> for Repeated<D> {
    fn pass(&mut self, _number: u64) -> Result<Option<&D>> {
        Ok(Some(&self.0))
    }
}

/// Standard input: each window of records is a pass, and there is no way back.
pub struct Streamed {
    stream: Stream,
    next: u64,
    window: Option<PretrainRecords>,
}

impl Streamed {
    /// Passes over the windows of `stream`.
    pub fn new(stream: Stream) -> Self {
        Self { stream, next: 0, window: None }
    }
}

impl Passes<PretrainRecords> for Streamed {
    fn pass(&mut self, number: u64) -> Result<Option<&PretrainRecords>> {
        // A resumed run reads again what it had read, and passes it over.
        while self.next <= number {
            self.window = self.stream.next_window()?;
            self.next += 1;
            if self.window.is_none() {
                return Ok(None);
            }
        }
        Ok(self.window.as_ref())
    }

    fn repeat(&self) -> bool {
        false
    }
}

/// Everything that a run is made of.
pub struct Run<O: Objective> {
    /// What is minimised.
    pub objective: O,
    /// Hyperparameters.
    pub config: TrainConfig,
    /// What is trained.
    pub model: ModelConfig,
    /// Where to train, and what the layers compute with; weights and moments are f32.
    pub compute: Compute,
    /// The weights to start from, on the CPU.
    pub start: Parameters,
    /// Records held out; fixed for the whole run.
    pub validation: Vec<O::Example>,
    /// The run folder, which holds no other run.
    pub folder: RunFolder,
    /// What the run is made of, as JSON, for its checkpoints.
    pub record: serde_json::Value,
    /// Where to go on, with the checkpoint's path.
    pub checkpoint: Option<(PathBuf, Checkpoint)>,
    /// Free-form JSON that the final weights carry: data, command.
    pub provenance: serde_json::Value,
    /// Raised by signals.
    pub interrupt: Interrupt,
    /// Whether a progress bar is unwanted.
    pub quiet: bool,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All steps are done; the weights are in the run folder.
    Finished,
    /// A signal came; the same command goes on from the checkpoint.
    Interrupted,
}

/// The checkpoints of the run in `folder`.
pub fn checkpoints(folder: &RunFolder, config: &TrainConfig) -> CheckpointFolder {
    CheckpointFolder::new(folder.file(CHECKPOINTS), config.checkpoints_kept)
}

/// What changes as a run goes on.
struct State {
    progress: Progress,
    optimiser: AdamW,
    table: MetricsTable,
    checkpoints: CheckpointFolder,
    /// Whether the newest checkpoint says all this.
    saved: bool,
}

impl<O: Objective> Run<O> {
    /// Trains until the steps or passes are done, validation no longer improves, or a signal comes. Goes on from the
    /// checkpoint where there is one; where that is the end of the run, it stays as it is.
    ///
    /// # Errors
    /// Where data cannot be read or the folder not written; where the checkpoint is not this run's; where the loss is no
    /// longer finite, naming the step and the last good checkpoint.
    pub fn run(mut self, training: &mut dyn Passes<O::Data>) -> Result<Outcome> {
        let variables = self
            .start
            .iter()
            .filter(|(name, _)| !(self.config.freeze && name.starts_with("encoder.")))
            .map(|(name, tensor)| Ok((name.clone(), Var::from_tensor(&tensor.to_device(&self.compute.device)?)?)))
            .collect::<Result<BTreeMap<String, Var>>>()?;
        let settings = AdamWSettings {
            beta1: self.config.beta1,
            beta2: self.config.beta2,
            epsilon: self.config.epsilon,
            weight_decay: self.config.weight_decay,
            clip_norm: self.config.clip_norm,
            ema_decay: self.config.ema_decay,
        };
        let mut optimiser = AdamW::new(variables.clone(), settings)?;
        let mut progress = Progress::default();
        let resumed = self.checkpoint.take();
        let begun = resumed.is_some();
        if let Some((path, mut checkpoint)) = resumed {
            checkpoint.rename(variables.keys().map(|own| (weights::published_name(own, self.model.task()), own)));
            for (name, variable) in &variables {
                let tensor = checkpoint.weights.get(name).filter(|tensor| tensor.shape() == variable.shape());
                let tensor = tensor.ok_or_else(|| {
                    let message = format!("the checkpoint lacks the weights {name} {:?}", variable.dims());
                    Error::weights(&path, message)
                })?;
                variable.set(&tensor.to_device(&self.compute.device)?)?;
            }
            progress = checkpoint.progress;
            optimiser
                .restore(progress.step, &checkpoint.optimiser)
                .map_err(|error| Error::weights(&path, error.to_string()))?;
        }
        // Tensors that take no part in training stay as they are.
        let mut parameters = self.compute.place(&self.start)?;
        parameters.extend(variables.iter().map(|(name, variable)| (name.clone(), variable.as_tensor().clone())));
        let path = self.folder.file(METRICS);
        let table = MetricsTable::open(&path, &self.validation_columns(), progress.step, progress.rows)?;
        let checkpoints = checkpoints(&self.folder, &self.config);
        progress.rows = Some(table.rows());
        let mut state = State { progress, optimiser, table, checkpoints, saved: begun };
        let first = state.progress.step;
        if self.stopped_early(&state.progress) {
            log::info!(
                "this run is finished: no validation was better after step {}",
                state.progress.best.map_or(0, |best| best.step)
            );
        } else if self.is_done(&state.progress, training.repeat()) {
            log::info!("this run is finished after {first} steps: with more --steps or --epochs it goes on");
        } else if begun {
            log::info!("resuming after step {first}");
        }
        let outcome = self.train(training, &parameters, &mut state);
        let outcome = match outcome.and_then(|outcome| self.last_validation(outcome, &mut state)) {
            Err(Error::Interrupted) => Outcome::Interrupted,
            outcome => outcome?,
        };
        if !state.saved {
            self.save(&mut state)?;
        }
        if outcome == Outcome::Finished {
            self.finish(&state)?;
        }
        Ok(outcome)
    }

    /// Whether nothing is left to train.
    fn is_done(&self, progress: &Progress, repeat: bool) -> bool {
        let TrainConfig { steps, epochs, .. } = self.config;
        let all_steps = steps > 0 && progress.step >= steps;
        let all_passes = steps == 0 && epochs > 0 && progress.epoch >= epochs && repeat;
        all_steps || all_passes || self.stopped_early(progress)
    }

    /// Whether validation no longer improves.
    fn stopped_early(&self, progress: &Progress) -> bool {
        let patience = self.config.patience;
        patience > 0 && progress.validations_without_improvement >= patience
    }

    /// Step after step, to the end of the run or to a signal.
    fn train(&self, training: &mut dyn Passes<O::Data>, parameters: &Parameters, state: &mut State) -> Result<Outcome> {
        let schedule = self.config.schedule();
        let steps = (self.config.steps > 0).then_some(self.config.steps);
        let bar = TrainingBar::new(steps, state.progress.step, self.quiet);
        let size = BatchSize {
            records: self.config.batch_records,
            tokens: self.config.batch_tokens,
            micro_tokens: self.config.micro_tokens,
        };
        let repeat = training.repeat();
        if self.validation_is_due(&state.progress) {
            // A signal ended it.
            self.after_step(state)?;
        }
        loop {
            if self.is_done(&state.progress, repeat) {
                return Ok(Outcome::Finished);
            }
            let epoch = state.progress.epoch;
            let Some(records) = training.pass(epoch)? else { return Ok(Outcome::Finished) };
            let pass = Pass::new(records.len(), |index| records.tokens(index), size, self.config.seed, epoch);
            if pass.batches() == 0 {
                return Err(Error::Failed("no record is left to train on: see --min-length and --max-length".into()));
            }
            while (state.progress.batch as usize) < pass.batches() {
                if self.is_done(&state.progress, repeat) {
                    return Ok(Outcome::Finished);
                }
                self.interrupt.check()?;
                let began = Instant::now();
                let batch = pass.batch(state.progress.batch as usize);
                let step = state.progress.step + 1;
                let variables = state.optimiser.variables();
                let sum = self.gradient(records, batch, parameters, variables, &state.progress)?;
                let rate = schedule.rate(step);
                let norm = if sum.loss().is_finite() { state.optimiser.step(&sum, rate)? } else { f64::NAN };
                if !norm.is_finite() {
                    let last = match state.checkpoints.newest_path() {
                        Some(path) => format!("the last good checkpoint is {}", path.display()),
                        None => "there is no checkpoint yet".into(),
                    };
                    return Err(Error::Failed(format!(
                        "the loss is not finite at step {step}; {last}: try a lower --learning-rate or --clip-norm"
                    )));
                }
                let progress = &mut state.progress;
                progress.step = step;
                progress.batch += 1;
                progress.records += batch.len() as u64;
                progress.tokens += sum.tokens();
                progress.gradient_norm = norm;
                let running = &mut progress.since_last_row;
                running.loss += sum.loss();
                running.weight += sum.weight();
                running.tokens += sum.tokens();
                running.seconds += began.elapsed().as_secs_f64();
                bar.at(step, running.loss / running.weight, running.tokens as f64 / running.seconds);
                state.saved = false;
                self.after_step(state)?;
            }
            state.progress.epoch += 1;
            state.progress.batch = 0;
            state.saved = false;
        }
    }

    /// Whether the step where the run stands is one to validate after, and that has not been done.
    fn validation_is_due(&self, progress: &Progress) -> bool {
        let TrainConfig { validate_every, .. } = self.config;
        let at_this_step = validate_every > 0 && progress.step > 0 && progress.step.is_multiple_of(validate_every);
        at_this_step && !self.validation.is_empty() && progress.last_validation != progress.step
    }

    /// The validation, the row and the checkpoint that are due after a step.
    fn after_step(&self, state: &mut State) -> Result<()> {
        if self.validation_is_due(&state.progress) {
            self.validate(state)?;
        } else if state.progress.step.is_multiple_of(self.config.log_every) {
            self.log(state, None)?;
        }
        if state.progress.step.is_multiple_of(self.config.checkpoint_every) {
            self.save(state)?;
        }
        Ok(())
    }

    /// The validation of a finished run's last weights.
    fn last_validation(&self, outcome: Outcome, state: &mut State) -> Result<Outcome> {
        let validated = self.validation.is_empty() || state.progress.last_validation == state.progress.step;
        if outcome == Outcome::Finished && !validated {
            self.validate(state)?;
        }
        Ok(outcome)
    }

    /// Appends a row for the steps since the last one to metrics.tsv.
    fn log(&self, state: &mut State, figures: Option<&[f64]>) -> Result<()> {
        let row = running_row(&state.progress, self.config.schedule().rate(state.progress.step));
        state.table.append(&row, figures)?;
        state.progress.since_last_row = RunningSums::default();
        state.progress.rows = Some(state.table.rows());
        state.saved = false;
        Ok(())
    }

    fn save(&self, state: &mut State) -> Result<()> {
        state.checkpoints.write(&Checkpoint {
            progress: state.progress.clone(),
            run: self.record.clone(),
            weights: state.optimiser.weights(),
            optimiser: state.optimiser.state()?,
        })?;
        state.saved = true;
        Ok(())
    }

    /// The gradient of one batch. On the CPU by all threads of the current rayon pool, on a GPU one micro-batch after the
    /// other, the next one made ready meanwhile.
    fn gradient(
        &self,
        records: &O::Data,
        batch: &[u32],
        parameters: &Parameters,
        variables: &[Var],
        progress: &Progress,
    ) -> Result<StepSum> {
        // A GPU takes a whole batch at once where records share micro-batches at all, and halves it where memory runs out.
        let micro_tokens = match self.compute.device.is_cpu() || self.config.micro_tokens == 1 {
            true => self.config.micro_tokens,
            false => self.config.micro_tokens.max(self.config.batch_tokens),
        };
        let micro = micro_batches(batch, |index| records.tokens(index), micro_tokens);
        let sum = Mutex::new(StepSum::new(variables.len()));
        let prepare = |indices: &[u32]| -> Result<Vec<O::Example>> {
            let place = [progress.epoch, progress.batch];
            let example = |&index: &u32| {
                let mut random = generator(self.config.seed, Purpose::Record, &[place[0], place[1], u64::from(index)]);
                records.example(index as usize, &mut random)
            };
            indices.iter().map(example).collect()
        };
        let compute = |number: usize, examples: &[O::Example]| -> Result<()> {
            let seed = generator(self.config.seed, Purpose::Dropout, &[progress.step, number as u64]).random::<u64>();
            let parts = self.contributions(&micro[number], examples, parameters, variables, seed)?;
            let mut sum = sum.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            sum.add(number, parts)
        };
        if self.compute.device.is_cpu() {
            // One at a time, so that no thread keeps two while another has none.
            let parts = micro.par_iter().enumerate().with_max_len(1);
            parts.try_for_each(|(number, indices)| compute(number, &prepare(indices)?))?;
        } else {
            let mut ready = prepare(&micro[0])?;
            for number in 0..micro.len() {
                let next = || micro.get(number + 1).map_or(Ok(Vec::new()), |indices| prepare(indices));
                let (done, next) = rayon::join(|| compute(number, &ready), next);
                done?;
                ready = next?;
            }
        }
        Ok(sum.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Loss and gradient of a micro-batch; where memory runs out, of its halves one after the other.
    fn contributions(
        &self,
        indices: &[u32],
        examples: &[O::Example],
        parameters: &Parameters,
        variables: &[Var],
        seed: u64,
    ) -> Result<Vec<Contribution>> {
        let numbered: Vec<(usize, &O::Example)> = examples.iter().enumerate().collect();
        let work = |part: &[(usize, &O::Example)]| -> Result<Contribution> {
            // The whole micro-batch has the seed itself; a part of it one of its own.
            let seed = if part.len() == examples.len() { seed } else { seed ^ (part[0].0 as u64 + 1) << 32 };
            let mut dropout = Dropout::new(self.config.dropout, seed);
            let examples: Vec<&O::Example> = part.iter().map(|(_, example)| *example).collect();
            let loss = match self.compute.precision {
                DType::F32 => self.objective.loss(&self.model, parameters, &examples, &mut dropout)?,
                // The layers see the weights rounded; the gradient reaches the weights as they are.
                precision => {
                    let rounded = parameters
                        .iter()
                        .map(|(name, tensor)| Ok((name.clone(), tensor.to_dtype(precision)?)))
                        .collect::<Result<Parameters>>()?;
                    self.objective.loss(&self.model, &rounded, &examples, &mut dropout)?
                }
            };
            let store = loss.surrogate.backward()?;
            Ok(Contribution::new(loss.loss, loss.weight, loss.tokens, variables, store))
        };
        let alone = |(place, _): &(usize, &O::Example), error| -> Result<()> {
            let (index, length) = (indices[*place], self.config.max_length);
            Err(Error::OutOfMemory(format!(
                "record {} of the training data does not fit in memory alone: {error}; lower --max-length ({length}) or \
                 use a smaller model",
                index + 1
            )))
        };
        let mut parts = Vec::new();
        in_halves(&numbered, work, alone, |_, contribution| {
            parts.push(contribution);
            Ok(())
        })?;
        Ok(parts)
    }

    fn validation_columns(&self) -> Vec<&'static str> {
        self.objective.figures().to_vec()
    }

    /// The weights as they would be kept now.
    fn result(&self, optimiser: &AdamW) -> Result<Parameters> {
        let mut parameters = self.start.clone();
        parameters.extend(optimiser.result()?);
        Ok(parameters)
    }

    /// A row with figures on the held-out records; keeps the weights if they are the best so far. Where a signal ends it,
    /// nothing of the state has changed.
    fn validate(&self, state: &mut State) -> Result<()> {
        let parameters = self.result(&state.optimiser)?;
        let placed = self.compute.place(&parameters)?;
        let report = self.objective.evaluate(&self.model, &placed, &self.validation, &self.interrupt)?;
        let figures: Vec<f64> = report.figures.iter().map(|&(_, value)| value).collect();
        let value = figures[0];
        let progress = &mut state.progress;
        progress.last_validation = progress.step;
        let better = progress.best.is_none_or(|best| match self.objective.smaller_is_better() {
            true => value < best.value,
            false => value > best.value,
        });
        if better {
            progress.best = Some(Best { value, step: progress.step });
            progress.validations_without_improvement = 0;
            self.write_model(BEST, parameters, progress, &report.figures)?;
        } else {
            progress.validations_without_improvement += 1;
        }
        let text: Vec<String> = report.figures.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
        log::info!("step {}: {}", progress.step, text.join(", "));
        self.log(state, Some(&figures))
    }

    /// Leaves the best weights in the folder: those of the best validation, or the last ones without validation.
    fn finish(&self, state: &State) -> Result<()> {
        if self.validation.is_empty() {
            return self.write_model(MODEL, self.result(&state.optimiser)?, &state.progress, &[]);
        }
        let best = self.folder.file(BEST);
        let bytes = std::fs::read(&best).map_err(|source| Error::read(&best, source))?;
        self.folder.write_if_other(MODEL, &bytes)
    }

    fn write_model(
        &self,
        name: &str,
        parameters: Parameters,
        progress: &Progress,
        figures: &[(&str, f64)],
    ) -> Result<()> {
        let path = self.folder.file(name);
        let mut provenance = self.provenance.clone();
        if let Some(entries) = provenance.as_object_mut() {
            entries.insert("step".into(), progress.step.into());
            entries.insert("records".into(), progress.records.into());
            entries.insert("tokens".into(), progress.tokens.into());
            let figures: serde_json::Map<String, serde_json::Value> =
                figures.iter().map(|&(name, value)| (name.to_string(), value.into())).collect();
            entries.insert("validation".into(), figures.into());
        }
        let weights = Weights {
            config: self.model.clone(),
            parameters,
            provenance,
            // It belongs to the weights that it was fitted to.
            calibration: None,
            background: None,
            source: path.clone(),
            checksum: String::new(),
        };
        self.folder.write_if_other(name, &weights::write(&weights, weights::Storage::F32)?)
    }
}

/// The row of metrics.tsv for the steps since the last one; NaN where there were none.
fn running_row(progress: &Progress, learning_rate: f64) -> Row {
    let running = &progress.since_last_row;
    Row {
        step: progress.step,
        epoch: progress.epoch + 1,
        records: progress.records,
        tokens: progress.tokens,
        loss: running.loss / running.weight,
        learning_rate,
        gradient_norm: progress.gradient_norm,
        tokens_per_second: running.tokens as f64 / running.seconds,
    }
}
