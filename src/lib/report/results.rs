//! The files of other tools, told apart by their content, and put together by record.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use super::runs::Run;
use crate::format::dot_bracket::parse_structure_line;
use crate::format::named_columns::Table;
use crate::format::structure_reader;
use crate::format::table::MISSING;
use crate::sequence::{InputFile, normalise, open_text};
use crate::{Error, Result};

/// The text of a file.
pub(super) type Text = Box<dyn BufRead + Send>;

/// The sites of a record that are kept, the most probable ones; the others are counted.
const MOST_SITES: usize = 100;
/// The pairs of a record that are kept for each of its bases, the most probable ones.
const PAIRS_PER_BASE: usize = 4;
/// Pairs less probable than this cannot be seen.
const LEAST_PROBABILITY: f64 = 0.02;

/// Ends of names that say what a file of a sample holds: `liver.structures.tsv.gz` belongs to the sample `liver`.
const KINDS: [&str; 13] = [
    "structures",
    "pairs",
    "homologs",
    "potential",
    "coding",
    "cds",
    "orf",
    "track",
    "sites",
    "embeddings",
    "likelihood",
    "predictions",
    "summary",
];
const COMPRESSIONS: [&str; 6] = ["gz", "bgz", "bz2", "xz", "zst", "zstd"];
const EXTENSIONS: [&str; 7] = ["tsv", "dbn", "ct", "bpseq", "bed", "bedgraph", "txt"];

/// What is known of all records, and of the runs that say so.
#[derive(Default)]
pub struct Results {
    /// The names of the samples; the only one may be empty.
    pub(super) samples: Vec<String>,
    pub(super) records: Vec<Record>,
    /// The place of each record by sample and id.
    places: HashMap<(usize, String), usize>,
    /// Numbers of each embedding.
    pub(super) dimension: usize,
    pub(super) runs: Vec<Run>,
}

/// What is known of a record.
#[derive(Default)]
pub(super) struct Record {
    pub(super) sample: usize,
    pub(super) id: String,
    pub(super) description: Option<String>,
    pub(super) length: Option<usize>,
    /// Upper-case RNA letters; empty where no file tells them.
    pub(super) sequence: Vec<u8>,
    /// 0-based partner of each base.
    pub(super) partners: Option<Vec<Option<usize>>>,
    pub(super) energy: Option<f64>,
    /// Pairs with their probabilities, i < j, 0-based.
    pub(super) pairs: Vec<(usize, usize, f64)>,
    /// The most similar known structure, and the part of aligned letters that are equal.
    pub(super) homolog: Option<(String, f64)>,
    pub(super) coding_potential: Option<f64>,
    pub(super) coding_label: Option<String>,
    /// The most probable open reading frame, 0-based, half-open, and its strand.
    pub(super) reading_frame: Option<(usize, usize, String)>,
    /// Coding windows and coding sequences.
    pub(super) regions: Vec<Region>,
    /// Stretches of bases with the probability to be coding.
    pub(super) track: Vec<(usize, usize, f64)>,
    pub(super) sites: Vec<Site>,
    pub(super) site_count: usize,
    pub(super) perplexity: Option<f64>,
    pub(super) prediction: Option<String>,
    pub(super) embedding: Option<Vec<f32>>,
}

/// A stretch of a record, 0-based, half-open.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub(super) struct Region {
    pub(super) name: String,
    pub(super) start: usize,
    pub(super) end: usize,
    /// 0 to 1.
    pub(super) probability: f64,
    pub(super) strand: String,
}

/// A target site, 0-based, half-open.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub(super) struct Site {
    pub(super) mirna: String,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) seed_type: String,
    pub(super) probability: Option<f64>,
}

/// What a file holds, in the order in which files are read: those with a row for each record come first, so that records
/// stand in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    StructureTable,
    Structures,
    Coding,
    Embeddings,
    Likelihood,
    Predictions,
    Homologs,
    Pairs,
    Regions,
    Track,
    Sites,
    Runs,
}

