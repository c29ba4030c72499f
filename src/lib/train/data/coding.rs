//! Transcripts with their coding sequence (CDS), whole or in fragments.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Range;
use std::path::PathBuf;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::Records;
use crate::format::annotation::Annotation;
use crate::format::named_columns::Table;
use crate::sequence::alphabet::reverse_complement;
use crate::sequence::shuffle::shuffle_dinucleotides;
use crate::sequence::{InputFile, ReaderOptions, RecordReader, first_letter, normalise, open_text};
use crate::train::config::SplitBy;
use crate::{Error, Result};

/// One transcript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodingRecord {
    /// The transcript's id.
    pub id: String,
    /// The gene or locus that it belongs to; its id where none is known.
    pub locus: String,
    /// Letters ACGUN.
    pub sequence: Vec<u8>,
    /// The CDS with its stop codon, 0-based and half-open; `None` where the sequence holds nothing of one.
    pub cds: Option<Range<usize>>,
    /// True for an mRNA, and for a part of one whether it holds some of the CDS or not.
    pub messenger: bool,
    /// False for an mRNA whose CDS nobody has marked: it can teach the label of the transcript, but not of its bases.
    pub bases_known: bool,
    /// The species, where known.
    pub species: String,
}

impl CodingRecord {
    /// The part `range` of the transcript, with what it holds of the CDS.
    pub fn part(&self, range: Range<usize>) -> CodingRecord {
        let cds = self.cds.as_ref().and_then(|cds| {
            let inside = cds.start.max(range.start)..cds.end.min(range.end);
            (inside.start < inside.end).then(|| inside.start - range.start..inside.end - range.start)
        });
        CodingRecord { cds, sequence: self.sequence[range].to_vec(), ..self.header() }
    }

    /// The transcript without its sequence.
    fn header(&self) -> CodingRecord {
        let (id, locus, species) = (self.id.clone(), self.locus.clone(), self.species.clone());
        let Self { messenger, bases_known, .. } = *self;
        CodingRecord { id, locus, species, sequence: Vec::new(), cds: None, messenger, bases_known }
    }

    /// A part of `length` bases at a random place; the whole where it is no longer than that.
    pub fn random_part(&self, length: usize, random: &mut ChaCha8Rng) -> CodingRecord {
        if self.sequence.len() <= length {
            return self.clone();
        }
        let start = random.random_range(0..=self.sequence.len() - length);
        self.part(start..start + length)
    }

    /// A part of `length` bases that is cut at the 5' end, the 3' end or both, each as often.
    fn cut_part(&self, length: usize, random: &mut ChaCha8Rng) -> CodingRecord {
        let rest = self.sequence.len().saturating_sub(length);
        match random.random_range(0..3) {
            0 => self.part(0..self.sequence.len() - rest),
            1 => self.part(rest..self.sequence.len()),
            _ => self.random_part(length, random),
        }
    }

    /// Sequences like that of this transcript which code for nothing: its other strand, itself backwards, and a random
    /// order of its dinucleotides.
    pub fn decoys(&self, random: &mut ChaCha8Rng) -> [CodingRecord; 3] {
        let backwards = self.sequence.iter().rev().copied().collect();
        [reverse_complement(&self.sequence), backwards, shuffle_dinucleotides(&self.sequence, random)]
            .map(|sequence| CodingRecord { sequence, messenger: false, bases_known: true, ..self.header() })
    }

    /// One of them, drawn at random.
    pub fn decoy(&self, random: &mut ChaCha8Rng) -> CodingRecord {
        let [antisense, backwards, shuffled] = self.decoys(random);
        match random.random_range(0..3) {
            0 => antisense,
            1 => backwards,
            _ => shuffled,
        }
    }
}

/// Reads transcripts from tables, and from FASTA or FASTQ with the CDS in their headers or in `annotation`, which must
/// then be asked whether its rows were used.
///
/// # Errors
/// Where a file cannot be read, or a record is wrong.
pub fn read_files(paths: &[PathBuf], annotation: Option<&Annotation>) -> Result<Vec<CodingRecord>> {
    let mut records = Vec::new();
    for path in paths {
        let input = InputFile::from(path.as_path());
        let mut text = open_text(&input)?;
        let first = first_letter(&mut text).map_err(|error| Error::stream(input.name(), "at its start", error))?;
        if !matches!(first, Some(b'>' | b'@')) {
            records.extend(read_table(text, &input.name())?);
            continue;
        }
        for record in RecordReader::of_text(text, &input, ReaderOptions::default())? {
            let record = record?;
            let parsed = from_fasta(&record.id, &record.description, record.sequence, annotation);
            records.push(parsed.map_err(|message| Error::Input {
                file: input.name(),
                place: format!("record {} ({})", record.ordinal + 1, record.id),
                message,
            })?);
        }
    }
    Ok(records)
}

