//! rnaret-train: data in, models out.

use std::path::PathBuf;
use std::process::ExitCode;

use rnaret::cli::numbers::{self, Range};
use rnaret::cli::{self, CommonArgs, DeviceArgs, Files, Output, OutputArgs, Termination, Tool};
use rnaret::format::dot_bracket;
use rnaret::homologs::{Source, representatives};
use rnaret::model::device::{self, Purpose};
use rnaret::model::weights::{self, ImportOptions, Storage};
use rnaret::model::{Encoder, Task, Weights, default_model, open_weights};
use rnaret::structure::Structure;
use rnaret::train::config::{ConfigFile, HeldOutFlags, Inputs, Sizes, TrainFlags};
use rnaret::train::data::fold::read_files as read_structures;
use rnaret::train::data::labelled;
use rnaret::train::data::split::split;
use rnaret::train::energies::{self, EnergyFit, Measure};
use rnaret::train::folder::{CHECKPOINTS, CONFIG, FILES as RUN_FILES};
use rnaret::train::run::Outcome;
use rnaret::train::settings::to_table;
use rnaret::train::signals::INTERRUPTED;
use rnaret::train::tasks::{
    self, ClassifyTask, CodingTask, Evaluation, FoldTask, Job, LabelTask, LoadRecords, MirtargetTask, OwnArguments,
    PretrainTask, RegressTask, Request, TrainingTask, with_defaults,
};
use rnaret::train::zero_shot;
use rnaret::{Error, Result};

/// Train, fine-tune, evaluate and import models
///
/// Every run lives in a folder: its resolved configuration, metrics.tsv, checkpoints, the weights that did best in a
/// validation so far as best.safetensors, and once it is finished its result as model.safetensors. Killed at any moment,
/// the same command goes on from the last checkpoint and ends with the same weights; other settings, data or first weights
/// are refused, and so is a second process. SIGTERM, SIGUSR1 and Ctrl-C write a checkpoint first and exit with status 3.
#[derive(clap::Parser)]
#[command(name = "rnaret-train", version, after_help = EXAMPLES, subcommand_required = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,

    #[command(flatten)]
    common: CommonArgs,
}

const EXAMPLES: &str = "Examples:
  rnaret-train import testdata/golden/k1_fold.pth -o fold.safetensors
  rnaret-train mirtarget --run run --layers 2 --steps 5 testdata/mirna_pairs.tsv";

#[derive(clap::Subcommand)]
enum Command {
    /// Masked language modelling on FASTA, FASTQ or token tables (masked or not)
    #[command(mut_args(with_defaults::<PretrainTask>))]
    Pretrain(TrainArgs<PretrainTask>),
    /// Secondary structures: dot-bracket, CT, BPSEQ, or TSV with columns id, seq, dotbracket
    #[command(mut_args(with_defaults::<FoldTask>))]
    Fold(TrainArgs<FoldTask>),
    /// Coding regions: TSV with columns id, seq, cds_start0, cds_end; or FASTA with CDS:start-end in its headers
    #[command(mut_args(with_defaults::<CodingTask>))]
    Coding(TrainArgs<CodingTask>),
    /// miRNA targets: TSV with columns mirna, mirna_seq, target, target_seq, label
    #[command(mut_args(with_defaults::<MirtargetTask>))]
    Mirtarget(TrainArgs<MirtargetTask>),
    /// Classes of RNAs: TSV with columns id, seq, label
    #[command(mut_args(with_defaults::<ClassifyTask>))]
    Classify(TrainArgs<ClassifyTask>),
    /// Values of RNAs: TSV with columns id, seq, value
    #[command(mut_args(with_defaults::<RegressTask>))]
    Regress(TrainArgs<RegressTask>),
    /// Classes or values of nucleotides: TSV with columns id, seq, labels
    #[command(mut_args(with_defaults::<LabelTask>))]
    Label(TrainArgs<LabelTask>),
    /// Figures of a model on labelled data
    Evaluate(EvaluateArgs),
    /// Parameters of the nearest-neighbour model from known structures: Turner 2004 corrected so that they become likely
    Energies(EnergiesArgs),
    /// Known structures for --known-structures: those of the given files, of near-identical sequences the first, as
    /// dot-bracket
    Condense(CondenseArgs),
    /// Fit what a model needs beside its network. Coding: which reading frame codes, and which transcripts are mRNAs, whole
    /// or cut, at the one threshold of 0.5. Mirtarget: windows of background, and the level at which few of them are taken for
    /// sites, whichever the miRNA is
    Calibrate(CalibrateArgs),
    /// Turn published PyTorch weights (.pth) into a model file, or a model file into one of 16 bits
    Import(ImportArgs),
}

