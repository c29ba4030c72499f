//! Where the coding sequences (CDS) of transcripts lie: BED3 to BED12, GFF3 or GTF, in the coordinates of the transcripts,
//! as `rnaret-coding --orf` writes them.
//!
//! A row belongs to the record that its first column names: by its whole id, or by the first field of an id with bars
//! (`ENST…|ENSG…|…`, on either side). Where GTF names nothing that is known there, its `transcript_id` counts, as long as
//! that is the only one on its sequence and begins where the sequence does.
//!
//! Rows are parts of one CDS where they share an `ID` (GFF3) or a `transcript_id` (GTF), or where they share a `Parent`
//! or a name and one begins where the other ends; GTF's stop codons are joined to the CDS before them. Of several CDS of
//! one transcript the longest counts, of equally long ones the first.

mod row;

use std::collections::{BTreeMap, HashMap};
use std::io::BufRead;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use self::row::{Format, PartOf, Row, What, from_bed};
use super::lines::Lines;
use crate::{Error, Result};

/// Contradictions that are written out; the others are counted.
const SHOWN: usize = 5;

/// The CDS of transcripts, and which of them have been asked for.
#[derive(Debug, Default)]
pub struct Annotation {
    file: String,
    transcripts: HashMap<String, Transcript>,
    /// For the first field of an id with bars the whole id, unless several share it.
    first_fields: HashMap<String, Option<String>>,
    /// For a `transcript_id` of GTF the sequence that holds no other.
    transcript_ids: HashMap<String, String>,
}

#[derive(Debug)]
struct Transcript {
    cds: Option<Range<usize>>,
    /// How many rows name it, and the first of their lines.
    rows: usize,
    line: usize,
    used: AtomicBool,
}

/// Rows of one sequence, with their lines.
type Rows = Vec<(usize, Row)>;

impl Annotation {
    /// Reads BED, GFF3 or GTF, told apart by their columns.
    ///
    /// # Errors
    /// Where the file cannot be read, where a row is none of its format or lies on the minus strand, and where rows of one
    /// CDS overlap.
    pub fn read(reader: impl BufRead, file: &str) -> Result<Self> {
        let mut lines = Lines::new(reader, file);
        let mut format = None;
        let mut sequences: BTreeMap<String, Rows> = BTreeMap::new();
        // Lines of `#` that may be rows of BED whose id begins so.
        let mut hidden: BTreeMap<String, Rows> = BTreeMap::new();
        while lines.advance()? {
            let line = lines.line();
            if line.trim_ascii().is_empty() {
                continue;
            }
            let features = matches!(format, Some(Format::Gff3 | Format::Gtf));
            if (line.trim_ascii_end() == "##FASTA" && format != Some(Format::Bed))
                || (features && line.starts_with('>'))
            {
                break;
            }
            if line.starts_with('#') {
                if let Ok(row) = from_bed(line)
                    && !features
                {
                    hidden.entry(row.sequence.clone()).or_default().push((lines.number(), row));
                }
                continue;
            }
            let present = format.unwrap_or_else(|| Format::of(line));
            match present.parse(line) {
                Ok(row) => {
                    format = Some(present);
                    if let Some(row) = row {
                        sequences.entry(row.sequence.clone()).or_default().push((lines.number(), row));
                    }
                }
                Err(_) if present == Format::Bed && is_display_line(line) => {}
                Err(message) => {
                    let other = crate::sequence::other_text(line).filter(|_| format.is_none());
                    let message = match other {
                        Some(what) => format!("this is {what}: BED, GFF3 or GTF is wanted"),
                        None => message,
                    };
                    return Err(lines.error("", message));
                }
            }
        }
        let mut annotation = Self { file: file.to_owned(), ..Self::default() };
        let mut contradictions = Vec::new();
        for (sequence, rows) in sequences {
            annotation.add(sequence, rows, &mut contradictions, false)?;
        }
        for (sequence, rows) in hidden {
            annotation.add(sequence, rows, &mut Vec::new(), true)?;
        }
        contradictions.sort();
        for (_, message) in contradictions.iter().take(SHOWN) {
            log::warn!("{file}: {message}");
        }
        if contradictions.len() > SHOWN {
            log::warn!("{file}: {} more rows contradict one another", contradictions.len() - SHOWN);
        }
        Ok(annotation)
    }