impl Kind {
    /// What the first lines of a file say; `None` for what is no result of a record.
    pub(super) fn of(lines: &[String]) -> Option<Self> {
        let first = lines.first()?;
        let fields: Vec<&str> = first.split('\t').map(str::trim).collect();
        let has = |names: &[&str]| names.iter().all(|name| fields.iter().any(|field| field.eq_ignore_ascii_case(name)));
        let is_count = |place: usize| fields.get(place).is_some_and(|field| field.parse::<usize>().is_ok());
        Some(match fields.as_slice() {
            // The pipelines' table, which is made of the others.
            _ if has(&["embedding_norm"]) => return None,
            _ if has(&["run", "tool", "version", "status"]) => Self::Runs,
            _ if has(&["mirna", "target", "start", "end", "probability"]) => Self::Sites,
            _ if has(&["id", "i", "j", "probability"]) => Self::Pairs,
            _ if has(&["id", "homolog", "identity"]) => Self::Homologs,
            _ if has(&["id", "sequence", "structure"]) => Self::StructureTable,
            _ if has(&["id", "coding_potential", "label"]) => Self::Coding,
            _ if has(&["id", "pseudo_perplexity"]) => Self::Likelihood,
            _ if has(&["position"]) => return None,
            _ if has(&["id", "e0", "e1"]) => Self::Embeddings,
            ["id", "label", probability, ..] if probability.starts_with("p_") => Self::Predictions,
            [_, _, _, value] if is_count(1) && is_count(2) && value.parse::<f64>().is_ok() => Self::Track,
            [_, _, _, _, _, _, ..] if is_count(1) && is_count(2) => Self::Regions,
            _ if structure_reader::is_structure(lines) => Self::Structures,
            _ => return None,
        })
    }
}

/// The files that are meant by `paths`: themselves, and of folders those that are tables, BED or structures by their names,
/// sorted.
///
/// # Errors
/// Where a folder cannot be read.
pub fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        if !path.is_dir() {
            found.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
        let entries = entries.map_err(|error| Error::read(path, error))?;
        let mut inside: Vec<PathBuf> =
            entries.iter().map(std::fs::DirEntry::path).filter(|path| path.is_file()).collect();
        inside.retain(|path| !is_hidden(path) && stem(path).is_some());
        inside.sort();
        found.extend(inside);
    }
    Ok(found)
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

/// The name of a file without the ends that tell compression and format; `None` where there is no such end.
fn stem(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_string_lossy().into_owned();
    let cut = |name: &str, ends: &[&str]| {
        let (stem, end) = name.rsplit_once('.')?;
        ends.iter().any(|known| end.eq_ignore_ascii_case(known)).then(|| stem.to_owned())
    };
    cut(&cut(&name, &COMPRESSIONS).unwrap_or(name), &EXTENSIONS)
}

/// The sample that a file belongs to by its name; empty where the name tells none.
fn sample(path: &Path) -> String {
    let stem = stem(path).unwrap_or_default();
    match stem.rsplit_once('.') {
        Some((sample, kind)) if KINDS.contains(&kind) => sample.to_owned(),
        _ => String::new(),
    }
}

/// A file to read.
struct Source {
    name: String,
    sample: String,
    kind: Kind,
    path: PathBuf,
    /// What can be read only once and has been begun.
    open: Option<Text>,
}

impl Source {
    fn open(&mut self) -> Result<Text> {
        match self.open.take() {
            Some(reader) => Ok(reader),
            None => Ok(open_text(&InputFile::from(self.path.as_path()))?),
        }
    }
}

/// The first lines of a text, at most four, and the text from its start.
fn first_lines(mut text: Text, name: &str) -> Result<(Vec<String>, Text)> {
    let (mut start, mut lines) = (Vec::new(), Vec::new());
    while lines.len() < 4 {
        let begin = start.len();
        let read = text.read_until(b'\n', &mut start).map_err(|error| Error::stream(name, "at its start", error))?;
        if read == 0 {
            break;
        }
        let line = String::from_utf8_lossy(&start[begin..]).trim_end().to_owned();
        if !line.is_empty() {
            lines.push(line);
        }
    }
    Ok((lines, Box::new(BufReader::new(Cursor::new(start).chain(text)))))
}

