//! The tab-separated tables: one header row, no quoting, 6 significant digits. Each has a header and a function that
//! writes a row.
//!
//! | table | columns |
//! | --- | --- |
//! | structures | `id` `length` `sequence` `structure` (dot-bracket) `pairs` (their number); with energies `energy` `ensemble_energy` `mean_pair_probability` `expected_accuracy` |
//! | pairs | `id` `i` `j` `probability` (i < j, 1-based) |
//! | homologs | `id` `homolog` (a known structure's id) `identity` `aligned` `covered` `kept` (parts, 0 to 1) `evalue`; a row of `NA` where there is none |
//! | coding summary | `id` `length` `coding_potential` `label` (`mRNA` or `lncRNA`) `state` (`complete`, `5_prime_cut`, `3_prime_cut`, `both_cut` or `none`) `strand` `orf_start` `orf_end` (0-based, half-open) `orf_length` `orf_coverage`; `NA` where there is none |
//! | target sites | `mirna` `target` `start` `end` (0-based, half-open) `seed_type` `probability` (`NA` where the site is not judged) `seed_start` `seed_end` `energy` `percentile` `strand`, and where it is asked for `alignment` |
//! | summary of target sites | `mirna` `target` `strand` `sites` `best` `combined` `expected` |

use std::io::{self, Write};

use super::{dot_bracket, number, structure::Energies};
use crate::{
    decode::{coding::TranscriptLabel, reading_frame::ReadingFrame, target_alignment::alignment},
    predict::{
        coding::CodingPrediction,
        mirtarget::{MirnaSummary, Site, SitePrediction},
    },
    structure::{Candidate, Structure},
};

/// Header row of the table of structures.
pub const STRUCTURE_HEADER: &str = "id\tlength\tsequence\tstructure\tpairs";
/// Columns after these where energies are asked for.
pub const ENERGY_HEADER: &str = "energy\tensemble_energy\tmean_pair_probability\texpected_accuracy";
/// Header row of the table of pairs.
pub const PAIR_HEADER: &str = "id\ti\tj\tprobability";
/// Header row of the table of homologs.
pub const HOMOLOG_HEADER: &str = "id\thomolog\tidentity\taligned\tcovered\tkept\tevalue";
/// Header row of the coding summary.
pub const CODING_HEADER: &str =
    "id\tlength\tcoding_potential\tlabel\tstate\tstrand\torf_start\torf_end\torf_length\torf_coverage";
/// Header row of the table of target sites.
pub const TARGET_SITE_HEADER: &str =
    "mirna\ttarget\tstart\tend\tseed_type\tprobability\tseed_start\tseed_end\tenergy\tpercentile\tstrand";
/// Column after these where alignments are asked for.
pub const ALIGNMENT_HEADER: &str = "alignment";
/// Header row of the summary of target sites.
pub const TARGET_SUMMARY_HEADER: &str = "mirna\ttarget\tstrand\tsites\tbest\tcombined\texpected";

/// Writes a row of the table of structures.
///
/// # Errors
/// Those of the output, and [`io::ErrorKind::InvalidInput`] for a structure that dot-bracket cannot hold.
pub fn write_structure(output: &mut impl Write, structure: &Structure, energies: Option<&Energies>) -> io::Result<()> {
    let line = dot_bracket::structure_line(&structure.id, &structure.partners)?;
    write!(output, "{}\t{}\t", structure.id, structure.length())?;
    output.write_all(&structure.sequence)?;
    output.write_all(b"\t")?;
    output.write_all(&line)?;
    write!(output, "\t{}", structure.pairs().count())?;
    if let Some(energies) = energies {
        let probability = energies.mean_pair_probability.map_or("NA".into(), number::format);
        let (structure, ensemble) = (hundredths(energies.structure), hundredths(energies.ensemble));
        let accuracy = number::format(energies.expected_accuracy);
        write!(output, "\t{structure}\t{ensemble}\t{probability}\t{accuracy}")?;
    }
    writeln!(output)
}

/// Writes a row of the table of several structures of each record, with a free energy in kcal/mol.
///
/// # Errors
/// As [`write_structure`].
pub fn write_structure_with_energy(output: &mut impl Write, structure: &Structure, energy: f64) -> io::Result<()> {
    let mut row = Vec::new();
    write_structure(&mut row, structure, None)?;
    output.write_all(row.trim_ascii_end())?;
    writeln!(output, "\t{}", hundredths(energy))
}

/// A free energy with two digits after the point, never `-0.00`.
pub(super) fn hundredths(energy: f64) -> String {
    let text = format!("{energy:.2}");
    if text == "-0.00" { "0.00".into() } else { text }
}

/// Writes a row of the table of pairs.
///
/// # Errors
/// Those of the output.
pub fn write_pair(output: &mut impl Write, id: &str, pair: &Candidate) -> io::Result<()> {
    write!(output, "{id}\t{}\t{}\t", pair.i + 1, pair.j + 1)?;
    end_with_number(output, pair.probability)
}