/// One run. A record that is wrong ends it, and is named: a run on fewer records would be another run.
#[derive(clap::Args)]
struct TrainArgs<T: TrainingTask> {
    /// Training data; - is standard input. By default that of --config
    #[arg(required_unless_present = "config", value_name = "DATA", help_heading = "Input")]
    data: Vec<PathBuf>,

    /// Validation data instead of a held-out part of the training data
    #[arg(long, value_name = "DATA", help_heading = "Input")]
    validation: Option<PathBuf>,

    /// TOML file of settings, sizes and inputs, such as the config.toml of a run; flags override it
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    config: Option<PathBuf>,

    #[command(flatten)]
    own: T::Arguments,

    /// The run folder: created, or resumed where it holds a checkpoint
    #[arg(long, value_name = "FOLDER", help_heading = "Output")]
    run: PathBuf,

    /// Weights whose encoder to start from (a pretrained model, or one of another task); its sizes are taken over
    #[arg(long, value_name = "PATH", help_heading = "Model")]
    model: Option<PathBuf>,

    #[command(flatten)]
    sizes: Sizes,

    #[command(flatten)]
    settings: TrainFlags,

    #[command(flatten)]
    device: DeviceArgs,
}

#[derive(clap::Args)]
struct EvaluateArgs {
    /// Labelled data, as the task's training takes it
    #[arg(required = true, value_name = "DATA", help_heading = "Input")]
    data: Vec<PathBuf>,

    /// BED, GFF3 or GTF that says where the CDS of each FASTA record is (coding)
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    annotation: Option<PathBuf>,

    /// Known structures among which fold models look for homologs of a record that are no copies of it: built-in, none, or
    /// a file of structures in any format that is read; may be repeated. By default built-in, for models that read them
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, help_heading = "Input")]
    known_structures: Vec<Source>,

    /// Data that rules which learn are fitted to, with --held-out by default the rest of DATA (coding, mirtarget, classify,
    /// regress, label)
    #[arg(long, value_name = "DATA", requires = "baseline", help_heading = "Input")]
    baseline_training: Vec<PathBuf>,

    /// Evaluate only what a run with this seed, --validation-fraction and --split-by would hold out
    #[arg(long, help_heading = "Records")]
    held_out: bool,

    #[command(flatten)]
    records: HeldOutFlags,

    /// The task
    #[arg(long, value_enum, help_heading = "Model")]
    task: Task,

    /// Weights; the built-in model of the task by default
    #[arg(long, value_name = "PATH", help_heading = "Model")]
    model: Option<PathBuf>,

    /// What the language model knows without training for the task: base pairs in its attention (--task structure), layer, head
    /// and threshold chosen by the held-out part of the records, figures of the others; or families in its embeddings (--task
    /// families). Any Transformer; families, any model
    #[arg(long, requires = "model", conflicts_with_all = ["held_out", "baseline", "per_record"])]
    zero_shot: bool,

    /// Numbers that embeddings are brought to by their lowest frequencies, so that models of any width are compared
    /// (--zero-shot --task families)
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = numbers::parser::<usize>(Range::AT_LEAST_1))]
    embedding_dimension: usize,

    /// Also print what simple rules reach on the same records: pairs by free energy alone and those of the best homolog
    /// (fold), the longest open reading frame and a logistic regression on k-mers (coding), a match of the seed
    /// (mirtarget), a regression on k-mers and the five nearest neighbours by 3-mers (classify, regress), the means of
    /// nucleotides with the same neighbours, or paired alike by free energy (label)
    #[arg(long, help_heading = "Output")]
    baseline: bool,

    /// Write a row per record to this TSV
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    per_record: Option<PathBuf>,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    device: DeviceArgs,
}

#[derive(clap::Args)]
struct EnergiesArgs {
    /// Structures: dot-bracket, CT, BPSEQ, or TSV with columns id, seq, dotbracket
    #[arg(required = true, value_name = "DATA")]
    data: Vec<PathBuf>,

    #[command(flatten)]
    fit: EnergyFit,

    #[command(flatten)]
    output: OutputArgs,
}

#[derive(clap::Args)]
struct CondenseArgs {
    /// Structures: dot-bracket, CT, BPSEQ, or TSV with columns id, seq, dotbracket
    #[arg(required = true, value_name = "DATA")]
    data: Vec<PathBuf>,

    #[command(flatten)]
    output: OutputArgs,
}

#[derive(clap::Args)]
struct ImportArgs {
    /// Published weights (.pt, .pth), a folder of multimolecule or Hugging Face (config.json, vocab.txt and the weights), or a
    /// model file
    #[arg(value_name = "WEIGHTS")]
    input: PathBuf,

