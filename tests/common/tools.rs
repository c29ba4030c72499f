//! One table of all tools: what goes in and what comes out. A tool that is not in it fails `every_tool_is_in_the_table`.

/// Whether the tools with a model are there to be tested.
pub const MODEL_TOOLS_READY: bool = true;
/// Whether rnaret-train is there to be tested.
pub const TRAINING_READY: bool = true;
/// A tool and what it honours.
pub struct Tool {
    pub name: &'static str,
    /// Whether it is tested.
    pub ready: bool,
    pub takes: Takes,
    /// What it can write. The first is what the arguments give by default; none for a tool that writes no stream.
    pub formats: &'static [Format],
    /// Whether it runs a model: `--device`, `--batch-tokens`.
    pub has_model: bool,
    /// Nucleotides per token of the tables that it takes: those of the built-in model where it has one.
    pub k: usize,
    /// Bytes of input for the test of constant memory: what it does in a few seconds.
    pub stream_bytes: usize,
}

/// The input of a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// FASTA and FASTQ.
    Sequences,
    /// FASTA, FASTQ and the token table of rna-kmerize.
    SequencesAndTokens,
    /// The token table alone.
    Tokens,
    /// No stream of records.
    Nothing,
}

/// One thing that a tool can write.
pub struct Format {
    /// The arguments that ask for it, without inputs.
    pub arguments: &'static [&'static str],
    pub header: Header,
    /// Whether the outputs of the shards, joined, equal that of the whole.
    pub shards: bool,
    /// Whether the id of every record stands in the output, as text.
    pub shows_ids: bool,
    /// Whether ids key the output, so that a second record of the same id is an error.
    pub unique_ids: bool,
    /// Files written besides the output, by their flags, with what they begin with.
    pub besides: &'static [(&'static str, Header)],
    /// Ends of the names of further files beside `-o FILE`.
    pub companions: &'static [&'static str],
}

