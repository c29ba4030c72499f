//! Dot-bracket: three lines per record (`>id`, sequence, structure), as ViennaRNA and forna read it.
//!
//! Unpaired bases are `.`. Pairs are taken in the order of their 5' bases, and each gets the first kind of brackets in
//! which it crosses no pair: `()`, `[]`, `{}`, `<>`, then `Aa` to `Zz` (the opening letter is the upper-case one). The
//! same structure always gives the same text. Thirty kinds are enough for everything natural; a structure that needs
//! more is an error here and can be written as CT or BPSEQ.

use std::io::{self, BufRead, Write};

use super::{lines::Lines, table, title::record_id};
use crate::Result;
use crate::sequence::alphabet::rna_letter;
use crate::structure::{Structure, pairs};

/// The opening brackets in the order of use.
const OPENING: &[u8; 30] = b"([{<ABCDEFGHIJKLMNOPQRSTUVWXYZ";
/// The closing brackets in the same order.
const CLOSING: &[u8; 30] = b")]}>abcdefghijklmnopqrstuvwxyz";
/// Unpaired bases: the dot, and what alignments and other programs write.
const UNPAIRED: &[u8] = b".-_:,~";

/// The kind of brackets (from 0) of each pair of `partners`, in the order of [`pairs`]: first fit in the order of the
/// 5' bases. The kinds count beyond those that dot-bracket has.
pub fn bracket_kinds(partners: &[Option<usize>]) -> Vec<usize> {
    // For each kind the 3' bases of its open pairs, the innermost last: pairs of one kind are nested, so that the
    // innermost closes first, and a new pair crosses one of them exactly where it reaches beyond the innermost.
    let mut open: Vec<Vec<usize>> = Vec::new();
    pairs(partners)
        .map(|(i, j)| {
            let fits = open.iter_mut().position(|ends| {
                while ends.last().is_some_and(|&end| end < i) {
                    ends.pop();
                }
                ends.last().is_none_or(|&end| j < end)
            });
            let kind = fits.unwrap_or_else(|| {
                open.push(Vec::new());
                open.len() - 1
            });
            open[kind].push(j);
            kind
        })
        .collect()
}

/// Takes out the pairs that need more kinds of brackets than there are; returns how many. What no plausible RNA has, the
/// guesses of a poor model may.
pub fn drop_excess_levels(partners: &mut [Option<usize>]) -> usize {
    let kinds = bracket_kinds(partners);
    let pairs: Vec<_> = crate::structure::pairs(partners).collect();
    let mut dropped = 0;
    for ((i, j), _) in pairs.into_iter().zip(kinds).filter(|&(_, kind)| kind >= OPENING.len()) {
        (partners[i], partners[j]) = (None, None);
        dropped += 1;
    }
    dropped
}