    /// Takes in the rows of a sequence.
    fn add(&mut self, sequence: String, rows: Rows, notes: &mut Vec<(usize, String)>, hidden: bool) -> Result<()> {
        let line = rows.first().map_or(0, |row| row.0);
        let mut ids: Vec<&String> = rows.iter().filter_map(|(_, row)| row.transcript.as_ref()).collect();
        ids.sort();
        ids.dedup();
        if let [id] = ids.as_slice()
            && **id != sequence
            && !rows.iter().any(|(_, row)| row.what == What::Elsewhere)
        {
            self.transcript_ids.insert((*id).clone(), sequence.clone());
        }
        if let Some((first, _)) = sequence.split_once('|').filter(|_| !hidden) {
            let shared = self.first_fields.contains_key(first);
            self.first_fields.insert(first.to_owned(), (!shared).then(|| sequence.clone()));
        }
        let count = rows.iter().filter(|(_, row)| !hidden && row.what != What::Elsewhere).count();
        let cds = longest_cds(rows, notes).map_err(|(line, message)| Error::Input {
            file: self.file.clone(),
            place: format!("line {line} ({sequence})"),
            message,
        })?;
        self.transcripts.insert(sequence, Transcript { cds, rows: count, line, used: AtomicBool::new(false) });
        Ok(())
    }

    /// The CDS of the record `id`, 0-based and half-open, stop codon included; `None` where there is none.
    pub fn cds(&self, id: &str) -> Option<Range<usize>> {
        let transcript = self.find(id)?;
        transcript.used.store(true, Ordering::Relaxed);
        transcript.cds.clone()
    }

    fn find(&self, id: &str) -> Option<&Transcript> {
        if let Some(transcript) = self.transcripts.get(id) {
            return Some(transcript);
        }
        let name = match id.split_once('|') {
            Some((first, _)) => Some(first),
            None => self.first_fields.get(id).and_then(|name| name.as_deref()),
        };
        let name = name.filter(|name| self.transcripts.contains_key(*name));
        let name = name.or_else(|| {
            let first = id.split('|').next().unwrap_or_default();
            self.transcript_ids.get(id).or_else(|| self.transcript_ids.get(first)).map(String::as_str)
        });
        self.transcripts.get(name?)
    }

    /// Warns of rows that belong to no record, once all records have been read.
    ///
    /// # Errors
    /// Where no row belongs to any.
    pub fn check_used(&self) -> Result<()> {
        let total: usize = self.transcripts.values().map(|transcript| transcript.rows).sum();
        let unused =
            || self.transcripts.iter().filter(|(_, found)| !found.used.load(Ordering::Relaxed) && found.rows > 0);
        let left: usize = unused().map(|(_, transcript)| transcript.rows).sum();
        let first = unused().min_by_key(|(_, transcript)| transcript.line);
        let used = self.transcripts.values().any(|transcript| transcript.used.load(Ordering::Relaxed));
        let Some((name, transcript)) = first else {
            return match used {
                false => Err(Error::Input {
                    file: self.file.clone(),
                    place: "whole file".to_owned(),
                    message: "there is no CDS in it: BED, GFF3 or GTF with rows for CDS is wanted".to_owned(),
                }),
                true => Ok(()),
            };
        };
        let line = transcript.line;
        if !used {
            return Err(Error::Input {
                file: self.file.clone(),
                place: format!("line {line}"),
                message: format!(
                    "no record is called `{name}`, and none of the {total} rows belongs to a record: the first column \
                     names a record, and positions count on it, not on a chromosome"
                ),
            });
        }
        log::warn!("{}: {left} of {total} rows belong to no record (the first in line {line}, `{name}`)", self.file);
        Ok(())
    }

