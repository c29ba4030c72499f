//! The second table: every way to call a tool, with every file that it reads and writes.
//!
//! The first ([`super::tools`]) drives what streams records; this one drives everything that takes the name of a file, the
//! subcommands of rnaret-train and the tables of pairs included. `every_path_is_in_the_table` compares it with what the
//! tools say of themselves.

use super::input::TRNA;
use super::run::{PACKAGE, Run};
use super::tools::TOOLS;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A way to call a tool.
pub struct Command {
    pub tool: &'static str,
    /// The subcommand and the options that are no files.
    pub arguments: &'static [&'static str],
    pub reads: &'static [Read],
    /// Options that name a file to write. A tool that has `--output` writes to standard output without it, but for
    /// those in `needs`.
    pub writes: &'static [&'static str],
    /// Options that name a folder to write into.
    pub folders: &'static [&'static str],
    /// Those of the two that must be there.
    pub needs: &'static [&'static str],
}

/// An input.
pub struct Read {
    /// The option; nothing for an argument that stands for itself.
    pub option: &'static str,
    pub content: Content,
}

/// What an input holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// FASTA.
    Sequences,
    /// Tokens of rna-kmerize.
    Tokens,
    /// FASTA of miRNAs.
    Mirnas,
    /// Labelled pairs of miRNAs and targets.
    Pairs,
    /// RNAs with their classes.
    Labels,
    /// Dot-bracket.
    Structures,
    /// Lines of constraints for `Sequences`.
    Constraints,
    /// Reactivities of `Sequences`.
    Reactivities,
    /// BED that says where the coding sequences of `Sequences` are.
    Annotation,
    /// TOML.
    Settings,
    /// A model of this name in the package.
    Weights(&'static str),
}

use Content::{
    Annotation, Constraints, Labels, Mirnas, Pairs, Reactivities, Sequences, Settings, Structures, Tokens, Weights,
};

const fn read(option: &'static str, content: Content) -> Read {
    Read { option, content }
}

/// What tools without a model write.
const STREAM: Command =
    Command { tool: "", arguments: &[], reads: &[], writes: &["--output", "--stats"], folders: &[], needs: &[] };

/// What training writes.
const TRAINING: Command =
    Command { tool: "rnaret-train", writes: &["--stats"], folders: &["--run"], needs: &["--run"], ..STREAM };

/// What evaluation writes.
const EVALUATION: Command =
    Command { tool: "rnaret-train", writes: &["--output", "--per-record", "--stats"], ..STREAM };

