//! rnaret-train: data in, models out.

use std::path::PathBuf;
use std::process::ExitCode;

use rnaret::cli::{self, CommonArgs, DeviceArgs, Files, Output, OutputArgs, Termination, Tool};
use rnaret::format::{dot_bracket, structure_reader};
use rnaret::homologs::{Source, representatives};
use rnaret::model::device::{self, Purpose};
use rnaret::model::weights::{self, Storage};
use rnaret::model::{ModelConfig, Task, default_model, open_weights};
use rnaret::sequence::{InputFile, open_text};
use rnaret::train::config::{ConfigFile, Hyperparameters, Inputs, Sizes, TrainConfig};
use rnaret::train::energies::{self, EnergyFit, Measure};
use rnaret::train::folder::{CHECKPOINTS, CONFIG, FILES as RUN_FILES};
use rnaret::train::objective::Report;
use rnaret::train::run::Outcome;
use rnaret::train::settings;
use rnaret::train::signals::INTERRUPTED;
use rnaret::train::tasks::{self, Evaluation, Job};
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
    #[command(mut_args(|argument| settings::of_task(Task::Pretrain, argument)))]
    Pretrain(TrainArgs),
    /// Secondary structures: dot-bracket, CT, BPSEQ, or TSV with columns id, seq, dotbracket
    #[command(mut_args(|argument| settings::of_task(Task::Fold, argument)))]
    Fold(TrainArgs),
    /// Coding regions: TSV with columns id, seq, cds_start0, cds_end; or FASTA with CDS:start-end in its headers
    #[command(mut_args(|argument| settings::of_task(Task::Coding, argument)))]
    Coding(TrainArgs),
    /// miRNA targets: TSV with columns mirna, mirna_seq, target, target_seq, label
    #[command(mut_args(|argument| settings::of_task(Task::Mirtarget, argument)))]
    Mirtarget(TrainArgs),
    /// Classes of RNAs: TSV with columns id, seq, label
    #[command(mut_args(|argument| settings::of_task(Task::Classify, argument)))]
    Classify(TrainArgs),
    /// Values of RNAs: TSV with columns id, seq, value
    #[command(mut_args(|argument| settings::of_task(Task::Regress, argument)))]
    Regress(TrainArgs),
    /// Classes or values of nucleotides: TSV with columns id, seq, labels
    #[command(mut_args(|argument| settings::of_task(Task::Label, argument)))]
    Label(TrainArgs),
    /// Figures of a model on labelled data
    #[command(mut_args(settings::of_evaluation))]
    Evaluate(EvaluateArgs),
    /// Parameters of the nearest-neighbour model from known structures: Turner 2004 corrected so that they become likely
    Energies(EnergiesArgs),
    /// Known structures for --known-structures: those of the given files, of near-identical sequences the first, as
    /// dot-bracket
    Condense(CondenseArgs),
    /// Fit what a coding model needs beside its network: which reading frame codes, and which transcripts are mRNAs, whole
    /// or cut, at the one threshold of 0.5
    #[command(mut_args(settings::of_evaluation))]
    Calibrate(CalibrateArgs),
    /// Turn published PyTorch weights (.pth) into a model file, or a model file into one of 16 bits
    Import(ImportArgs),
}

/// One run.
#[derive(clap::Args)]
struct TrainArgs {
    /// Training data; - is standard input. By default that of --config
    #[arg(required_unless_present = "config", value_name = "DATA")]
    data: Vec<PathBuf>,

    /// The run folder: created, or resumed where it holds a checkpoint
    #[arg(long, value_name = "FOLDER")]
    run: PathBuf,

    /// Validation data instead of a held-out part of the training data
    #[arg(long, value_name = "DATA")]
    validation: Option<PathBuf>,

    /// BED, GFF3 or GTF (transcript coordinates) that says where the CDS of each FASTA record is (coding)
    #[arg(long, value_name = "FILE")]
    annotation: Option<PathBuf>,

    /// Known structures among which fold models look for homologs of a record that are no copies of it: built-in, none,
    /// or a file of structures in any format that is read; may be repeated. By default as the model to start from had it
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    known_structures: Vec<Source>,

    /// Weights whose encoder to start from (a pretrained model, or one of another task); its sizes are taken over
    #[arg(long, value_name = "PATH")]
    model: Option<PathBuf>,

    /// TOML file of hyperparameters, sizes and inputs, such as the config.toml of a run; flags override it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(flatten)]
    device: DeviceArgs,

    #[command(flatten)]
    sizes: Sizes,

    #[command(flatten)]
    hyperparameters: Hyperparameters,
}

