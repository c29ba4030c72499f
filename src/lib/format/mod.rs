//! What goes out and comes back: dot-bracket, CT, BPSEQ, BED, GFF3, GTF, protein FASTA, TSV, embeddings.
//!
//! Writers take `&mut impl Write` and return [`std::io::Result`]: only the caller knows the name of the output, and
//! makes a [`crate::Error::Write`] of it. Readers are iterators over anything that is [`std::io::BufRead`]; their
//! errors name file, record and line.

pub mod annotation;
pub mod bed;
pub mod bpseq;
pub mod connectivity_table;
pub mod constraints;
pub mod dot_bracket;
pub mod embedding;
pub mod gff3;
mod lines;
pub mod named_columns;
pub mod number;
#[cfg(feature = "parquet")]
mod parquet_embedding;
pub mod protein;
pub mod reactivity;
pub mod rows;
pub mod site_drawing;
pub mod structure;
pub mod structure_reader;
mod structure_table;
pub mod table;
mod title;

#[cfg(test)]
mod tests;