pub const COMMANDS: [Command; 23] = [
    Command { tool: "rna-kmerize", arguments: &["-k", "3"], reads: &[read("", Sequences)], ..STREAM },
    Command { tool: "rna-mask", reads: &[read("", Tokens)], ..STREAM },
    Command {
        tool: "rnaret-embed",
        arguments: &["--retention", "map"],
        reads: &[read("", Sequences), read("--model", Weights("testdata/golden/k1.pth"))],
        folders: &["--svg"],
        ..STREAM
    },
    Command {
        tool: "rnaret-embed",
        arguments: &["--format", "npy"],
        reads: &[read("", Sequences), read("--model", Weights("testdata/golden/k1.pth"))],
        writes: &["--output", "--ids", "--stats"],
        ..STREAM
    },
    Command {
        tool: "rnaret-fold",
        reads: &[
            read("", Sequences),
            read("--known-structures", Structures),
            read("--constraints", Constraints),
            read("--reactivity", Reactivities),
            read("--model", Weights("models/fold.safetensors")),
        ],
        writes: &["--output", "--pairs", "--homologs", "--stats"],
        folders: &["--svg", "--dot-plot"],
        ..STREAM
    },
    Command {
        tool: "rnaret-coding",
        arguments: &["--orf", "--threshold", "0"],
        reads: &[read("", Sequences), read("--model", Weights("models/coding.safetensors"))],
        writes: &["--output", "--summary", "--track", "--protein", "--stats"],
        folders: &["--svg"],
        ..STREAM
    },
    Command {
        tool: "rnaret-mirtarget",
        arguments: &["--candidates", "all"],
        reads: &[
            read("", Sequences),
            read("--mirna", Mirnas),
            read("--model", Weights("models/mirtarget.safetensors")),
        ],
        writes: &["--output", "--summary", "--alignment", "--stats"],
        ..STREAM
    },
    Command {
        tool: "rnaret-mirtarget",
        reads: &[read("--pairs", Pairs), read("--model", Weights("models/mirtarget.safetensors"))],
        ..STREAM
    },
    Command {
        tool: "rnaret-predict",
        reads: &[read("", Sequences), read("--model", Weights("testdata/models/classes.safetensors"))],
        ..STREAM
    },
    Command { tool: "rnaret-report", reads: &[read("", Structures)], ..STREAM },
    Command {
        arguments: &["pretrain", "--steps", "1", "--validation-fraction", "0"],
        reads: &[
            read("", Sequences),
            read("--validation", Sequences),
            read("--model", Weights("testdata/golden/k1.pth")),
            read("--config", Settings),
        ],
        ..TRAINING
    },
    Command {
        arguments: &["fold", "--steps", "1"],
        reads: &[
            read("", Structures),
            read("--validation", Structures),
            read("--known-structures", Structures),
            read("--model", Weights("models/fold.safetensors")),
            read("--config", Settings),
        ],
        ..TRAINING
    },
    Command {
        arguments: &["coding", "--steps", "1"],
        reads: &[
            read("", Sequences),
            read("--validation", Sequences),
            read("--annotation", Annotation),
            read("--model", Weights("testdata/golden/k1_coding.pth")),
            read("--config", Settings),
        ],
        ..TRAINING
    },
    Command {
        arguments: &["mirtarget", "--steps", "1"],
        reads: &[
            read("", Pairs),
            read("--validation", Pairs),
            read("--model", Weights("testdata/golden/k1_mirtarget.pth")),
            read("--config", Settings),
        ],
        ..TRAINING
    },
    Command {
        arguments: &["classify", "--steps", "1"],
        reads: &[
            read("", Labels),
            read("--validation", Labels),
            read("--model", Weights("testdata/golden/k1.pth")),
            read("--config", Settings),
        ],
        ..TRAINING
    },
    Command {
        arguments: &["evaluate", "--task", "pretrain"],
        reads: &[read("", Sequences), read("--model", Weights("testdata/golden/k1.pth"))],
        ..EVALUATION
    },
    Command {
        arguments: &["evaluate", "--task", "fold", "--baseline"],
        reads: &[
            read("", Structures),
            read("--known-structures", Structures),
            read("--model", Weights("models/fold.safetensors")),
        ],
        ..EVALUATION
    },
    Command {
        arguments: &["evaluate", "--task", "coding", "--baseline"],
        reads: &[
            read("", Sequences),
            read("--annotation", Annotation),
            read("--baseline-training", Sequences),
            read("--model", Weights("testdata/golden/k1_coding.pth")),
        ],
        ..EVALUATION
    },
    Command {
        arguments: &["evaluate", "--task", "mirtarget"],
        reads: &[read("", Pairs), read("--model", Weights("testdata/golden/k1_mirtarget.pth"))],
        ..EVALUATION
    },
    Command {
        tool: "rnaret-train",
        arguments: &["energies", "--likelihood-epochs", "1", "--agreement-epochs", "1"],
        reads: &[read("", Structures)],
        ..STREAM
    },
    Command { tool: "rnaret-train", arguments: &["condense"], reads: &[read("", Structures)], ..STREAM },
    Command {
        tool: "rnaret-train",
        arguments: &["import"],
        reads: &[
            read("", Weights("testdata/golden/k1_fold.pth")),
            read("--mean-with", Weights("testdata/golden/k1_fold.pth")),
        ],
        needs: &["--output"],
        ..STREAM
    },
    Command {
        tool: "rnaret-train",
        arguments: &["import", "--half"],
        reads: &[read("", Weights("models/coding.safetensors"))],
        needs: &["--output"],
        ..STREAM
    },
];

impl Command {
    /// How it is called, for messages.
    pub fn name(&self) -> String {
        [&[self.tool], self.arguments].concat().join(" ")
    }