    /// Attention heads of a published model whose file does not tell them; those of the published sizes are known
    #[arg(long, value_name = "N", value_parser = numbers::parser::<usize>(Range::AT_LEAST_1))]
    heads: Option<usize>,

    /// The model file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// Write the mean of these weights and INPUT's, of a model of the same shape that was trained further or apart from it
    #[arg(long, value_name = "WEIGHTS")]
    mean_with: Option<PathBuf>,

    /// Store 16 bits per number
    #[arg(long)]
    half: bool,
}

#[derive(clap::Args)]
struct CalibrateArgs {
    /// Transcripts as `coding` takes them: those that it trained on and those that it held out. What is fitted are half of
    /// those held out; the other half is what --held-out with half the --validation-fraction evaluates. For a mirtarget model
    /// pairs as `mirtarget` takes them, of which the miRNAs count
    #[arg(required = true, value_name = "DATA")]
    data: Vec<PathBuf>,

    /// The trained model, of coding or mirtarget
    #[arg(long, value_name = "PATH")]
    model: PathBuf,

    /// The model file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// BED, GFF3 or GTF that says where the CDS of each FASTA record is (coding)
    #[arg(long, value_name = "FILE")]
    annotation: Option<PathBuf>,

    /// Targets of which the windows of background are made, in a random order of their dinucleotides: FASTA (mirtarget)
    #[arg(long, value_name = "FASTA")]
    background: Option<PathBuf>,

    /// Store 16 bits per number
    #[arg(long)]
    half: bool,

    #[command(flatten)]
    records: HeldOutFlags,
}

impl Tool for Arguments {
    fn common(&self) -> &CommonArgs {
        &self.common
    }

    fn declare(&self, files: &mut Files) {
        match &self.command {
            Command::Evaluate(arguments) => arguments.declare(files),
            Command::Energies(arguments) => {
                files.reads(&arguments.data);
                arguments.output.declare(files);
            }
            Command::Condense(arguments) => {
                files.reads(&arguments.data);
                arguments.output.declare(files);
            }
            Command::Calibrate(arguments) => {
                let CalibrateArgs { data, model, annotation, background, output, .. } = arguments;
                files.reads(data.iter().chain(annotation).chain(background).chain([model]));
                files.writes([output]);
            }
            Command::Import(arguments) => {
                files.reads([&arguments.input]);
                files.reads(&arguments.mean_with);
                files.writes([&arguments.output]);
            }
            Command::Pretrain(arguments) => arguments.declare(files),
            Command::Fold(arguments) => arguments.declare(files),
            Command::Coding(arguments) => arguments.declare(files),
            Command::Mirtarget(arguments) => arguments.declare(files),
            Command::Classify(arguments) => arguments.declare(files),
            Command::Regress(arguments) => arguments.declare(files),
            Command::Label(arguments) => arguments.declare(files),
        }
    }

    fn termination(&self) -> Termination {
        use Command::{Calibrate, Condense, Energies, Evaluate, Import};
        match self.command {
            Evaluate(_) | Energies(_) | Condense(_) | Calibrate(_) | Import(_) => Termination::RemoveOutput,
            // Training ends with a checkpoint.
            _ => Termination::Own,
        }
    }
}

impl<T: LoadRecords> TrainArgs<T> {
    fn declare(&self, files: &mut Files) {
        files.reads(self.inputs().files());
        // Its own settings stay what they are: a run does not go on with others.
        let own = self.run.join(CONFIG).canonicalize().ok();
        files.reads(self.config.iter().filter(|config| own.is_none() || config.canonicalize().ok() != own));
        files.writes_into([&self.run]);
        files.writes(RUN_FILES.map(|name| self.run.join(name)));
        files.owns([self.run.join(CHECKPOINTS)]);
    }

    /// The inputs that flags name.
    fn inputs(&self) -> Inputs {
        let Self { data, validation, model, .. } = self;
        let (data, validation, model) = (data.clone(), validation.clone(), model.clone());
        Inputs { data, validation, model, ..self.own.inputs() }
    }