/// Reads the rows of a TSV: `id`, `seq`, `cds_start0` and `cds_end` (0-based, half-open; -1 or empty where there is
/// none), and perhaps `label` (mRNA or lncRNA), `locus` and `species`. A row labelled mRNA without a CDS is one whose CDS is
/// not known; without labels, it is a lncRNA.
fn read_table(reader: impl Read, file: &str) -> Result<Vec<CodingRecord>> {
    let Some(mut table) = Table::open(reader, file)? else { return Ok(Vec::new()) };
    let id = table.column(&["id"])?;
    let sequence = table.column(&["seq", "sequence"])?;
    let start = table.column(&["cds_start0", "cds_start"])?;
    let end = table.column(&["cds_end"])?;
    let locus = table.optional(&["locus", "gene"]);
    let label = table.optional(&["label"]);
    let species = table.optional(&["species"]);
    let mut records = Vec::new();
    while table.advance()? {
        let parsed = (|| {
            let row = table.fields()?;
            let sequence = normalise(row[sequence].as_bytes())
                .map_err(|bad| format!("sequence: position {}: {bad}", bad.position))?;
            let cds = match (&row[start], &row[end]) {
                ("" | "-1" | "NA", "" | "-1" | "NA") => None,
                (start, end) => match (start.parse::<usize>(), end.parse::<usize>()) {
                    (Ok(start), Ok(end)) => Some(start..end),
                    _ => return Err(format!("the CDS {start:?} to {end:?} is not given in whole numbers")),
                },
            };
            check(&sequence, cds.as_ref())?;
            let locus = &row[locus.unwrap_or(id)];
            let messenger = match label.map(|column| row[column].to_ascii_lowercase()).as_deref() {
                Some("mrna" | "1") => true,
                Some("lncrna" | "ncrna" | "0") if cds.is_some() => {
                    return Err("a CDS in a transcript that is labelled as not coding".into());
                }
                Some("lncrna" | "ncrna" | "0") => false,
                Some("" | "na" | ".") | None => cds.is_some(),
                Some(other) => return Err(format!("the label {other:?} is neither mRNA nor lncRNA")),
            };
            Ok(CodingRecord {
                id: row[id].to_string(),
                locus: locus.to_string(),
                species: species.map_or("", |column| &row[column]).to_string(),
                sequence,
                bases_known: cds.is_some() || !messenger,
                cds,
                messenger,
            })
        })();
        records.push(parsed.map_err(|message: String| table.error(message))?);
    }
    Ok(records)
}

fn check(sequence: &[u8], cds: Option<&Range<usize>>) -> std::result::Result<(), String> {
    if sequence.is_empty() {
        return Err("an empty sequence".into());
    }
    match cds {
        Some(cds) if cds.start >= cds.end || cds.end > sequence.len() => Err(format!(
            "the CDS {}-{} (0-based, half-open) does not lie in a transcript of {} nt",
            cds.start,
            cds.end,
            sequence.len()
        )),
        _ => Ok(()),
    }
}

