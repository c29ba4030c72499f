//! One row of an annotation, cut by noodles: what it says about the coding sequence (CDS) of a transcript.

use std::borrow::Cow;
use std::io;
use std::ops::Range;

use noodles::core::Position;
use noodles::{bed, gff, gtf};

/// What a row says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// The sequence that the row is about: its first column.
    pub(super) sequence: String,
    /// GTF's `transcript_id`.
    pub(super) transcript: Option<String>,
    pub(super) what: What,
    /// 0-based and half-open.
    pub(super) range: Range<usize>,
    pub(super) part_of: PartOf,
    /// Bases before the first whole codon, where the row tells.
    pub(super) phase: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A CDS, or a part of one.
    Cds,
    /// GTF keeps the stop codon apart from the CDS.
    StopCodon,
    /// BED12 without a thick part: a transcript without a CDS.
    NoCds,
    /// A transcript of GTF that does not begin where its sequence does: positions on a chromosome.
    Elsewhere,
}

/// Which rows are parts of one CDS.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PartOf {
    /// Those that name the same feature (`ID` of GFF3, `transcript_id` of GTF), wherever they lie.
    Feature(String),
    /// Those that share a parent or a name, where one begins exactly where the other ends.
    Group(String),
}

/// The formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Bed,
    Gff3,
    Gtf,
}

impl Format {
    /// The format that a row is of.
    pub(super) fn of(line: &str) -> Self {
        let fields: Vec<&str> = line.split('\t').collect();
        // The strand stands in column 7 of GFF, where BED has a number.
        match fields.as_slice() {
            [_, _, _, _, _, _, "+" | "-" | "." | "?", _, attributes] => {
                // `ID=x` in GFF3, `transcript_id "x"` in GTF.
                let key = attributes.trim_ascii_start().split(['=', ' ', '"']).next().unwrap_or_default();
                let quoted = attributes.trim_ascii_start()[key.len()..].starts_with([' ', '"']);
                if quoted && !key.is_empty() { Self::Gtf } else { Self::Gff3 }
            }
            _ => Self::Bed,
        }
    }

    /// What a row says; `None` for a feature that does not matter here.
    ///
    /// # Errors
    /// What is wrong with the row.
    pub(super) fn parse(self, line: &str) -> Result<Option<Row>, String> {
        match self {
            Self::Bed => from_bed(line).map(Some),
            Self::Gff3 => from_gff3(line),
            Self::Gtf => from_gtf(line),
        }
    }
}

/// What is said of a CDS on the minus strand.
const OTHER_STRAND: &str = "the CDS of a transcript lies on its own strand (+), not on the minus strand: turn the \
                            transcript and the annotation, or take the row out";

/// Reads a row of BED3 to BED12. Where it has a thick part (columns 7 and 8), this is the CDS, otherwise the whole row
/// is. Blocks are passed over: a transcript is one block in its own coordinates.
pub(super) fn from_bed(line: &str) -> Result<Row, String> {
    let mut record = bed::Record::<3>::default();
    // noodles takes a `#` for a comment, but an id may begin with one.
    let hidden = line.strip_prefix('#').map(|rest| format!("_{rest}"));
    let text = format!("{}\n", hidden.as_deref().unwrap_or(line));
    let unreadable = |_| "this is no row of BED: sequence, start and end, with tabs between them".to_owned();
    bed::io::Reader::<3, _>::new(text.as_bytes()).read_record(&mut record).map_err(unreadable)?;
    let start = usize::from(record.feature_start().map_err(unreadable)?) - 1;
    // noodles takes an end of 0 for a missing one.
    let end = record.feature_end().transpose().map_err(unreadable)?.map_or(0, usize::from);
    let other = record.other_fields();
    let field = |number: usize| other.get(number - 4).map(|field| String::from_utf8_lossy(field));
    let mut range = range_of(start, end)?;
    match field(6).as_deref() {
        Some("-") => return Err(OTHER_STRAND.to_owned()),
        None | Some("+" | "." | "") => {}
        Some(strand) => return Err(format!("the strand (column 6) is `{strand}`, not +, - or .")),
    }
    let mut what = What::Cds;
    if let (Some(thick_start), Some(thick_end)) = (field(7), field(8)) {
        let number = |text: &str| text.parse::<usize>().map_err(|_| format!("`{text}` is no thickStart or thickEnd"));
        let thick = number(&thick_start)?..number(&thick_end)?;
        if thick.is_empty() {
            what = What::NoCds;
        } else if thick.start < range.start || thick.end > range.end {
            return Err(format!(
                "the thick part {}-{} does not lie in the row's own {}-{}",
                thick.start, thick.end, range.start, range.end
            ));
        } else {
            range = thick;
        }
    }
    let sequence = line.split('\t').next().unwrap_or_default().to_owned();
    if sequence.is_empty() {
        return Err("the first column is empty: it names the transcript".to_owned());
    }
    let name = field(4).unwrap_or(Cow::Borrowed("")).into_owned();
    Ok(Row { sequence, transcript: None, what, range, part_of: PartOf::Group(name), phase: None })
}