    fn train(self, common: &CommonArgs) -> Result<Outcome> {
        let inputs = self.inputs();
        let mut file = self.config.as_deref().map(ConfigFile::read).transpose()?.unwrap_or_default();
        file.inputs = file.inputs.beside(&inputs);
        cli::also_reads(file.inputs.files())?;
        let own_flags = self.own.settings()?;
        let request = Request { file, inputs, sizes: self.sizes, flags: self.settings, own_flags };
        let (setup, start) = request.resolve::<T>()?;
        let mut compute = device::select(self.device, Purpose::Training)?;
        if !setup.model.encoder.runs_on_gpu() {
            compute = compute.on_cpu(self.device)?;
        }
        cli::note_run(&self.run);
        if let Some(weights) = &start {
            cli::note_model(&weights.source, &weights.checksum);
        }
        let (quiet, tally) = (common.quiet, cli::tally());
        let job = Job { setup, start, compute, folder: self.run, quiet, tally };
        common.thread_pool()?.install(|| tasks::train::<T>(job))
    }
}

impl EvaluateArgs {
    fn declare(&self, files: &mut Files) {
        let Self { data, model, annotation, known_structures, baseline_training, .. } = self;
        files.reads(data.iter().chain(baseline_training));
        files.reads([model, annotation].into_iter().flatten());
        files.reads(known_structures.iter().filter_map(Source::file));
        self.output.declare(files);
        files.writes(&self.per_record);
    }
}

#[global_allocator]
static ALLOCATOR: cli::Allocator = cli::Allocator;

fn main() -> ExitCode {
    cli::run_with(|arguments: Arguments| {
        let Arguments { command, common } = arguments;
        let outcome = match command {
            Command::Pretrain(arguments) => arguments.train(&common)?,
            Command::Fold(arguments) => arguments.train(&common)?,
            Command::Coding(arguments) => arguments.train(&common)?,
            Command::Mirtarget(arguments) => arguments.train(&common)?,
            Command::Classify(arguments) => arguments.train(&common)?,
            Command::Regress(arguments) => arguments.train(&common)?,
            Command::Label(arguments) => arguments.train(&common)?,
            Command::Evaluate(arguments) => evaluate(&arguments, &common)?,
            Command::Energies(arguments) => fit_energies(&arguments, &common)?,
            Command::Condense(arguments) => condense(&arguments)?,
            Command::Calibrate(arguments) => calibrate(&arguments, &common)?,
            Command::Import(arguments) => import(&arguments)?,
        };
        Ok(if outcome == Outcome::Interrupted { INTERRUPTED } else { 0 })
    })
}

fn evaluate(arguments: &EvaluateArgs, common: &CommonArgs) -> Result<Outcome> {
    let weights = match &arguments.model {
        Some(path) => open_weights(path)?,
        None => default_model(arguments.task)?,
    };
    if arguments.zero_shot {
        return zero_shot(arguments, &weights, common);
    }
    weights.check_task(arguments.task)?;
    let mut compute = device::select(arguments.device, Purpose::Inference)?;
    if !weights.config.encoder.runs_on_gpu() {
        compute = compute.on_cpu(arguments.device)?;
    }
    cli::note_model(&weights.source, &weights.checksum);
    let mut output = arguments.output.create(&arguments.data)?;
    let mut per_record = Output::create_if_named(arguments.per_record.as_deref())?;
    let evaluation = Evaluation {
        weights: &weights,
        inputs: Inputs {
            data: arguments.data.clone(),
            annotation: arguments.annotation.clone(),
            known_structures: arguments.known_structures.clone(),
            ..Inputs::default()
        },
        flags: to_table(&arguments.records)?,
        compute: &compute,
        only_held_out: arguments.held_out,
        with_baseline: arguments.baseline,
        baseline_training: &arguments.baseline_training,
        tally: cli::tally(),
    };
    let (report, rules) = common.thread_pool()?.install(|| tasks::evaluate(&evaluation))?;
    output.put(report.table(&rules).as_bytes())?;
    if let Some(mut per_record) = per_record.take() {
        per_record.put(report.record_table().as_bytes())?;
        per_record.finish()?;
    }
    output.finish()?;
    Ok(Outcome::Finished)
}

/// What a language model knows without training.
fn zero_shot(arguments: &EvaluateArgs, weights: &Weights, common: &CommonArgs) -> Result<Outcome> {
    device::select(arguments.device, Purpose::Inference)?.on_cpu(arguments.device)?;
    cli::note_model(&weights.source, &weights.checksum);
    let mut output = arguments.output.create(&arguments.data)?;
    let encoder = Encoder::new(&weights.config, &weights.parameters)?.for_inference()?;
    let (seed, fraction) = arguments.records.seed_and_fraction();
    let text = match arguments.task {
        Task::Fold => {
            let records = read_structures(&arguments.data)?.into_iter().map(|record| record.structure).collect();
            let (test, validation) =
                split(records, seed, fraction, |record: &Structure| record.id.clone().into_bytes());
            common.thread_pool()?.install(|| zero_shot::structures(&encoder, &validation, &test))?.to_table()
        }
        Task::Classify => {
            let (_, rows) = labelled::read(&arguments.data, &[], &["label", "class", "family"])?;
            let records: Vec<_> = rows.into_iter().map(|row| (row.sequence, row.labels[0].clone())).collect();
            let dimension = arguments.embedding_dimension;
            let found = common.thread_pool()?.install(|| zero_shot::families(&encoder, &records, dimension, seed))?;
            found.to_table()
        }
        _ => return Err(Error::Usage("--zero-shot has the tasks structure and families".into())),
    };
    output.put(text.as_bytes())?;
    output.finish()?;
    Ok(Outcome::Finished)
}

