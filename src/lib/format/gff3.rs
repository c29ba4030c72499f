//! GFF3 (specification 1.26) of coding sequences on transcripts: an mRNA feature for the transcript and a CDS feature for
//! each coding sequence, with phase, ID and Parent. 1-based, both ends included; the stop codon is part of the CDS.
//!
//! An end that is missing from the transcript is marked as NCBI does: `partial=true`, with `start_range=.,1` or
//! `end_range=LENGTH,.`. A `###` line ends each transcript, so that readers need not wait for the end of the file.
//!
//! noodles, which reads the files back in the tests, writes no names in `##sequence-region` that need escapes, so the
//! lines are written here.

use std::io::{self, Write};

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use super::number;
use crate::decode::reading_frame::ReadingFrame;
use crate::sequence::Strand;

/// The first line of a file.
pub const HEADER: &str = "##gff-version 3.1.26";

/// What a sequence name may not hold as it stands: all but `[a-zA-Z0-9.:^*$@!+_?-|]`.
const IN_SEQUENCE_NAMES: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'.')
    .remove(b':')
    .remove(b'^')
    .remove(b'*')
    .remove(b'$')
    .remove(b'@')
    .remove(b'!')
    .remove(b'+')
    .remove(b'_')
    .remove(b'?')
    .remove(b'-')
    .remove(b'|');

/// What the value of an attribute may not hold as it stands.
const IN_ATTRIBUTES: &AsciiSet = &CONTROLS.add(b'%').add(b';').add(b'=').add(b'&').add(b',');

/// The name of the coding sequence `number` (from 1) of a transcript, as in `NM_005330.cds1`: the same in GFF3, BED and
/// protein FASTA.
pub fn coding_sequence_name(id: &str, number: usize) -> String {
    format!("{id}.cds{number}")
}

/// Writes a transcript of `length` bases and its coding sequences; nothing where there are none.
///
/// # Errors
/// Those of the output.
pub fn write_transcript(
    output: &mut impl Write,
    id: &str,
    length: usize,
    frames: &[ReadingFrame],
    strand: Strand,
) -> io::Result<()> {
    if frames.is_empty() {
        return Ok(());
    }
    let sequence = utf8_percent_encode(id, IN_SEQUENCE_NAMES).to_string();
    let name = utf8_percent_encode(id, IN_ATTRIBUTES).to_string();
    writeln!(output, "##sequence-region {sequence} 1 {length}")?;
    let sign = strand.as_str();
    writeln!(output, "{sequence}\trnaret\tmRNA\t1\t{length}\t.\t{sign}\t.\tID={name};Name={name}")?;
    for (index, frame) in frames.iter().enumerate() {
        let own = coding_sequence_name(&name, index + 1);
        let (start, end) = strand.on_forward(frame.start, frame.end, length);
        let (start, score) = (start + 1, number::format(frame.mean_probability));
        let phase = frame.phase;
        write!(output, "{sequence}\trnaret\tCDS\t{start}\t{end}\t{score}\t{sign}\t{phase}\tID={own};Parent={name}")?;
        if !(frame.has_start && frame.has_stop) {
            output.write_all(b";partial=true")?;
        }
        // The lower end is where a coding sequence of the reverse strand stops.
        let (has_lower, has_upper) = match strand {
            Strand::Forward => (frame.has_start, frame.has_stop),
            Strand::Reverse => (frame.has_stop, frame.has_start),
        };
        if !has_lower {
            write!(output, ";start_range=.,{start}")?;
        }
        if !has_upper {
            write!(output, ";end_range={end},.")?;
        }
        output.write_all(b"\n")?;
    }
    output.write_all(b"###\n")
}