/// The structure line, one character per base.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`], naming the record, where more kinds of brackets are needed than there are.
pub fn structure_line(id: &str, partners: &[Option<usize>]) -> io::Result<Vec<u8>> {
    let mut line = vec![b'.'; partners.len()];
    let kinds = bracket_kinds(partners);
    if let Some(needed) = kinds.iter().max().map(|&kind| kind + 1).filter(|&needed| needed > OPENING.len()) {
        let message = format!(
            "record {id}: its crossing pairs need {needed} kinds of brackets and dot-bracket has {}; write CT or BPSEQ",
            OPENING.len()
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    for ((i, j), kind) in pairs(partners).zip(kinds) {
        line[i] = OPENING[kind];
        line[j] = CLOSING[kind];
    }
    Ok(line)
}

/// The partner of each base of a structure line. Any mixture of brackets is read, not only what [`structure_line`]
/// writes.
///
/// # Errors
/// Where a bracket has no partner or a character is none of the format's: its 0-based position and what is wrong.
pub fn parse_structure_line(line: &[u8]) -> std::result::Result<Vec<Option<usize>>, (usize, String)> {
    let mut partners = vec![None; line.len()];
    let mut open: [Vec<usize>; OPENING.len()] = std::array::from_fn(|_| Vec::new());
    for (position, &character) in line.iter().enumerate() {
        if UNPAIRED.contains(&character) {
            continue;
        }
        if let Some(kind) = OPENING.iter().position(|&opening| opening == character) {
            open[kind].push(position);
        } else if let Some(kind) = CLOSING.iter().position(|&closing| closing == character) {
            let opening = open[kind].pop().ok_or_else(|| {
                (
                    position,
                    format!("`{}` closes nothing: `{}` is missing", char::from(character), char::from(OPENING[kind])),
                )
            })?;
            partners[opening] = Some(position);
            partners[position] = Some(opening);
        } else {
            return Err((position, format!("`{}` is no dot-bracket character", character.escape_ascii())));
        }
    }
    let unclosed = open.iter().enumerate().filter_map(|(kind, open)| Some((*open.last()?, kind))).min();
    match unclosed {
        Some((position, kind)) => Err((position, format!("`{}` is never closed", char::from(OPENING[kind])))),
        None => Ok(partners),
    }
}

/// Writes one record of three lines.
///
/// # Errors
/// Those of the output, and [`io::ErrorKind::InvalidInput`] where there are not enough kinds of brackets.
pub fn write(output: &mut impl Write, structure: &Structure) -> io::Result<()> {
    write_with_energy(output, structure, None)
}

/// The same, with a free energy in kcal/mol after the structure as RNAfold writes it: ` (-12.30)`.
///
/// # Errors
/// As [`write()`].
pub fn write_with_energy(output: &mut impl Write, structure: &Structure, energy: Option<f64>) -> io::Result<()> {
    let mut line = Vec::new();
    write_line(&mut line, structure, energy)?;
    writeln!(output, ">{}", structure.id)?;
    output.write_all(&structure.sequence)?;
    output.write_all(b"\n")?;
    output.write_all(&line)
}

/// Writes the line of a structure, with its free energy after it where there is one.
///
/// # Errors
/// As [`write()`].
pub fn write_line(output: &mut impl Write, structure: &Structure, energy: Option<f64>) -> io::Result<()> {
    output.write_all(&structure_line(&structure.id, &structure.partners)?)?;
    if let Some(energy) = energy {
        write!(output, " ({:>6})", table::hundredths(energy))?;
    }
    output.write_all(b"\n")
}

/// Reads records one by one: `>id` and anything after a blank, the sequence (T is U, lower case is upper case, IUPAC
/// letters are N), the structure. Sequence and structure may be wrapped. After the structure, what follows a blank is
/// passed over: an energy such as `(-3.40)`. Blank lines and lines that start with `#` are passed over, except that
/// `#Name:` (bpRNA) starts a record as `>` does.
///
/// Where several structures follow one sequence, as RNAsubopt and `RNAfold -p` write them, the first is read; a warning
/// at the end counts the others, but for RNAfold's own further lines (`[…]`, `{…}`).
pub struct Reader<R> {
    lines: Lines<R>,
    /// Structures that were passed over.
    further: usize,
    finished: bool,
}

impl<R: BufRead> Reader<R> {
    /// A reader of `input`, which errors call `file`.
    pub fn new(input: R, file: impl Into<String>) -> Self {
        Self { lines: Lines::new(input, file), further: 0, finished: false }
    }

    fn read(&mut self) -> Result<Option<Structure>> {
        let lines = &mut self.lines;
        let mut body = loop {
            if !lines.advance()? {
                lines.report_further(self.further);
                return Ok(None);
            }
            let line = lines.text();
            if let Some(title) = title(line) {
                let (id, annotated) = (record_id(title).to_owned(), line.starts_with('#'));
                lines.records += 1;
                let id = if id.is_empty() { lines.fallback_id() } else { id };
                break Body { id, annotated, ..Body::default() };
            }
            if !line.is_empty() && !line.starts_with('#') {
                return Err(lines.error("", "expected a header line that starts with `>`"));
            }
        };
        while lines.advance()? {
            let line = lines.text();
            if title(line).is_some() {
                lines.put_back();
                break;
            }
            if !line.is_empty() && !line.starts_with('#') {
                let line = body.push(line, lines.number());
                line.map_err(|message| lines.error(&body.id, message))?;
            }
        }
        self.further += body.further;
        let id = body.id.clone();
        let structure = body.finish().map_err(|(line, message)| lines.error_at(line, &id, message))?;
        Ok(Some(structure))
    }
}

/// The lines of a record after its header.
///
/// A structure may consist of letters alone (`AAaa`), so that only the lengths tell where the sequence ends: the
/// structure is as long.
#[derive(Default)]
struct Body {
    id: String,
    /// Has a header of bpRNA, whose files hold more lines after the structure.
    annotated: bool,
    /// Number and text of the lines of letters alone at the start: the sequence, and perhaps structure.
    letters: Vec<(usize, Vec<u8>)>,
    /// Those from the first line on that is certainly structure, as many as it takes.
    marks: Vec<(usize, Vec<u8>)>,
    /// Letters and characters in these.
    lengths: (usize, usize),
    /// Further structures of the same sequence.
    further: usize,
}

/// What is wrong, and in which line.
type Wrong = (usize, String);

impl Body {
    /// Takes in the next line.
    fn push(&mut self, line: &str, number: usize) -> std::result::Result<(), String> {
        let mut words = line.split_ascii_whitespace();
        let first = words.next().unwrap_or_default();
        // RNAsubopt writes numbers behind the sequence, the range of energies.
        let sequence = first.bytes().all(|letter| letter.is_ascii_alphabetic())
            && words.clone().all(|word| word.parse::<f64>().is_ok());
        if self.marks.is_empty() && sequence {
            self.lengths.0 += first.len();
            self.letters.push((number, first.into()));
            return Ok(());
        }
        let (bases, characters) = self.lengths;
        if first.contains(['&', '+']) && (self.letters.is_empty() || characters < bases) {
            return Err(TWO_STRANDS.to_owned());
        }
        if self.letters.is_empty() {
            return Err("expected the sequence".to_owned());
        }
        if characters < bases {
            self.lengths.1 += first.len();
            self.marks.push((number, first.into()));
            return Ok(());
        }
        // The structure is complete.
        if self.annotated || is_remark(line) {
            return Ok(());
        }
        if first.len() != bases {
            let shown: String = first.chars().take(20).collect();
            return Err(format!("`{shown}` follows a whole structure and is none of {bases} bases itself"));
        }
        self.further += usize::from(!words.next().is_some_and(|note| note.starts_with(['[', '{'])));
        Ok(())
    }

    fn finish(self) -> std::result::Result<Structure, Wrong> {
        let Some(&(first, _)) = self.letters.first() else { return Err((0, "the record has no sequence".to_owned())) };
        let (letters, marks) = (self.letters.as_slice(), self.marks.as_slice());
        // All letters are the sequence, unless a part of them is a structure for the rest.
        let sequence = (1..=letters.len())
            .rev()
            .find(|&count| {
                let structure = structure_of(letters, marks, count);
                structure.is_some_and(|text| count == letters.len() || parse_structure_line(&text).is_ok())
            })
            .unwrap_or(letters.len());
        let (mut bases, mut lines) = (Vec::new(), Vec::new());
        for (number, line) in &letters[..sequence] {
            for &letter in line {
                let base = rna_letter(letter).ok_or_else(|| {
                    (*number, format!("position {}: `{}` is no nucleotide", bases.len() + 1, char::from(letter)))
                })?;
                bases.push(base);
            }
        }
        let mut text = Vec::new();
        for (number, line) in letters[sequence..].iter().chain(marks) {
            if text.len() < bases.len() {
                text.extend_from_slice(line);
                lines.resize(text.len(), *number);
            }
        }
        if text.len() != bases.len() {
            let mut message =
                format!("the structure has {} characters and the sequence {} bases", text.len(), bases.len());
            if text.is_empty() {
                message.push_str(": a line of dot-bracket is missing (is this FASTA?)");
            }
            return Err((lines.last().copied().unwrap_or(letters.last().map_or(first, |line| line.0)), message));
        }
        let partners = parse_structure_line(&text)
            .map_err(|(position, message)| (lines[position], format!("position {}: {message}", position + 1)))?;
        Ok(Structure { id: self.id, sequence: bases, partners })
    }
}

/// The structure where the first `count` lines of letters are the sequence; `None` where its lines do not end where the
/// sequence does.
fn structure_of(letters: &[(usize, Vec<u8>)], marks: &[(usize, Vec<u8>)], count: usize) -> Option<Vec<u8>> {
    let bases: usize = letters[..count].iter().map(|(_, line)| line.len()).sum();
    let mut text = Vec::new();
    for (_, line) in letters[count..].iter().chain(marks) {
        if text.len() < bases {
            text.extend_from_slice(line);
        }
    }
    (text.len() == bases).then_some(text)
}

/// What RNAfold writes below its structures.
fn is_remark(line: &str) -> bool {
    ["frequency of", "free energy of", "minimum free energy"].iter().any(|start| line.trim_ascii().starts_with(start))
}

/// What is said of `GGG&CCC`.
const TWO_STRANDS: &str = "two strands, joined by `&` or `+`: one RNA a record is wanted";

/// What follows the mark of a header line.
fn title(line: &str) -> Option<&str> {
    line.strip_prefix('>').or_else(|| line.strip_prefix("#Name:"))
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Structure>;

    /// The next record; nothing after an error.
    fn next(&mut self) -> Option<Self::Item> {
        if self.finished {
            return None;
        }
        let record = self.read().transpose();
        self.finished = !matches!(record, Some(Ok(_)));
        record
    }
}
