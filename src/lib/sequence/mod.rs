//! Records in: reading, the alphabet, the k-mer tokenizer, masking.
//!
//! [`RecordReader`] reads FASTA, FASTQ and token tables from files and standard input; [`Tokenizer`] makes ids of the
//! records; [`Masker`] hides some of them for pretraining.

pub mod alphabet;
mod compression;
mod fastq;
mod feed;
pub mod masking;
pub mod near_duplicates;
mod reader;
mod record;
mod shard;
pub mod shuffle;
mod site_pair;
mod strand;
mod tally;
mod text;
mod token_table;
mod token_writer;
pub mod tokenizer;
pub mod vocabulary;
mod windows;

pub use alphabet::{normalise, normalise_into};
pub(crate) use compression::Damage;
pub use masking::{Masked, Masker};
pub use reader::{Accept, InputFile, OnError, Progress, ReaderOptions, RecordReader, SET_ASIDE};
pub use record::{Record, TokenText, Tokens};
pub use shard::Shard;
pub use site_pair::{SitePair, SitePairReader};
pub use strand::Strand;
pub use tally::{Doubt, Tally};
#[cfg(feature = "train")]
pub(crate) use text::first_letter;
pub use text::open_text;
pub(crate) use text::{decompressed, other_text};
pub use token_writer::TokenWriter;
pub use tokenizer::Tokenizer;
pub use vocabulary::{NoWord, Unit, Vocabulary, VocabularyConfig};
pub use windows::windows;