    /// The sequences that are annotated.
    pub fn transcripts(&self) -> impl Iterator<Item = &str> {
        self.transcripts.keys().map(String::as_str)
    }
}

/// Whether a line tells a genome browser how to show what follows, and is no row.
fn is_display_line(line: &str) -> bool {
    ["track", "browser"].contains(&line.split_ascii_whitespace().next().unwrap_or_default())
}

/// Whether a part with phase `next` goes on where a part of `length` bases with phase `phase` ends.
fn in_frame(phase: Option<usize>, length: usize, next: Option<usize>) -> bool {
    match (phase, next) {
        // (length - phase) bases are in codons; what is missing of the last one comes first in the next part.
        (Some(phase), Some(next)) => (length + 3 - phase + next).is_multiple_of(3),
        _ => true,
    }
}

/// The longest CDS that the rows of one sequence make; `notes` gets what does not fit together, by line.
fn longest_cds(
    mut rows: Rows,
    notes: &mut Vec<(usize, String)>,
) -> std::result::Result<Option<Range<usize>>, (usize, String)> {
    rows.sort_by(|(line, a), (other, b)| {
        (&a.part_of, a.range.start, a.range.end, line).cmp(&(&b.part_of, b.range.start, b.range.end, other))
    });
    rows.dedup_by(|(_, later), (_, row)| later == row);
    /// A CDS as far as it is put together.
    struct Cds {
        line: usize,
        range: Range<usize>,
        part_of: PartOf,
        /// Phase of its first part, and the bases of all.
        phase: Option<usize>,
        bases: usize,
    }
    let mut found: Vec<Cds> = Vec::new();
    for (line, row) in rows.iter().filter(|(_, row)| row.what == What::Cds) {
        if let Some(last) = found.last_mut().filter(|last| last.part_of == row.part_of) {
            let continues = in_frame(last.phase, last.bases, row.phase);
            let feature = matches!(row.part_of, PartOf::Feature(_));
            // A frameshift of the ribosome goes back by one or two bases.
            if feature && row.range.start + 2 < last.range.end {
                return Err((
                    *line,
                    format!(
                        "this row and line {} are parts of one CDS and overlap: give them IDs of their own",
                        last.line
                    ),
                ));
            }
            if feature || (row.range.start == last.range.end && continues) {
                if !continues {
                    let message = format!("line {line}: its phase is not the one that line {} leaves", last.line);
                    notes.push((*line, message));
                }
                last.bases += row.range.len();
                last.range.end = row.range.end.max(last.range.end);
                continue;
            }
        }
        found.push(Cds {
            line: *line,
            range: row.range.clone(),
            part_of: row.part_of.clone(),
            phase: row.phase,
            bases: row.range.len(),
        });
    }
    for (line, row) in rows.iter().filter(|(_, row)| row.what == What::StopCodon) {
        match found.iter_mut().find(|cds| cds.part_of == row.part_of) {
            Some(cds) if cds.range.end == row.range.start => cds.range.end = row.range.end,
            Some(cds) if cds.range.start <= row.range.start && row.range.end <= cds.range.end => {}
            _ => notes.push((*line, format!("line {line}: this stop codon follows no CDS"))),
        }
    }
    if let Some((line, _)) = rows.iter().find(|(_, row)| row.what == What::NoCds)
        && let Some(cds) = found.first()
    {
        notes
            .push((*line, format!("line {line}: there is no CDS according to this row, but one in line {}", cds.line)));
    }
    let longest = found.into_iter().min_by_key(|cds| (std::cmp::Reverse(cds.range.len()), cds.line));
    Ok(longest.map(|cds| cds.range))
}

#[cfg(test)]
mod tests;