#[derive(clap::Args)]
struct EvaluateArgs {
    /// Labelled data, as the task's training takes it
    #[arg(required = true, value_name = "DATA")]
    data: Vec<PathBuf>,

    /// The task
    #[arg(long, value_enum)]
    task: Task,

    /// Weights; the built-in model of the task by default
    #[arg(long, value_name = "PATH")]
    model: Option<PathBuf>,

    /// BED, GFF3 or GTF that says where the CDS of each FASTA record is (coding)
    #[arg(long, value_name = "FILE")]
    annotation: Option<PathBuf>,

    /// Known structures among which fold models look for homologs of a record that are no copies of it: built-in, none,
    /// or a file of structures in any format that is read; may be repeated. By default built-in, for models that read them
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    known_structures: Vec<Source>,

    /// Evaluate only what a run with this seed, --validation-fraction and --split-by would hold out
    #[arg(long)]
    held_out: bool,

    /// Also print what simple rules reach on the same records: pairs by free energy alone and those of the best homolog
    /// (fold), the longest open reading frame and a logistic regression on k-mers (coding), a match of the seed
    /// (mirtarget), a regression on k-mers and the five nearest neighbours by 3-mers (classify, regress), the means of
    /// nucleotides with the same neighbours, or paired alike by free energy (label)
    #[arg(long)]
    baseline: bool,

    /// Data that rules which learn are fitted to, with --held-out by default the rest of DATA (coding, classify, regress, label)
    #[arg(long, value_name = "DATA", requires = "baseline")]
    baseline_training: Vec<PathBuf>,

    /// Write a row per record to this TSV
    #[arg(long, value_name = "FILE")]
    per_record: Option<PathBuf>,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    device: DeviceArgs,

    #[command(flatten)]
    hyperparameters: Hyperparameters,
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
    /// Published weights (.pth) or a model file
    #[arg(value_name = "WEIGHTS")]
    input: PathBuf,

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
    /// those held out; the other half is what --held-out with half the --validation-fraction evaluates
    #[arg(required = true, value_name = "DATA")]
    data: Vec<PathBuf>,

    /// The trained coding model
    #[arg(long, value_name = "PATH")]
    model: PathBuf,

    /// The model file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// BED, GFF3 or GTF that says where the CDS of each FASTA record is
    #[arg(long, value_name = "FILE")]
    annotation: Option<PathBuf>,

    /// Store 16 bits per number
    #[arg(long)]
    half: bool,

    #[command(flatten)]
    hyperparameters: Hyperparameters,
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
                let CalibrateArgs { data, model, annotation, output, .. } = arguments;
                files.reads(data.iter().chain(annotation).chain([model]));
                files.writes([output]);
            }
            Command::Import(arguments) => {
                files.reads([&arguments.input]);
                files.reads(&arguments.mean_with);
                files.writes([&arguments.output]);
            }
            training => training.run().into_iter().for_each(|arguments| arguments.declare(files)),
        }
    }

    fn termination(&self) -> Termination {
        match self.command.run() {
            // Training ends with a checkpoint.
            Some(_) => Termination::Own,
            None => Termination::RemoveOutput,
        }
    }
}

impl Command {
    /// The arguments of a training run, whatever it trains for.
    fn run(&self) -> Option<&TrainArgs> {
        match self {
            Self::Pretrain(arguments)
            | Self::Fold(arguments)
            | Self::Coding(arguments)
            | Self::Mirtarget(arguments)
            | Self::Classify(arguments)
            | Self::Regress(arguments)
            | Self::Label(arguments) => Some(arguments),
            Self::Evaluate(_) | Self::Energies(_) | Self::Condense(_) | Self::Calibrate(_) | Self::Import(_) => None,
        }
    }
}

impl TrainArgs {
    fn declare(&self, files: &mut Files) {
        let Self { data, run, validation, annotation, known_structures, model, config, .. } = self;
        files.reads(data);
        files.reads([validation, annotation, model].into_iter().flatten());
        // Its own settings stay what they are: a run does not go on with others.
        let own = run.join(CONFIG).canonicalize().ok();
        files.reads(config.iter().filter(|config| own.is_none() || config.canonicalize().ok() != own));
        files.reads(known_structures.iter().filter_map(Source::file));
        files.writes_into([run]);
        files.writes(RUN_FILES.map(|name| run.join(name)));
        files.owns([run.join(CHECKPOINTS)]);
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
            Command::Pretrain(arguments) => train(Task::Pretrain, arguments, &common)?,
            Command::Fold(arguments) => train(Task::Fold, arguments, &common)?,
            Command::Coding(arguments) => train(Task::Coding, arguments, &common)?,
            Command::Mirtarget(arguments) => train(Task::Mirtarget, arguments, &common)?,
            Command::Classify(arguments) => train(Task::Classify, arguments, &common)?,
            Command::Regress(arguments) => train(Task::Regress, arguments, &common)?,
            Command::Label(arguments) => train(Task::Label, arguments, &common)?,
            Command::Evaluate(arguments) => evaluate(&arguments, &common)?,
            Command::Energies(arguments) => fit_energies(&arguments, &common)?,
            Command::Condense(arguments) => condense(&arguments)?,
            Command::Calibrate(arguments) => calibrate(&arguments, &common)?,
            Command::Import(arguments) => import(&arguments)?,
        };
        Ok(if outcome == Outcome::Interrupted { INTERRUPTED } else { 0 })
    })
}