impl Results {
    /// Reads everything that `paths` hold: files that the tools wrote, and folders of such files.
    ///
    /// # Errors
    /// Where a file cannot be read or is damaged, where one that was named is no result of the tools, where two records
    /// share sample and id, and where there is nothing to report.
    pub fn read(paths: &[PathBuf]) -> Result<Self> {
        let mut sources = Vec::new();
        for path in files(paths)? {
            let file = InputFile::from(path.as_path());
            let name = file.name();
            let (lines, text) = first_lines(open_text(&file)?, &name)?;
            let Some(kind) = Kind::of(&lines) else {
                if paths.contains(&path) && !lines.is_empty() && !lines[0].contains("embedding_norm") {
                    let message =
                        "this is no result of the tools that a report is made of (docs/formats.md lists them)";
                    return Err(Error::Input {
                        file: name,
                        place: "start of the file".into(),
                        message: message.into(),
                    });
                }
                log::debug!("{name} is left out: it holds no result of a record");
                continue;
            };
            log::debug!("{name}: {kind:?}");
            let open = (!path.is_file()).then_some(text);
            sources.push(Source { name, sample: sample(&path), kind, path, open });
        }
        sources.sort_by_key(|source| source.kind);
        let mut results = Self::default();
        let mut samples: Vec<&str> =
            sources.iter().filter(|source| source.kind != Kind::Runs).map(|source| source.sample.as_str()).collect();
        samples.sort_unstable();
        samples.dedup();
        results.samples = samples.into_iter().map(str::to_owned).collect();
        for source in &mut sources {
            results.read_one(source)?;
        }
        if results.records.is_empty() {
            let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
            return Err(Error::Failed(format!("{}: there are no results of the tools to report", names.join(", "))));
        }
        results.tidy();
        Ok(results)
    }

    fn read_one(&mut self, source: &mut Source) -> Result<()> {
        let text = source.open()?;
        let (name, kind) = (source.name.as_str(), source.kind);
        let sample = self.samples.iter().position(|known| *known == source.sample).unwrap_or_default();
        match kind {
            Kind::Runs => self.runs.extend(super::runs::read(text, name)?),
            Kind::Structures => self.read_structures(text, sample, name)?,
            Kind::Regions | Kind::Track => self.read_bed(text, sample, name, kind)?,
            _ => {
                let Some(table) = Table::open(text, name)? else { return Ok(()) };
                self.read_table(table, sample, name, kind)?;
            }
        }
        Ok(())
    }

    /// The record of this sample and id, which is made where it is not there.
    fn record(&mut self, sample: usize, id: &str) -> &mut Record {
        let next = self.records.len();
        let place = *self.places.entry((sample, id.to_owned())).or_insert(next);
        if place == next {
            self.records.push(Record { sample, id: id.to_owned(), ..Record::default() });
        }
        &mut self.records[place]
    }

    fn read_structures(&mut self, text: Text, sample: usize, name: &str) -> Result<()> {
        for structure in structure_reader::read(text, name)? {
            let structure = structure?;
            let record = self.record(sample, &structure.id);
            refuse_second(record.partners.is_some(), name, &structure.id)?;
            record.length = Some(structure.length());
            (record.sequence, record.partners) = (structure.sequence, Some(structure.partners));
        }
        Ok(())
    }