/// Reads a row of GFF3 (specification 1.26), with its escapes undone; `None` for anything but a CDS.
fn from_gff3(line: &str) -> Result<Option<Row>, String> {
    let unreadable = |error: io::Error| format!("this is no row of GFF3 ({error})");
    let mut row = gff::Line::default();
    gff::io::Reader::new(line.as_bytes()).read_line(&mut row).map_err(unreadable)?;
    let Some(record) = row.as_record() else { return Ok(None) };
    let record = record.map_err(unreadable)?;
    let kind = record.ty();
    let kind: &[u8] = &kind;
    if kind != b"CDS" && kind != b"SO:0000316" {
        return Ok(None);
    }
    check_strand(record.strand())?;
    let (mut id, mut parent) = (None, String::new());
    for attribute in record.attributes().iter() {
        let (tag, value) =
            attribute.map_err(|_| "the attributes (column 9) are not of the form tag=value".to_owned())?;
        // Blanks after a semicolon, and two semicolons, are seen in the wild.
        match tag.trim_ascii_start().strip_prefix(b";").unwrap_or(tag.trim_ascii_start()) {
            b"ID" => id = Some(text(value_text(&value).as_ref())?),
            b"Parent" => parent = text(value_text(&value).as_ref())?,
            _ => {}
        }
    }
    let part_of = id.map_or(PartOf::Group(parent), PartOf::Feature);
    Ok(Some(Row {
        sequence: text(record.reference_sequence_name().as_ref())?,
        transcript: None,
        what: What::Cds,
        range: inclusive(record.start(), record.end())?,
        part_of,
        phase: phase(record.phase())?,
    }))
}

/// The value of an attribute; that of several is joined again, since ids may hold commas.
fn value_text<'a>(value: &'a gff::record::attributes::field::Value<'_>) -> Cow<'a, [u8]> {
    use gff::record::attributes::field::Value;
    match value {
        Value::String(text) => Cow::Borrowed(text.as_ref()),
        Value::Array(array) => Cow::Owned(array.iter().map(|part| part.to_vec()).collect::<Vec<_>>().join(&b","[..])),
    }
}

/// Reads a row of GTF; `None` for anything but a CDS or a stop codon.
fn from_gtf(line: &str) -> Result<Option<Row>, String> {
    let unreadable = |error: io::Error| format!("this is no row of GTF ({error})");
    let mut row = gtf::Line::default();
    gtf::io::Reader::new(line.as_bytes()).read_line(&mut row).map_err(unreadable)?;
    let Some(record) = row.as_record() else { return Ok(None) };
    let record = record.map_err(unreadable)?;
    let kind: &[u8] = record.ty();
    let what = match kind {
        b"CDS" => What::Cds,
        b"stop_codon" => What::StopCodon,
        b"transcript" if record.start().is_ok_and(|start| usize::from(start) > 1) => What::Elsewhere,
        _ => return Ok(None),
    };
    if what != What::Elsewhere {
        check_strand(record.strand())?;
    }
    let attributes = record.attributes().map_err(|error| format!("the attributes (column 9): {error}"))?;
    let transcript = match attributes.get(b"transcript_id") {
        Some(Ok(gtf::record::attributes::field::Value::String(id))) if !id.is_empty() => Some(text(id.as_ref())?),
        _ => None,
    };
    let part_of = transcript.clone().map_or(PartOf::Group(String::new()), PartOf::Feature);
    Ok(Some(Row {
        sequence: text(record.reference_sequence_name().as_ref())?,
        transcript,
        what,
        range: inclusive(record.start(), record.end())?,
        part_of,
        phase: phase(record.phase())?,
    }))
}

fn check_strand(strand: io::Result<gff::feature::record::Strand>) -> Result<(), String> {
    match strand {
        Ok(gff::feature::record::Strand::Reverse) => Err(OTHER_STRAND.to_owned()),
        Ok(_) => Ok(()),
        Err(_) => Err("the strand (column 7) is not +, -, . or ?".to_owned()),
    }
}

fn phase(phase: Option<io::Result<gff::feature::record::Phase>>) -> Result<Option<usize>, String> {
    use gff::feature::record::Phase;
    match phase {
        None => Ok(None),
        Some(Ok(Phase::Zero)) => Ok(Some(0)),
        Some(Ok(Phase::One)) => Ok(Some(1)),
        Some(Ok(Phase::Two)) => Ok(Some(2)),
        Some(Err(_)) => Err("the phase (column 8) is not 0, 1 or 2".to_owned()),
    }
}

/// A 0-based, half-open range for positions from 1 that both count.
fn inclusive(start: io::Result<Position>, end: io::Result<Position>) -> Result<Range<usize>, String> {
    match (start, end) {
        (Ok(start), Ok(end)) => range_of(usize::from(start) - 1, usize::from(end)),
        _ => Err("start and end (columns 4 and 5) are not whole numbers from 1".to_owned()),
    }
}

fn range_of(start: usize, end: usize) -> Result<Range<usize>, String> {
    match start < end {
        true => Ok(start..end),
        false => Err("the start does not lie before the end".to_owned()),
    }
}

fn text(bytes: &[u8]) -> Result<String, String> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| "an id is not UTF-8".to_owned())
}