    /// The subcommand; nothing for tools that have none.
    pub fn subcommand(&self) -> &'static str {
        if self.tool == "rnaret-train" { self.arguments[0] } else { "" }
    }

    /// Whether it takes the same options as a subcommand: all training on labels from tables does.
    pub fn takes_the_options_of(&self, subcommand: &str) -> bool {
        let labelled = |name: &str| ["classify", "regress", "label"].contains(&name);
        self.subcommand() == subcommand || labelled(self.subcommand()) && labelled(subcommand)
    }

    /// The input that can come by standard input: any but weights and settings.
    pub fn by_standard_input(&self) -> Option<usize> {
        self.reads.iter().position(|read| !matches!(read.content, Weights(_) | Settings))
    }

    /// Whether the result goes to standard output where nothing is said.
    pub fn streams(&self) -> bool {
        self.writes.contains(&"--output") && !self.needs.contains(&"--output")
    }
}

impl Content {
    pub fn bytes(self) -> Vec<u8> {
        let file = |path: &str| fs::read(Path::new(PACKAGE).join(path)).unwrap();
        // With an open reading frame, so that all outputs hold something.
        let coding = format!("GGACC{}UAAGGAUCC", "AUGGCC".repeat(12));
        match self {
            Sequences => format!(">t1\n{coding}\n>t2\n{TRNA}\n").into_bytes(),
            Tokens => b"id\tlength\ttokens\nt1\t4\t[FIL] ACG CGU [FIL]\nt2\t3\t[FIL] GGA [FIL]\n".to_vec(),
            Mirnas => file("testdata/mirnas.fa"),
            Pairs => file("testdata/mirna_pairs.tsv"),
            Labels => format!("id\tseq\tlabel\nt1\t{coding}\tmRNA\nt2\t{TRNA}\ttRNA\n").into_bytes(),
            Structures => file("testdata/structures/known.dbn"),
            Constraints => format!(">t2\n{TRNA}\nxx{}\n", ".".repeat(TRNA.len() - 2)).into_bytes(),
            Reactivities => b"id\treactivity\nt2\t0.5,NA,2\n".to_vec(),
            Annotation => format!("t1\t5\t{}\n", coding.len() - 6).into_bytes(),
            Settings => b"log-every = 1\n".to_vec(),
            Weights(path) => file(path),
        }
    }

    /// What cannot be read as this.
    pub fn broken(self) -> Vec<u8> {
        match self {
            Sequences | Mirnas => b">t1\nACGU\n>bad\nAC*U\n".to_vec(),
            Tokens => b"id\tlength\ttokens\nt1\t3\t[FIL] GGA [FIL]\nbad\t4\t[FIL] AUG [FIL]\n".to_vec(),
            Pairs => b"mirna\tmirna_seq\ttarget\ttarget_seq\tlabel\nm\tUGAGGUAG\tbad\tAC*U\t1\n".to_vec(),
            Labels => b"id\tseq\tlabel\nt1\tACGU\ta\nbad\tAC*U\tb\n".to_vec(),
            Structures => b">good\nGGGAAACCC\n(((...)))\n>bad\nGGGAAACCC\n(((...))\n".to_vec(),
            Constraints => b">t2\nGGG\n.-.\n".to_vec(),
            Reactivities => b"id\tposition\treactivity\nt2\tfirst\t1\n".to_vec(),
            Annotation => b"t1\t90\t30\n".to_vec(),
            Settings => b"log-every = \n".to_vec(),
            Weights(_) => b"no weights".to_vec(),
        }
    }
}

/// A command with its inputs in a folder of its own.
pub struct Scene {
    pub command: &'static Command,
    pub folder: TempDir,
}

