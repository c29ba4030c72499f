//! BED6, BED12 and bedGraph on transcript coordinates (0-based, half-open), without header lines, so that outputs can be
//! concatenated.
//!
//! Lines are written here and not by noodles, whose writer takes the sequence names of the BED specification alone
//! (`[A-Za-z0-9_]`) and so refuses most accessions (`NM_000546.6`, `ENST00000269305.9|TP53`); noodles reads them back in
//! the tests.

use std::io::{self, Write};

use super::gff3::coding_sequence_name;
use super::number;
use crate::decode::coding::CdsWindow;
use crate::decode::reading_frame::ReadingFrame;
use crate::predict::mirtarget::Site;
use crate::sequence::Strand;

/// BED's score for a probability: 1000 times as much, rounded, within 0 and 1000.
pub fn score(probability: f64) -> u16 {
    (probability * 1000.0).round().clamp(0.0, 1000.0) as u16
}

/// Writes one BED6 line; `range` is on the forward strand.
fn write_line(
    output: &mut impl Write,
    sequence_name: &str,
    range: (usize, usize),
    name: &str,
    probability: f64,
    strand: Strand,
) -> io::Result<()> {
    let ((start, end), score, strand) = (range, score(probability), strand.as_str());
    writeln!(output, "{sequence_name}\t{start}\t{end}\t{name}\t{score}\t{strand}")
}

/// Writes the CDS windows of a strand of a transcript of `length` bases, in the order of the forward strand: name is the
/// transcript's id, score 1000 times the mean probability.
///
/// # Errors
/// Those of the output.
pub fn write_cds_windows(
    output: &mut impl Write,
    id: &str,
    length: usize,
    windows: &[CdsWindow],
    strand: Strand,
) -> io::Result<()> {
    let mut write = |window: &CdsWindow| {
        let range = strand.on_forward(window.start, window.end, length);
        write_line(output, id, range, id, window.mean_probability, strand)
    };
    match strand {
        Strand::Forward => windows.iter().try_for_each(&mut write),
        Strand::Reverse => windows.iter().rev().try_for_each(&mut write),
    }
}

/// What a coding sequence is called: `ID.cdsN`, and where it is incomplete `:5prime_partial`, `:3prime_partial` or
/// `:internal` after it.
fn reading_frame_name(id: &str, index: usize, frame: &ReadingFrame) -> String {
    let name = coding_sequence_name(id, index + 1);
    match frame.completeness() {
        "complete" => name,
        incomplete => format!("{name}:{incomplete}"),
    }
}

/// Writes the coding sequences of a strand of a transcript of `length` bases, stop codons included; score is 1000 times
/// the mean probability.
///
/// # Errors
/// Those of the output.
pub fn write_reading_frames(
    output: &mut impl Write,
    id: &str,
    length: usize,
    frames: &[ReadingFrame],
    strand: Strand,
) -> io::Result<()> {
    frames.iter().enumerate().try_for_each(|(index, frame)| {
        let name = reading_frame_name(id, index, frame);
        let range = strand.on_forward(frame.start, frame.end, length);
        write_line(output, id, range, &name, frame.mean_probability, strand)
    })
}

/// Writes the coding sequences of a transcript of `length` bases as BED12: one line each, which is the whole transcript in
/// one block, with the coding sequence as its thick part.
///
/// # Errors
/// Those of the output.
pub fn write_thick_reading_frames(
    output: &mut impl Write,
    id: &str,
    length: usize,
    frames: &[ReadingFrame],
    strand: Strand,
) -> io::Result<()> {
    frames.iter().enumerate().try_for_each(|(index, frame)| {
        let (name, score) = (reading_frame_name(id, index, frame), score(frame.mean_probability));
        let (start, end) = strand.on_forward(frame.start, frame.end, length);
        let strand = strand.as_str();
        writeln!(output, "{id}\t0\t{length}\t{name}\t{score}\t{strand}\t{start}\t{end}\t0\t1\t{length},\t0,")
    })
}

/// Writes a target site of a miRNA: the sequence name is the target, name the miRNA, score 1000 times the probability.
///
/// # Errors
/// Those of the output.
pub fn write_target_site(output: &mut impl Write, site: &Site, probability: f32) -> io::Result<()> {
    let (target, window) = (&site.target, site.on_forward(&site.window));
    let range = (window.start, window.end);
    write_line(output, &target.id, range, &site.mirna.id, f64::from(probability), target.strand)
}

/// Writes a value per base as bedGraph (`id start end value`), the first of them for the base `first`: neighbours whose 6
/// significant digits are the same share a line.
///
/// # Errors
/// Those of the output.
pub fn write_track(output: &mut impl Write, id: &str, first: usize, values: &[f32]) -> io::Result<()> {
    let mut line = Vec::new();
    let mut text = Vec::new();
    let mut start = 0;
    while start < values.len() {
        text.clear();
        number::append(&mut text, values[start]);
        let same = |value: f32| {
            // Equal values are the common case, as where a model is sure.
            value == values[start] || number::format(value).as_bytes() == text
        };
        let end = start + 1 + values[start + 1..].iter().take_while(|&&value| same(value)).count();
        line.clear();
        write!(line, "{id}\t{}\t{}\t", first + start, first + end)?;
        line.extend_from_slice(&text);
        line.push(b'\n');
        output.write_all(&line)?;
        start = end;
    }
    Ok(())
}