fn train(task: Task, arguments: TrainArgs, common: &CommonArgs) -> Result<Outcome> {
    let TrainArgs { data, run, validation, annotation, known_structures, model, config, .. } = arguments;
    let TrainArgs { device, sizes, hyperparameters, .. } = arguments;
    let file = config.as_deref().map(ConfigFile::read).transpose()?.unwrap_or_default();
    let inputs = Inputs { data, validation, annotation, known_structures, model }.or(file.inputs);
    let Inputs { data, validation, annotation, known_structures, model } = inputs;
    if data.is_empty() {
        return Err(Error::Usage("no training data are given, and --config names none".into()));
    }
    let config = TrainConfig::resolve(task, &file.hyperparameters, &hyperparameters)?;
    let start = model.as_deref().map(open_weights).transpose()?;
    let model = sizes.or(file.sizes).model(task, start.as_ref().map(|weights| &weights.config))?;
    // A model without homologs may learn to read them.
    let wants_some = known_structures.iter().any(|source| *source != Source::None);
    let ModelConfig { encoder, head } = model;
    let reads = wants_some || head.reads_homologs();
    let model = ModelConfig { encoder, head: head.with_homologs(reads)? };
    let known = model.known_structures(&known_structures)?;
    let reads = known.iter().any(|source| *source != Source::None);
    let model = ModelConfig { head: model.head.clone().with_homologs(reads)?, ..model };
    model.validate()?;
    let compute = device::select(device, Purpose::Training)?;
    cli::note_run(&run);
    if let Some(weights) = &start {
        cli::note_model(&weights.source, &weights.checksum);
    }
    let (quiet, tally) = (common.quiet, cli::tally());
    let job =
        Job { task, data, validation, annotation, known, start, model, config, compute, folder: run, quiet, tally };
    common.thread_pool()?.install(|| tasks::train(job))
}

fn evaluate(arguments: &EvaluateArgs, common: &CommonArgs) -> Result<Outcome> {
    let config = TrainConfig::resolve(arguments.task, &Hyperparameters::default(), &arguments.hyperparameters)?;
    let weights = match &arguments.model {
        Some(path) => open_weights(path)?,
        None => default_model(arguments.task)?,
    };
    let holds = weights.config.task();
    if holds != arguments.task {
        let message = format!("holds a {holds} model where a {} model is needed", arguments.task);
        return Err(Error::weights(&weights.source, message));
    }
    let known = weights.config.known_structures(&arguments.known_structures)?;
    let compute = device::select(arguments.device, Purpose::Inference)?;
    cli::note_model(&weights.source, &weights.checksum);
    let mut output = arguments.output.create(&arguments.data)?;
    let mut per_record = Output::create_if_named(arguments.per_record.as_deref())?;
    let (report, rules) = common.thread_pool()?.install(|| {
        let evaluation = Evaluation {
            weights: &weights,
            config: &config,
            compute: &compute,
            data: &arguments.data,
            annotation: arguments.annotation.as_deref(),
            known: &known,
            only_held_out: arguments.held_out,
            with_baseline: arguments.baseline,
            baseline_training: &arguments.baseline_training,
        };
        tasks::evaluate(&evaluation, &cli::tally())
    })?;
    output.put(table(&report, &rules).as_bytes())?;
    if let Some(per_record) = &mut per_record {
        per_record.put(format!("{}\n", report.header).as_bytes())?;
        for row in &report.rows {
            per_record.put(format!("{row}\n").as_bytes())?;
        }
    }
    if let Some(per_record) = per_record {
        per_record.finish()?;
    }
    output.finish()?;
    Ok(Outcome::Finished)
}