fn fit_energies(arguments: &EnergiesArgs, common: &CommonArgs) -> Result<Outcome> {
    let mut output = arguments.output.create(&arguments.data)?;
    let records = read_structures(&arguments.data)?;
    let seen = |measure: Measure, epoch: usize, loss: f64| match measure {
        Measure::Likelihood => log::info!("epoch {epoch}: {loss:.4} nats a structure"),
        Measure::Agreement => log::info!("epoch {epoch}: expected F1 {:.4}", 1.0 - loss),
    };
    let fitted = common.thread_pool()?.install(|| energies::fit(&records, &arguments.fit, seen))?;
    output.put(fitted.to_text().as_bytes())?;
    output.finish()?;
    Ok(Outcome::Finished)
}

fn condense(arguments: &CondenseArgs) -> Result<Outcome> {
    let mut output = arguments.output.create(&arguments.data)?;
    let structures: Vec<_> = read_structures(&arguments.data)?.into_iter().map(|record| record.structure).collect();
    let read = structures.len();
    let kept = representatives(structures);
    for structure in &kept {
        let mut record = Vec::new();
        dot_bracket::write(&mut record, structure).map_err(|error| output.error(error))?;
        output.put(&record)?;
    }
    log::info!("{} of {read} structures kept", kept.len());
    output.finish()?;
    Ok(Outcome::Finished)
}

fn calibrate(arguments: &CalibrateArgs, common: &CommonArgs) -> Result<Outcome> {
    let weights = open_weights(&arguments.model)?;
    let CalibrateArgs { data, annotation, background, records, .. } = arguments;
    let (task, flags) = (weights.config.task(), to_table(records)?);
    match (task, annotation, background) {
        (Task::Coding, _, None) | (Task::Mirtarget, None, Some(_)) => {}
        (Task::Mirtarget, None, None) => {
            return Err(Error::Usage("a mirtarget model is calibrated on --background FASTA".into()));
        }
        (Task::Coding, ..) => return Err(Error::Usage("--background is for mirtarget models".into())),
        (Task::Mirtarget, ..) => return Err(Error::Usage("--annotation is for coding models".into())),
        _ => weights.check_task(Task::Coding)?,
    }
    cli::note_model(&weights.source, &weights.checksum);
    cli::note_run(&arguments.output);
    let mut output = Output::create(Some(&arguments.output))?;
    let storage = if arguments.half { Storage::F16 } else { Storage::F32 };
    // What is stored in 16 bits is calibrated as it will be read.
    let weights = weights::parse(&weights::write(&weights, storage)?, &weights.source)?;
    let tally = cli::tally();
    let weights = common.thread_pool()?.install(|| match background {
        Some(targets) => tasks::calibrate_targets(weights, data, targets, &flags, &tally),
        None => tasks::calibrate(weights, data, annotation.as_deref(), &flags, &tally),
    })?;
    output.put(&weights::write(&weights, storage)?)?;
    output.finish()?;
    Ok(Outcome::Finished)
}

fn import(arguments: &ImportArgs) -> Result<Outcome> {
    let mut weights = weights::read_with(&arguments.input, ImportOptions { heads: arguments.heads })?;
    cli::note_model(&weights.source, &weights.checksum);
    cli::note_run(&arguments.output);
    let mut output = Output::create(Some(&arguments.output))?;
    let storage = if arguments.half { Storage::F16 } else { Storage::F32 };
    if weights.provenance.is_null() {
        weights.provenance = serde_json::json!({ "imported_from_sha256": weights.checksum });
    }
    if let Some(path) = &arguments.mean_with {
        weights = weights.mean_with(&open_weights(path)?)?;
    }
    output.put(&weights::write(&weights, storage)?)?;
    output.finish()?;
    let (name, task) = (arguments.output.display(), weights.config.task());
    log::info!("{name}: {task} model, {}, {} tensors", weights.config.encoder, weights.parameters.len());
    Ok(Outcome::Finished)
}