impl Scene {
    pub fn new(command: &'static Command) -> Self {
        let scene = Self { command, folder: tempfile::tempdir().unwrap() };
        for place in 0..command.reads.len() {
            fs::write(scene.input(place), command.reads[place].content.bytes()).unwrap();
        }
        scene
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The file of an input.
    pub fn input(&self, place: usize) -> PathBuf {
        self.path(&format!("input{place}"))
    }

    /// The names of what was not there from the start, hidden ones included.
    pub fn new_names(&self) -> Vec<String> {
        let names = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        names.retain(|name| !name.starts_with("input"));
        names.sort();
        names
    }

    /// The arguments of a run that writes these outputs, by their options, and what it must write besides.
    fn arguments(&self, inputs: &[PathBuf], outputs: &[(&str, PathBuf)]) -> Vec<std::ffi::OsString> {
        let mut arguments: Vec<std::ffi::OsString> = self.command.arguments.iter().map(|text| text.into()).collect();
        arguments.extend(["-q", "-t", "1"].map(Into::into));
        for (option, path) in outputs {
            arguments.extend([option.into(), path.into()]);
        }
        for option in self.command.needs.iter().filter(|option| !outputs.iter().any(|(given, _)| given == *option)) {
            arguments.extend([option.into(), self.path("needed").into()]);
        }
        let mut alone = Vec::new();
        for (read, path) in self.command.reads.iter().zip(inputs) {
            match read.option {
                "" => alone.push(path.into()),
                option => arguments.extend([option.into(), path.into()]),
            }
        }
        arguments.extend(alone);
        arguments
    }

    fn inputs(&self) -> Vec<PathBuf> {
        (0..self.command.reads.len()).map(|place| self.input(place)).collect()
    }

    /// A run that writes these outputs.
    pub fn run(&self, outputs: &[(&str, PathBuf)]) -> Run {
        self.bare().args(self.arguments(&self.inputs(), outputs))
    }

    /// A run that takes one of its inputs from somewhere else.
    pub fn run_from(&self, place: usize, path: impl Into<PathBuf>, outputs: &[(&str, PathBuf)]) -> Run {
        let mut inputs = self.inputs();
        inputs[place] = path.into();
        self.bare().args(self.arguments(&inputs, outputs))
    }

    fn bare(&self) -> Run {
        Run::bare(TOOLS.iter().find(|tool| tool.name == self.command.tool).unwrap())
    }

    /// As [`Scene::run_from`] with the input by standard input, with the signals that end a process neither ignored nor
    /// blocked.
    pub fn run_until_killed(&self, place: usize, outputs: &[(&str, PathBuf)]) -> Run {
        let mut inputs = self.inputs();
        inputs[place] = "-".into();
        let tool = TOOLS.iter().find(|tool| tool.name == self.command.tool).unwrap();
        Run::bare_with_default_signals(tool).args(self.arguments(&inputs, outputs))
    }
}

/// An option or argument, as a tool's completions tell it.
#[derive(Debug)]
pub struct Listed {
    pub subcommand: String,
    /// With its hyphens; nothing for an argument that stands for itself.
    pub option: String,
    /// What its value is called.
    pub value: String,
    /// Whether it is a path.
    pub is_path: bool,
    /// Whether its values are listed one by one.
    pub is_listed: bool,
}

/// The options of a tool that take a value, from the completions for zsh, which tell paths from other values.
pub fn listed(tool: &str) -> Vec<Listed> {
    let tool = TOOLS.iter().find(|known| known.name == tool).unwrap();
    let script = String::from_utf8(Run::bare(tool).args(["--completions", "zsh"]).ok()).unwrap();
    let mut subcommand = String::new();
    let mut found = Vec::new();
    for line in script.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('(').and_then(|line| line.strip_suffix(')')) {
            subcommand = name.to_owned();
        }
        let Some(entry) = line.strip_prefix('\'') else { continue };
        let entry = match entry.strip_prefix('(') {
            Some(conflicts) => conflicts.split_once(')').unwrap().1,
            None => entry,
        };
        let entry = entry.trim_start_matches('*');
        let (option, rest) = match entry.split_once('[') {
            Some((option, rest)) if option.starts_with('-') && option.ends_with(['=', '+']) => {
                (option.trim_end_matches(['=', '+']).to_owned(), rest)
            }
            _ if entry.starts_with(':') && entry.contains(" -- ") => (String::new(), entry),
            _ => continue,
        };
        let is_path = entry.contains(":_files");
        // The description ends at the first bracket that is not escaped.
        let end =
            rest.char_indices().find(|&(at, c)| c == ']' && !rest[..at].ends_with('\\')).map_or(0, |(at, _)| at + 2);
        let (value, values) = rest.get(end..).unwrap_or_default().split_once(':').unwrap_or_default();
        found.push(Listed {
            subcommand: subcommand.clone(),
            option,
            value: value.to_owned(),
            is_path,
            is_listed: values.starts_with('('),
        });
    }
    found
}