    /// Reads a table whose rows are about records, sites or pairs.
    fn read_table(&mut self, mut table: Table<Text>, sample: usize, file: &str, kind: Kind) -> Result<()> {
        let id = table.column(if kind == Kind::Sites { &["target"] } else { &["id"] })?;
        let column = |name: &str| table.optional(&[name]);
        let [length, description] = ["length", "description"].map(column);
        let wanted: &[&str] = match kind {
            Kind::StructureTable => &["sequence", "structure", "energy"],
            Kind::Coding => &["coding_potential", "label", "orf_start", "orf_end", "strand"],
            Kind::Embeddings => &["e0"],
            Kind::Likelihood => &["pseudo_perplexity"],
            Kind::Predictions => &["label"],
            Kind::Homologs => &["homolog", "identity"],
            Kind::Pairs => &["i", "j", "probability"],
            Kind::Sites => &["mirna", "start", "end", "seed_type", "probability"],
            _ => &[],
        };
        let columns: Vec<Option<usize>> = wanted.iter().map(|name| column(name)).collect();
        let numbers = table.names().iter().filter(|name| is_embedding_column(name)).count();
        let mut seen = 0;
        while table.advance()? {
            seen += 1;
            let row = match table.fields() {
                Ok(row) => row.clone(),
                Err(message) => return Err(table.error(message)),
            };
            let text = |place: usize| columns[place].and_then(|column| row.get(column)).filter(|text| *text != MISSING);
            let number = |place: usize| -> std::result::Result<Option<f64>, String> {
                text(place).map(|text| parse(text, wanted[place])).transpose()
            };
            let count = |place: usize| -> std::result::Result<usize, String> {
                let text = text(place).unwrap_or_default();
                text.parse().map_err(|_| format!("{}: {text:?} is no position", wanted[place]))
            };
            let record = self.record(sample, &row[id]);
            if let Some(text) = length.and_then(|column| row.get(column)) {
                record.length = Some(text.parse().map_err(|_| table.error(format!("length: {text:?} is no number")))?);
            }
            if let Some(text) = description.and_then(|column| row.get(column)).filter(|text| !text.is_empty()) {
                record.description = Some(text.to_owned());
            }
            let mut is_second = false;
            let mut take = || -> std::result::Result<(), String> {
                match kind {
                    Kind::StructureTable => {
                        is_second = record.partners.is_some();
                        let letters = text(0).unwrap_or_default().as_bytes();
                        record.sequence =
                            normalise(letters).map_err(|bad| format!("sequence: position {}: {bad}", bad.position))?;
                        let partners = parse_structure_line(text(1).unwrap_or_default().as_bytes());
                        let partners =
                            partners.map_err(|(place, what)| format!("structure: position {}: {what}", place + 1))?;
                        if partners.len() != record.sequence.len() {
                            return Err("sequence and structure differ in length".into());
                        }
                        record.length = Some(partners.len());
                        record.partners = Some(partners);
                        record.energy = number(2)?;
                    }
                    Kind::Coding => {
                        is_second = record.coding_potential.is_some() || record.coding_label.is_some();
                        record.coding_potential = number(0)?;
                        record.coding_label = text(1).map(str::to_owned);
                        if text(2).is_some() {
                            record.reading_frame = Some((count(2)?, count(3)?, text(4).unwrap_or("+").to_owned()));
                        }
                    }
                    Kind::Embeddings => {
                        is_second = record.embedding.is_some();
                        let first = columns[0].unwrap_or_default();
                        let vector =
                            row.iter().skip(first).take(numbers).map(|text| parse(text, "e").map(|x| x as f32));
                        record.embedding = Some(vector.collect::<std::result::Result<_, _>>()?);
                    }
                    Kind::Likelihood => {
                        is_second = record.perplexity.is_some();
                        record.perplexity = number(0)?;
                    }
                    Kind::Predictions => {
                        is_second = record.prediction.is_some();
                        record.prediction = text(0).map(str::to_owned);
                    }
                    // The first of a record is the best.
                    Kind::Homologs => {
                        if let (None, Some(name)) = (&record.homolog, text(0)) {
                            record.homolog = Some((name.to_owned(), number(1)?.unwrap_or_default()));
                        }
                    }
                    Kind::Pairs => {
                        let (i, j) = (count(0)?, count(1)?);
                        if i < 1 || j <= i {
                            return Err(format!("{i} and {j} are no pair"));
                        }
                        let probability = number(2)?.unwrap_or_default();
                        if probability >= LEAST_PROBABILITY {
                            record.pairs.push((i - 1, j - 1, probability));
                        }
                    }
                    Kind::Sites => {
                        let (start, end) = (count(1)?, count(2)?);
                        record.add_site(Site {
                            mirna: text(0).unwrap_or_default().to_owned(),
                            start,
                            end,
                            seed_type: text(3).unwrap_or_default().to_owned(),
                            probability: number(4)?,
                        });
                    }
                    _ => {}
                }
                Ok(())
            };
            take().map_err(|message| table.error(message))?;
            refuse_second(is_second, file, &row[id])?;
            if kind == Kind::Embeddings {
                if self.dimension != 0 && self.dimension != numbers {
                    let message = format!("its embeddings have {numbers} numbers, and others {}", self.dimension);
                    return Err(Error::Input { file: file.into(), place: "header row".into(), message });
                }
                self.dimension = numbers;
            }
        }
        log::debug!("{file}: {seen} rows");
        Ok(())
    }