/// The figures, a row each, beside those of simple rules.
fn table(report: &Report, rules: &[(&str, Report)]) -> String {
    let names: String = rules.iter().map(|(name, _)| format!("\t{name}")).collect();
    let mut text = format!("figure\tmodel{names}\n");
    let mut add = |figures: &[(&str, f64)], of: &str, rules: &[&[(&str, f64)]]| {
        for &(name, value) in figures {
            text.push_str(&format!("{name}{of}\t{}", rnaret::format::number::format(value)));
            for rule in rules {
                let other = rule.iter().find(|(other, _)| *other == name);
                let other = other.map_or("NA".into(), |&(_, value)| rnaret::format::number::format(value));
                text.push_str(&format!("\t{other}"));
            }
            text.push('\n');
        }
    };
    let overall: Vec<&[(&str, f64)]> = rules.iter().map(|(_, rule)| rule.figures.as_slice()).collect();
    add(&report.figures, "", &overall);
    for (group, figures) in &report.groups {
        let same = |report: &'_ Report| report.groups.iter().position(|(other, _)| other == group);
        let of_group: Vec<&[(&str, f64)]> =
            rules.iter().map(|(_, rule)| same(rule).map_or(&[][..], |at| rule.groups[at].1.as_slice())).collect();
        add(figures, &format!(":{group}"), &of_group);
    }
    text.push_str(&format!("records\t{}{}\n", report.rows.len(), "\tNA".repeat(rules.len())));
    text
}

fn fit_energies(arguments: &EnergiesArgs, common: &CommonArgs) -> Result<Outcome> {
    let mut output = arguments.output.create(&arguments.data)?;
    let mut records = Vec::new();
    for path in &arguments.data {
        let input = InputFile::from(path.as_path());
        for structure in structure_reader::read(open_text(&input)?, &input.name())? {
            records.push(structure?.into());
        }
    }
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
    let mut structures = Vec::new();
    for path in &arguments.data {
        let input = InputFile::from(path.as_path());
        for structure in structure_reader::read(open_text(&input)?, &input.name())? {
            structures.push(structure?);
        }
    }
    let read = structures.len();
    let kept = representatives(structures);
    let mut record = Vec::new();
    for structure in &kept {
        record.clear();
        dot_bracket::write(&mut record, structure).map_err(|error| output.error(error))?;
        output.put(&record)?;
    }
    log::info!("{} of {read} structures kept", kept.len());
    output.finish()?;
    Ok(Outcome::Finished)
}

fn calibrate(arguments: &CalibrateArgs, common: &CommonArgs) -> Result<Outcome> {
    let config = TrainConfig::resolve(Task::Coding, &Hyperparameters::default(), &arguments.hyperparameters)?;
    let weights = open_weights(&arguments.model)?;
    if weights.config.task() != Task::Coding {
        let message = format!("holds a {} model where a coding model is needed", weights.config.task());
        return Err(Error::weights(&weights.source, message));
    }
    cli::note_model(&weights.source, &weights.checksum);
    cli::note_run(&arguments.output);
    let mut output = Output::create(Some(&arguments.output))?;
    let storage = if arguments.half { Storage::F16 } else { Storage::F32 };
    // What is stored in 16 bits is calibrated as it will be read.
    let weights = weights::parse(&weights::write(&weights, storage)?, &weights.source)?;
    let annotation = arguments.annotation.as_deref();
    let weights = common
        .thread_pool()?
        .install(|| tasks::calibrate(weights, &arguments.data, annotation, &config, &cli::tally()))?;
    output.put(&weights::write(&weights, storage)?)?;
    output.finish()?;
    Ok(Outcome::Finished)
}

fn import(arguments: &ImportArgs) -> Result<Outcome> {
    let weights = weights::read(&arguments.input)?;
    cli::note_model(&weights.source, &weights.checksum);
    cli::note_run(&arguments.output);
    let mut output = Output::create(Some(&arguments.output))?;
    let storage = if arguments.half { Storage::F16 } else { Storage::F32 };
    let mut weights = weights;
    if weights.provenance.is_null() {
        weights.provenance = serde_json::json!({ "imported_from_sha256": weights.checksum });
    }
    if let Some(path) = &arguments.mean_with {
        let other = open_weights(path)?;
        if other.config != weights.config {
            return Err(Error::weights(&other.source, "not a model of the same shape"));
        }
        for (name, tensor) in &mut weights.parameters {
            *tensor = ((&*tensor + &other.parameters[name])? / 2.0)?;
        }
        weights.provenance = serde_json::json!({ "mean_of_sha256": [weights.checksum, other.checksum] });
        weights.calibration = None;
    }
    output.put(&weights::write(&weights, storage)?)?;
    output.finish()?;
    let config = &weights.config;
    log::info!(
        "{}: {} model, {}, {} tensors",
        arguments.output.display(),
        config.task(),
        config.encoder,
        weights.parameters.len()
    );
    Ok(Outcome::Finished)
}
