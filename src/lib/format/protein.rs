//! Protein FASTA: what the coding sequences of transcripts translate to.

use std::io::{self, Write};

use super::gff3::coding_sequence_name;
use crate::decode::genetic_code::GeneticCode;
use crate::decode::reading_frame::ReadingFrame;
use crate::sequence::Strand;

/// Letters of a line.
const WIDTH: usize = 60;

/// Writes the proteins of a transcript, in the order of its coding sequences. A header is `>ID.cdsN ID:start-end length=N
/// type=TYPE`: transcript coordinates (0-based, half-open), amino acids, and `complete`, `5prime_partial`,
/// `3prime_partial` or `internal`, and `strand=-` on the reverse strand, whose `sequence` and `frames` are given on that
/// strand; then the transcript's `description` where it is not empty. The stop codon is not written; X is a codon that holds
/// an N.
///
/// # Errors
/// Those of the output.
pub fn write(
    output: &mut impl Write,
    id: &str,
    description: &str,
    sequence: &[u8],
    frames: &[ReadingFrame],
    strand: Strand,
    code: GeneticCode,
) -> io::Result<()> {
    for (index, frame) in frames.iter().enumerate() {
        let protein = frame.protein(sequence, code);
        let (name, kind) = (coding_sequence_name(id, index + 1), frame.completeness());
        let (start, end) = strand.on_forward(frame.start, frame.end, sequence.len());
        write!(output, ">{name} {id}:{start}-{end} length={} type={kind}", protein.len())?;
        output.write_all(if strand == Strand::Reverse { b" strand=-" } else { b"" })?;
        if !description.is_empty() {
            write!(output, " {description}")?;
        }
        output.write_all(b"\n")?;
        for line in protein.chunks(WIDTH) {
            output.write_all(line)?;
            output.write_all(b"\n")?;
        }
    }
    Ok(())
}