    /// Reads BED or bedGraph, which have no header row.
    fn read_bed(&mut self, text: Text, sample: usize, file: &str, kind: Kind) -> Result<()> {
        for (number, line) in text.lines().enumerate() {
            let line = line.map_err(|error| Error::stream(file, format!("after line {number}"), error))?;
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let fields: Vec<&str> = line.split('\t').collect();
            let fail =
                |message: String| Error::Input { file: file.into(), place: format!("line {}", number + 1), message };
            let field = |place: usize| fields.get(place).copied().unwrap_or_default();
            let position = |place: usize| {
                field(place)
                    .parse::<usize>()
                    .map_err(|_| fail(format!("column {}: {:?} is no position", place + 1, field(place))))
            };
            let id = field(0);
            let (start, end) = (position(1)?, position(2)?);
            if kind == Kind::Track {
                let probability = parse(field(3), "column 4").map_err(fail)?;
                self.record(sample, id).track.push((start, end, probability));
                continue;
            }
            let name = field(3);
            let score = parse(field(4), "column 5").map_err(fail)? / 1000.0;
            let record = self.record(sample, id);
            if name == id || name.strip_prefix(id).is_some_and(|rest| rest.starts_with(".cds")) {
                // The thick part of BED12.
                let (start, end) = if fields.len() >= 12 { (position(6)?, position(7)?) } else { (start, end) };
                let (name, strand) = (name.to_owned(), field(5).to_owned());
                record.regions.push(Region { name, start, end, probability: score, strand });
            } else {
                let (mirna, seed_type) = (name.to_owned(), String::new());
                record.add_site(Site { mirna, start, end, seed_type, probability: Some(score) });
            }
        }
        Ok(())
    }

    /// Puts what belongs to a record in order, and leaves out what could not be shown.
    fn tidy(&mut self) {
        for record in &mut self.records {
            record.keep_best_sites(MOST_SITES);
            let most = PAIRS_PER_BASE * record.length.unwrap_or_default().max(1);
            record.pairs.sort_by(|a, b| b.2.total_cmp(&a.2).then((a.0, a.1).cmp(&(b.0, b.1))));
            record.pairs.truncate(most);
            record.pairs.sort_by_key(|pair| (pair.0, pair.1));
            if let Some(length) = record.length {
                record.pairs.retain(|pair| pair.1 < length);
            }
        }
        // Samples one after the other, records as they came.
        self.records.sort_by_key(|record| record.sample);
        self.places.clear();
    }
}

impl Record {
    fn add_site(&mut self, site: Site) {
        self.site_count += 1;
        self.sites.push(site);
        // Now and then, so that a record with a million sites does not hold them all.
        if self.sites.len() >= 8 * MOST_SITES {
            self.keep_best_sites(MOST_SITES);
        }
    }

    fn keep_best_sites(&mut self, most: usize) {
        let key = |site: &Site| site.probability.unwrap_or(-1.0);
        self.sites.sort_by(|a, b| key(b).total_cmp(&key(a)).then((a.start, &a.mirna).cmp(&(b.start, &b.mirna))));
        self.sites.truncate(most);
    }
}

/// Whether a column of an embedding has this name: `e0`, `e1` and so on.
fn is_embedding_column(name: &str) -> bool {
    name.strip_prefix('e').is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

fn parse(text: &str, name: &str) -> std::result::Result<f64, String> {
    let value = text.trim().parse::<f64>().ok().filter(|value| value.is_finite());
    value.ok_or_else(|| format!("{name}: {text:?} is no number"))
}

/// A table that has a row for each record has one.
fn refuse_second(is_second: bool, file: &str, id: &str) -> Result<()> {
    if !is_second {
        return Ok(());
    }
    Err(Error::Input {
        file: file.into(),
        place: format!("record {id}"),
        message:
            "there is a record of this name already: the files of different samples are told apart by names such as \
                  SAMPLE.structures.tsv"
                .into(),
    })
}