/// A transcript of a FASTA file: the CDS and the gene from a GENCODE header
/// (`>ENST…|ENSG…|…|CDS:61-1041|`, 1-based and inclusive), or from `annotation` where one is given. Of a GENCODE header
/// the first field is the id.
///
/// # Errors
/// What is wrong with the record, to be put behind its place.
fn from_fasta(
    id: &str,
    description: &str,
    sequence: Vec<u8>,
    annotation: Option<&Annotation>,
) -> std::result::Result<CodingRecord, String> {
    let fields = || [id, description].into_iter().flat_map(|part| part.split(['|', ' ', '\t']));
    let cds = match annotation {
        Some(annotation) => annotation.cds(id),
        None => cds_of_header(fields())?,
    };
    check(&sequence, cds.as_ref())?;
    let of_gencode = |field: &str| field.starts_with("ENS") || field.starts_with("CDS:");
    let id = match id.split_once('|') {
        Some((first, rest)) if rest.split('|').any(of_gencode) => first,
        _ => id,
    };
    let locus = fields()
        .find_map(|field| field.strip_prefix("gene:").or_else(|| field.strip_prefix("gene=")))
        .or_else(|| fields().find(|field| field.starts_with("ENS") && field.contains("G0")))
        .unwrap_or(id)
        .to_string();
    let messenger = cds.is_some();
    let (id, species) = (id.to_owned(), String::new());
    Ok(CodingRecord { id, locus, species, sequence, cds, messenger, bases_known: true })
}

/// The `CDS:start-end` among the fields of a header, turned into a 0-based half-open range.
fn cds_of_header<'a>(mut fields: impl Iterator<Item = &'a str>) -> std::result::Result<Option<Range<usize>>, String> {
    let Some(field) = fields.find_map(|field| field.strip_prefix("CDS:")) else { return Ok(None) };
    let numbers: Option<(usize, usize)> =
        field.split_once('-').and_then(|(start, end)| Some((start.parse().ok()?, end.parse().ok()?)));
    match numbers {
        Some((start, end)) if start >= 1 => Ok(Some(start - 1..end)),
        _ => Err(format!("CDS:{field} is not of the form CDS:first-last (1-based)")),
    }
}

/// The records of each species, where there are several.
pub fn species(records: &[CodingRecord]) -> Vec<(String, Vec<&CodingRecord>)> {
    let mut found: BTreeMap<&str, Vec<&CodingRecord>> = BTreeMap::new();
    records.iter().for_each(|record| found.entry(&record.species).or_default().push(record));
    if found.len() == 1 {
        found.clear();
    }
    found.into_iter().map(|(name, records)| (name.to_string(), records)).collect()
}

/// The name of the group that a record may not be parted from.
///
/// # Errors
/// Where transcripts have no such groups.
pub fn group(record: &CodingRecord, by: SplitBy) -> Result<Vec<u8>> {
    match by {
        SplitBy::Record => Ok(record.id.clone().into_bytes()),
        SplitBy::Locus => Ok(record.locus.clone().into_bytes()),
        _ => Err(Error::Usage("--split-by for coding is record or locus".into())),
    }
}

/// How examples are made of transcripts.
#[derive(Clone, Copy, Debug)]
pub struct Augmentation {
    /// Longest example: longer transcripts give a random window of this length.
    pub max_length: usize,
    /// Part of the transcripts that gives a fragment instead, cut at the 5' end, the 3' end or both.
    pub fragments: f64,
    /// Length of the shortest fragment.
    pub fragment_length: usize,
    /// Part of the mRNAs that gives a sequence which codes for nothing instead: the other strand, the sequence
    /// backwards, or a random order of its dinucleotides.
    pub decoys: f64,
    /// Part of the letters that is replaced by runs of N.
    pub gaps: f64,
}

/// Transcripts to train on.
pub struct CodingRecords {
    records: Vec<CodingRecord>,
    /// Which transcript each draw of a pass is.
    draws: Vec<u32>,
    augmentation: Augmentation,
}

impl CodingRecords {
    /// Each transcript once in a pass; with `balanced` those of the rarer label of each species as often as it takes until
    /// both labels of the species are as common, so that nothing can be told from the species.
    pub fn new(records: Vec<CodingRecord>, balanced: bool, augmentation: Augmentation) -> Self {
        let mut draws: Vec<u32> = (0..records.len() as u32).collect();
        if balanced {
            let mut species: BTreeMap<&str, [Vec<u32>; 2]> = BTreeMap::new();
            for (index, record) in (0..).zip(&records) {
                species.entry(&record.species).or_default()[usize::from(record.messenger)].push(index);
            }
            draws.clear();
            for labels in species.values() {
                let most = labels.iter().map(Vec::len).max().unwrap_or_default();
                labels.iter().for_each(|label| draws.extend(label.iter().cycle().take(most)));
            }
        }
        Self { records, draws, augmentation }
    }
}

/// Bases of the longest run of N put into an example.
const LONGEST_GAP: usize = 50;