/// What an output begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    None,
    /// This row.
    Exactly(&'static str),
    /// A row of any columns that begins like this.
    Begins(&'static str),
    /// Bytes that are no text.
    Binary,
}

/// A format that shows ids and shards, from which the others differ.
const PLAIN: Format = Format {
    arguments: &[],
    header: Header::None,
    shards: true,
    shows_ids: true,
    unique_ids: false,
    besides: &[],
    companions: &[],
};

pub const TOOLS: [Tool; 9] = [
    Tool {
        name: "rna-kmerize",
        ready: true,
        takes: Takes::Sequences,
        formats: &[
            Format { arguments: &["-k", "3"], header: KMERIZE, ..PLAIN },
            Format { arguments: &["-k", "1", "--ids"], header: KMERIZE, ..PLAIN },
            Format { arguments: &["-k", "5", "--max-len", "20"], header: KMERIZE, ..PLAIN },
            Format { arguments: &["-k", "7", "--window", "30", "--overlap", "10"], header: KMERIZE, ..PLAIN },
        ],
        has_model: false,
        k: 3,
        stream_bytes: 64 << 20,
    },
    Tool {
        name: "rna-mask",
        ready: true,
        takes: Takes::Tokens,
        formats: &[
            Format { arguments: &[], header: MASK, ..PLAIN },
            Format { arguments: &["--seed", "7", "--mask-rate", "0.5"], header: MASK, ..PLAIN },
        ],
        has_model: false,
        k: 3,
        stream_bytes: 64 << 20,
    },
    Tool {
        name: "rnaret-embed",
        ready: MODEL_TOOLS_READY,
        takes: Takes::SequencesAndTokens,
        formats: &[
            Format { arguments: &[], header: Header::Begins("id\t"), ..PLAIN },
            Format { arguments: &["--pool", "cls"], header: Header::Begins("id\t"), ..PLAIN },
            Format { arguments: &["--pool", "none"], header: Header::Begins("id\t"), ..PLAIN },
            Format { arguments: &["--retention", "first-row"], header: RETENTION, ..PLAIN },
            Format { arguments: &["--retention", "column-mean"], header: RETENTION, ..PLAIN },
            Format { arguments: &["--likelihood"], header: Header::Begins("id\t"), ..PLAIN },
            Format {
                arguments: &["--format", "npy"],
                companions: &[".ids.tsv"],
                header: Header::Binary,
                shards: false,
                shows_ids: false,
                ..PLAIN
            },
            Format {
                arguments: &["--pool", "none", "--format", "safetensors"],
                header: Header::Binary,
                shards: false,
                unique_ids: true,
                ..PLAIN
            },
            Format {
                arguments: &["--format", "parquet"],
                header: Header::Binary,
                shards: false,
                shows_ids: false,
                ..PLAIN
            },
        ],
        has_model: true,
        k: 1,
        stream_bytes: 256 << 10,
    },
    Tool {
        name: "rnaret-fold",
        ready: MODEL_TOOLS_READY,
        takes: Takes::SequencesAndTokens,
        formats: &[
            Format { besides: &[("--pairs", Header::Exactly("id\ti\tj\tprobability\n"))], ..PLAIN },
            Format { arguments: &["--format", "ct"], ..PLAIN },
            Format { arguments: &["--format", "bpseq"], ..PLAIN },
            Format { arguments: &["--format", "tsv"], header: Header::Begins("id\t"), ..PLAIN },
            Format { arguments: &["--format", "json", "--keep-description"], ..PLAIN },
            Format { arguments: &["--decoder", "greedy"], ..PLAIN },
            Format { arguments: &["--decoder", "nested", "--min-loop", "4", "--threshold", "0.4"], ..PLAIN },
        ],
        has_model: true,
        k: 1,
        stream_bytes: 64 << 10,
    },
    Tool {
        name: "rnaret-coding",
        ready: MODEL_TOOLS_READY,
        takes: Takes::SequencesAndTokens,
        formats: &[
            Format {
                arguments: &["--threshold", "0"],
                shows_ids: false,
                besides: &[
                    (
                        "--summary",
                        Header::Exactly(
                            "id\tlength\tcoding_potential\tlabel\tstate\tstrand\torf_start\torf_end\torf_length\torf_coverage\n",
                        ),
                    ),
                    ("--track", Header::None),
                ],
                ..PLAIN
            },
            Format { arguments: &["--window", "9", "--threshold", "0"], shows_ids: false, ..PLAIN },
            Format {
                arguments: &["--orf", "--format", "bed12", "--threshold", "0"],
                shows_ids: false,
                besides: &[("--protein", Header::None)],
                ..PLAIN
            },
            Format {
                arguments: &["--orf", "--format", "gff3", "--threshold", "0"],
                header: GFF3,
                shows_ids: false,
                unique_ids: true,
                ..PLAIN
            },
        ],
        has_model: true,
        k: 3,
        stream_bytes: 256 << 10,
    },
    Tool {
        name: "rnaret-mirtarget",
        ready: MODEL_TOOLS_READY,
        takes: Takes::Sequences,
        formats: &[
            Format { arguments: &["--mirna", "testdata/mirnas.fa"], header: SITES, shows_ids: false, ..PLAIN },
            Format {
                arguments: &["--mirna", "testdata/mirnas.fa", "--candidates", "all", "--stride", "20"],
                header: SITES,
                shows_ids: false,
                ..PLAIN
            },
            Format {
                arguments: &["--mirna", "testdata/mirnas.fa", "--candidates", "all", "--format", "bed"],
                shows_ids: false,
                ..PLAIN
            },
        ],
        has_model: true,
        k: 1,
        stream_bytes: 256 << 10,
    },
    Tool {
        name: "rnaret-predict",
        ready: MODEL_TOOLS_READY,
        takes: Takes::SequencesAndTokens,
        formats: &[
            Format {
                arguments: &["--model", "testdata/models/classes.safetensors"],
                header: Header::Begins("id\tlabel\tp_"),
                ..PLAIN
            },
            Format {
                arguments: &["--model", "testdata/models/values.safetensors"],
                header: Header::Exactly("id\tGC\tlength\n"),
                ..PLAIN
            },
            Format {
                arguments: &["--model", "testdata/models/labels.safetensors"],
                header: Header::Exactly("id\tposition\tnucleotide\tlabel\tp_(\tp_)\tp_.\n"),
                ..PLAIN
            },
            Format {
                arguments: &["--model", "testdata/models/labels.safetensors", "--format", "bedgraph", "--column", "."],
                ..PLAIN
            },
        ],
        has_model: true,
        k: 1,
        stream_bytes: 256 << 10,
    },
    Tool {
        name: "rnaret-report",
        ready: true,
        takes: Takes::Nothing,
        formats: &[],
        has_model: false,
        k: 1,
        stream_bytes: 0,
    },
    Tool {
        name: "rnaret-train",
        ready: TRAINING_READY,
        takes: Takes::Nothing,
        formats: &[],
        has_model: false,
        k: 1,
        stream_bytes: 0,
    },
];

const KMERIZE: Header = Header::Exactly("id\tlength\ttokens\n");
const MASK: Header = Header::Exactly("id\tlength\ttokens\tlabels\n");
const GFF3: Header = Header::Exactly("##gff-version 3.1.26\n");
const RETENTION: Header = Header::Exactly("id\tposition\tnucleotide\tscore\n");
const SITES: Header = Header::Exactly(
    "mirna\ttarget\tstart\tend\tseed_type\tprobability\tseed_start\tseed_end\tenergy\tpercentile\tstrand\n",
);

impl Tool {
    /// Whether FASTA and FASTQ go in.
    pub fn takes_sequences(&self) -> bool {
        matches!(self.takes, Takes::Sequences | Takes::SequencesAndTokens)
    }

    /// Whether the token table goes in.
    pub fn takes_tokens(&self) -> bool {
        matches!(self.takes, Takes::Tokens | Takes::SequencesAndTokens)
    }
}