/// Stands where there is no number or word.
pub const MISSING: &str = "NA";

/// Writes a row of the coding summary: what the transcript is, what of its coding sequence is there, and its most
/// probable open reading frame, coding or not.
///
/// # Errors
/// Those of the output.
pub fn write_coding(
    output: &mut impl Write,
    id: &str,
    length: usize,
    threshold: f64,
    prediction: &CodingPrediction,
) -> io::Result<()> {
    let mut row = Vec::new();
    write!(row, "{id}\t{length}\t")?;
    match prediction.known_potential() {
        Some(potential) => number::append(&mut row, potential),
        None => row.extend_from_slice(MISSING.as_bytes()),
    }
    let state = prediction.coding_sequences.first().map_or("none", ReadingFrame::state);
    let label = prediction.label(threshold).map_or(MISSING, TranscriptLabel::as_str);
    write!(row, "\t{label}\t{state}\t{}\t", prediction.strand.as_str())?;
    match prediction.coding_sequences.first().or(prediction.frames.first()) {
        Some(frame) => {
            let (start, end) = prediction.strand.on_forward(frame.start, frame.end, length);
            write!(row, "{start}\t{end}\t{}\t", end - start)?;
            number::append(&mut row, (end - start) as f64 / length as f64);
            writeln!(row)?;
        }
        None => writeln!(row, "{MISSING}\t{MISSING}\t{MISSING}\t{MISSING}")?,
    }
    output.write_all(&row)
}

/// Writes a row of the table of homologs: an RNA, the id of a known structure, and how they are alike, in the order of the
/// columns.
///
/// # Errors
/// Those of the output.
pub fn write_homolog(output: &mut impl Write, id: &str, homolog: &str, alike: [f32; 4], evalue: f64) -> io::Result<()> {
    let mut row = format!("{id}\t{homolog}").into_bytes();
    for part in alike {
        row.push(b'\t');
        number::append(&mut row, part);
    }
    output.write_all(&row)?;
    writeln!(output, "\t{}", number::format(evalue))
}

/// The row of an RNA without homologs.
///
/// # Errors
/// Those of the output.
pub fn write_no_homolog(output: &mut impl Write, id: &str) -> io::Result<()> {
    writeln!(output, "{id}{}", "\tNA".repeat(HOMOLOG_HEADER.matches('\t').count()))
}

/// Writes a row of the table of target sites; without a prediction where the site was not judged.
///
/// # Errors
/// Those of the output.
pub fn write_target_site(
    output: &mut impl Write,
    site: &Site,
    prediction: Option<&SitePrediction>,
    with_alignment: bool,
) -> io::Result<()> {
    let (mirna, target, window) = (&site.mirna.id, &site.target, site.on_forward(&site.window));
    let mut row = Vec::with_capacity(128);
    write!(row, "{mirna}\t{}\t{}\t{}\t{}\t", target.id, window.start, window.end, site.seed_type())?;
    let or_missing = |row: &mut Vec<u8>, value: Option<f64>| match value {
        Some(value) => number::append(row, value),
        None => row.extend_from_slice(MISSING.as_bytes()),
    };
    match prediction {
        Some(prediction) => number::append(&mut row, prediction.affinity.probability),
        None => row.extend_from_slice(MISSING.as_bytes()),
    }
    match site.seed.map(|seed| site.on_forward(&seed.range())) {
        Some(seed) => write!(row, "\t{}\t{}\t", seed.start, seed.end)?,
        None => write!(row, "\t{MISSING}\t{MISSING}\t")?,
    }
    let duplex = prediction.and_then(|prediction| prediction.duplex.as_ref());
    row.extend_from_slice(duplex.map_or(MISSING.into(), |duplex| hundredths(f64::from(duplex.energy))).as_bytes());
    row.push(b'\t');
    or_missing(&mut row, prediction.and_then(|prediction| prediction.affinity.percentile));
    write!(row, "\t{}", target.strand.as_str())?;
    if with_alignment {
        let pair = site.pair();
        let drawn = duplex.map_or(MISSING.into(), |duplex| alignment(pair.mirna, pair.site, duplex));
        write!(row, "\t{drawn}")?;
    }
    row.push(b'\n');
    output.write_all(&row)
}

/// Writes a row of the summary of target sites.
///
/// # Errors
/// Those of the output.
pub fn write_target_summary(output: &mut impl Write, row: &MirnaSummary) -> io::Result<()> {
    let (target, summary) = (&row.target, &row.summary);
    let mut text = Vec::new();
    write!(text, "{}\t{}\t{}\t{}", row.mirna, target.id, target.strand.as_str(), summary.sites)?;
    for value in [summary.best, summary.combined, summary.expected] {
        text.push(b'\t');
        number::append(&mut text, value);
    }
    text.push(b'\n');
    output.write_all(&text)
}

fn end_with_number(output: &mut impl Write, value: f32) -> io::Result<()> {
    let mut text = Vec::with_capacity(16);
    number::append(&mut text, value);
    text.push(b'\n');
    output.write_all(&text)
}
