//! The tab-separated tables: one header row, no quoting, 6 significant digits. Each has a header and a function that
//! writes a row.
//!
//! | table | columns |
//! | --- | --- |
//! | structures | `id` `length` `sequence` `structure` (dot-bracket) `pairs` (their number) |
//! | pairs | `id` `i` `j` `probability` (i < j, 1-based) |
//! | relatives | `id` `relative` (a known structure's id) `identity` `aligned` `covered` `kept` (parts, 0 to 1) |
//! | coding summary | `id` `length` `coding_potential` `label` (`mRNA` or `lncRNA`); `NA` where there is none |
//! | target sites | `mirna` `target` `start` `end` (0-based, half-open) `seed_type` `probability` (`NA` where the site is not judged) |

use std::io::{self, Write};

use super::{dot_bracket, number, structure::Structure};
use crate::{
    decode::{base_pairs::Candidate, coding::TranscriptLabel, target_site::SeedType},
    relatives::Relative,
};

/// Header row of the table of structures.
pub const STRUCTURE_HEADER: &str = "id\tlength\tsequence\tstructure\tpairs";
/// Header row of the table of pairs.
pub const PAIR_HEADER: &str = "id\ti\tj\tprobability";
/// Header row of the table of relatives.
pub const RELATIVE_HEADER: &str = "id\trelative\tidentity\taligned\tcovered\tkept";
/// Header row of the coding summary.
pub const CODING_HEADER: &str = "id\tlength\tcoding_potential\tlabel";
/// Header row of the table of target sites.
pub const TARGET_SITE_HEADER: &str = "mirna\ttarget\tstart\tend\tseed_type\tprobability";

/// Writes a row of the table of structures.
///
/// # Errors
/// Those of the output, and [`io::ErrorKind::InvalidInput`] for a structure that dot-bracket cannot hold.
pub fn write_structure(output: &mut impl Write, structure: &Structure) -> io::Result<()> {
    let line = dot_bracket::structure_line(&structure.id, &structure.partners)?;
    write!(output, "{}\t{}\t", structure.id, structure.length())?;
    output.write_all(&structure.sequence)?;
    output.write_all(b"\t")?;
    output.write_all(&line)?;
    writeln!(output, "\t{}", structure.pairs().count())
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

/// Writes a row of the coding summary, with the coding potential and the label where there are some.
///
/// # Errors
/// Those of the output.
pub fn write_coding(
    output: &mut impl Write,
    id: &str,
    length: usize,
    coding_potential: Option<f64>,
    label: Option<TranscriptLabel>,
) -> io::Result<()> {
    let mut row = Vec::new();
    write!(row, "{id}\t{length}\t")?;
    match coding_potential {
        Some(coding_potential) => number::append(&mut row, coding_potential),
        None => row.extend_from_slice(MISSING.as_bytes()),
    }
    writeln!(row, "\t{}", label.map_or(MISSING, TranscriptLabel::as_str))?;
    output.write_all(&row)
}

/// Writes a row of the table of relatives: an RNA, the id of a known structure, and how they are alike.
///
/// # Errors
/// Those of the output.
pub fn write_relative(output: &mut impl Write, id: &str, relative: &Relative) -> io::Result<()> {
    write!(output, "{id}\t{}", relative.id())?;
    for part in [relative.identity, relative.aligned, relative.covered] {
        let mut text = vec![b'\t'];
        number::append(&mut text, part);
        output.write_all(&text)?;
    }
    write!(output, "\t")?;
    end_with_number(output, relative.kept)
}

/// Writes a row of the table of target sites; without a probability where the site was not judged.
///
/// # Errors
/// Those of the output.
pub fn write_target_site(
    output: &mut impl Write,
    mirna: &str,
    target: &str,
    range: std::ops::Range<usize>,
    seed_type: SeedType,
    probability: Option<f32>,
) -> io::Result<()> {
    write!(output, "{mirna}\t{target}\t{}\t{}\t{seed_type}\t", range.start, range.end)?;
    match probability {
        Some(probability) => end_with_number(output, probability),
        None => writeln!(output, "{MISSING}"),
    }
}

fn end_with_number(output: &mut impl Write, value: f32) -> io::Result<()> {
    let mut text = Vec::with_capacity(16);
    number::append(&mut text, value);
    text.push(b'\n');
    output.write_all(&text)
}