impl Records for CodingRecords {
    type Example = CodingRecord;

    fn len(&self) -> usize {
        self.draws.len()
    }

    fn tokens(&self, index: usize) -> usize {
        self.records[self.draws[index] as usize].sequence.len().min(self.augmentation.max_length)
    }

    fn example(&self, index: usize, random: &mut ChaCha8Rng) -> Result<CodingRecord> {
        let record = &self.records[self.draws[index] as usize];
        let Augmentation { max_length, fragments, fragment_length, decoys, gaps } = self.augmentation;
        let longest = record.sequence.len().min(max_length);
        let mut example = if fragments > 0.0 && random.random_bool(fragments) && longest > fragment_length {
            // Evenly spread over the orders of magnitude, so that short fragments are common.
            let ratio = longest as f64 / fragment_length as f64;
            let length = fragment_length as f64 * ratio.powf(random.random::<f64>());
            record.cut_part(length as usize, random)
        } else {
            record.random_part(max_length, random)
        };
        if decoys > 0.0 && record.messenger && random.random_bool(decoys) {
            example = example.decoy(random);
        }
        if gaps > 0.0 {
            let length = example.sequence.len();
            // On average half the longest gap each.
            let wanted = 2.0 * gaps * length as f64 / LONGEST_GAP as f64;
            let count = wanted as usize + usize::from(random.random_bool(wanted.fract()));
            for _ in 0..count {
                let start = random.random_range(0..length);
                let end = (start + random.random_range(1..LONGEST_GAP)).min(length);
                example.sequence[start..end].fill(b'N');
            }
        }
        Ok(example)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::random::{Purpose, generator};

    #[test]
    fn table_rows_are_read_and_checked() {
        let text = "id\tlabel\tspecies\tcds_start0\tcds_end\tseq\tlocus\n\
                    NM_1\tmrna\thuman\t1\t7\tgATGTAAc\tL1\nTC_1\tlncrna\thuman\t-1\t-1\tACGT\tL2\n";
        let records = read_table(text.as_bytes(), "x.tsv").expect("valid rows");
        assert_eq!(records[0].sequence, b"GAUGUAAC");
        assert_eq!((records[0].cds.clone(), records[0].locus.as_str()), (Some(1..7), "L1"));
        assert_eq!(records[1].cds, None);
        let error = read_table(text.replace("\t7\t", "\t9\t").as_bytes(), "x.tsv").expect_err("out of range");
        assert!(error.to_string().contains("line 2 (NM_1)") && error.to_string().contains("8 nt"), "{error}");
    }

    #[test]
    fn gencode_headers_give_cds_and_gene() {
        let header = "ENST00000641515.2|ENSG00000186092.7|OTTHUMG1|-|OR4F5-201|OR4F5|20|UTR5:1-3|CDS:4-12|UTR3:13-20|";
        let record = from_fasta(header, "", vec![b'A'; 20], None).expect("a record");
        assert_eq!((record.id.as_str(), record.locus.as_str()), ("ENST00000641515.2", "ENSG00000186092.7"));
        assert_eq!(record.cds, Some(3..12));
        assert_eq!(from_fasta("lnc1", "a lncRNA", vec![b'A'; 20], None).expect("a record").cds, None);
        assert!(from_fasta("x|CDS:0-12|", "", vec![b'A'; 20], None).is_err());
        assert!(from_fasta("x|CDS:4-21|", "", vec![b'A'; 20], None).expect_err("too long").contains("20 nt"));
    }

    #[test]
    fn the_annotation_rules_and_not_the_header() {
        let annotation = Annotation::read(&b"t1\t3\t12\nsp|P1|X\t0\t6\n"[..], "x.bed").expect("valid BED");
        let record = |id: &str| from_fasta(id, "CDS:1-3", vec![b'A'; 20], Some(&annotation)).expect("a record");
        assert_eq!((record("t1").cds, record("t1|x|CDS:1-3|").cds), (Some(3..12), Some(3..12)));
        assert_eq!((record("sp|P1|X").cds, record("sp|P2|Y").cds), (Some(0..6), None));
        assert_eq!((record("sp|P2|Y").id.as_str(), record("t1|x|CDS:1-3|").id.as_str()), ("sp|P2|Y", "t1"));
        assert!(from_fasta("t1", "", vec![b'A'; 5], Some(&annotation)).is_err_and(|error| error.contains("5 nt")));
    }

    #[test]
    fn parts_keep_what_they_hold_of_the_cds() {
        let record = CodingRecord {
            id: "t".into(),
            locus: "t".into(),
            sequence: (0..100).map(|i| b"ACGU"[i % 4]).collect(),
            cds: Some(30..60),
            messenger: true,
            bases_known: true,
            species: String::new(),
        };
        assert_eq!(record.part(20..50).cds, Some(10..30));
        assert_eq!(record.part(40..80).cds, Some(0..20));
        assert_eq!(record.part(60..80).cds, None);
        assert!(record.part(60..80).messenger, "the 3' UTR of an mRNA");
        let plain = Augmentation { max_length: 80, fragments: 0.5, fragment_length: 20, decoys: 0.0, gaps: 0.0 };
        let records = CodingRecords::new(vec![record], false, plain);
        assert_eq!(records.tokens(0), 80);
        let mut lengths = Vec::new();
        for draw in 0..200 {
            let example = records.example(0, &mut generator(1, Purpose::Record, &[draw])).expect("an example");
            let again = records.example(0, &mut generator(1, Purpose::Record, &[draw])).expect("an example");
            assert_eq!(example, again);
            lengths.push(example.sequence.len());
        }
        let whole = lengths.iter().filter(|length| **length == 80).count();
        assert!((70..130).contains(&whole), "{whole} of 200 are as long as can be");
        assert!(lengths.iter().all(|length| (20..=80).contains(length)));
    }

    #[test]
    fn decoys_are_no_messengers_and_gaps_are_runs_of_n() {
        let text = format!("id\tseq\tlabel\tcds_start0\tcds_end\nm\t{}\tmRNA\t30\t60\n", "ACGGUCAUUG".repeat(20));
        let record = read_table(text.as_bytes(), "x.tsv").expect("a valid row").remove(0);
        let augmentation =
            Augmentation { max_length: 500, fragments: 0.0, fragment_length: 20, decoys: 0.5, gaps: 0.2 };
        let records = CodingRecords::new(vec![record.clone()], false, augmentation);
        let examples: Vec<CodingRecord> = (0..200)
            .map(|draw| records.example(0, &mut generator(1, Purpose::Record, &[draw])).expect("an example"))
            .collect();
        let decoys = examples.iter().filter(|example| !example.messenger).count();
        assert!((70..130).contains(&decoys), "{decoys} of 200 are decoys");
        assert!(examples.iter().all(|example| example.messenger == example.cds.is_some()));
        let unknown = examples.iter().flat_map(|example| &example.sequence).filter(|letter| **letter == b'N').count();
        let part = unknown as f64 / (200.0 * 200.0);
        assert!((0.1..0.25).contains(&part), "{part} of the letters are N");
    }

    #[test]
    fn labels_without_a_cds_and_balanced_species() {
        let row = |id: usize, label: &str, species: &str| format!("r{id}\tACGUACGU\t{label}\t-1\t-1\t{species}\n");
        let text = format!(
            "id\tseq\tlabel\tcds_start0\tcds_end\tspecies\n{}{}{}",
            row(0, "mrna", "mouse"),
            (1..6).map(|id| row(id, "lncrna", "mouse")).collect::<String>(),
            (6..9).map(|id| row(id, "mrna", "rat")).collect::<String>(),
        );
        let records = read_table(text.as_bytes(), "x.tsv").expect("valid rows");
        assert_eq!((records[0].messenger, records[0].bases_known), (true, false));
        assert_eq!((records[1].messenger, records[1].bases_known), (false, true));
        let plain = Augmentation { max_length: 80, fragments: 0.0, fragment_length: 20, decoys: 0.0, gaps: 0.0 };
        let balanced = CodingRecords::new(records, true, plain);
        let count = |id: &str| balanced.draws.iter().filter(|draw| balanced.records[**draw as usize].id == id).count();
        assert_eq!((count("r0"), count("r1"), count("r7"), balanced.len()), (5, 1, 1, 13));
        let error = read_table(text.replace("lncrna", "rna?").as_bytes(), "x.tsv").expect_err("no label");
        assert!(error.to_string().contains("neither mRNA nor lncRNA"), "{error}");
    }
}
