//! The page: one HTML file with everything in it.
//!
//! The table of all records is one block of data, and the details of each [`RECORDS_PER_BLOCK`] records another, which the
//! page unpacks when one of these records is looked at. A block is JSON, compressed (zlib) and in base64, so that nothing
//! that stands in a result can be taken for HTML. The scripts put text into the page as text alone.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use rayon::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};

use super::principal_components;
use super::results::{Record, Region, Results, Site};
use super::runs::{Work, warnings, work};

use crate::draw::{escape, planar_layout, scales};
use crate::format::dot_bracket::structure_line;
use crate::structure::{pairs, without_pseudoknots};
use crate::{Error, Result};

const HTML: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/style.css");
/// In the order in which they build on one another.
const SCRIPTS: [&str; 8] = [
    include_str!("page/elements.js"),
    include_str!("page/data.js"),
    include_str!("page/structure.js"),
    include_str!("page/tracks.js"),
    include_str!("page/record.js"),
    include_str!("page/table.js"),
    include_str!("page/overview.js"),
    include_str!("page/main.js"),
];

/// Records whose details are packed together.
const RECORDS_PER_BLOCK: usize = 32;
/// Steps of the drawing of a structure in a unit of the backbone.
const STEPS_PER_UNIT: f64 = 20.0;
/// Longest RNA whose structure is laid out in the plane; of longer ones there are the arcs.
const LAID_OUT_TO: usize = 20_000;
/// Most points of a track: in longer RNAs a point is the mean of several bases.
const MOST_POINTS: usize = 4_000;

/// What the table shows of every record, column by column.
#[derive(Serialize)]
struct Overview {
    title: String,
    version: &'static str,
    samples: Vec<String>,
    columns: Vec<Column>,
    map: Option<Map>,
    work: Vec<Work>,
    warnings: Vec<String>,
    records_per_block: usize,
    steps_per_unit: f64,
    /// Colours of probabilities: of pairs, and of those in pseudoknots.
    scales: [Vec<String>; 2],
}

#[derive(Serialize)]
struct Column {
    name: &'static str,
    /// What it is, in a few words.
    about: &'static str,
    is_number: bool,
    /// One for each record; null where there is none.
    values: Vec<Value>,
}

#[derive(Serialize)]
struct Map {
    /// The record of each point.
    records: Vec<usize>,
    x: Vec<f64>,
    y: Vec<f64>,
    explained: [f64; 2],
}

/// What the page shows of a record that was chosen.
#[derive(Serialize)]
struct Details<'a> {
    sequence: &'a str,
    /// Dot-bracket.
    structure: Option<String>,
    /// Steps from base to base in the plane, x and y in turn, from the first base at (0, 0); y points up.
    layout: Vec<i32>,
    /// Bases that pair in pseudoknots, 0-based.
    knots: Vec<usize>,
    /// i, j (0-based) and percent, one pair after the other.
    pairs: Vec<usize>,
    /// The probability to be coding in percent, from the first base on.
    track: Option<Track>,
    regions: &'a [Region],
    reading_frame: &'a Option<(usize, usize, String)>,
    sites: &'a [Site],
}

#[derive(Serialize)]
struct Track {
    /// Bases for each point.
    bases: usize,
    percent: Vec<u8>,
}

/// The page with this title.
///
/// # Errors
/// Where a structure needs more kinds of brackets than there are.
pub fn page(results: &Results, title: &str) -> Result<String> {
    let map = embeddings(results);
    let overview = Overview {
        title: title.to_owned(),
        version: env!("CARGO_PKG_VERSION"),
        samples: results.samples.clone(),
        columns: columns(results),
        map,
        work: work(&results.runs),
        warnings: warnings(&results.runs),
        records_per_block: RECORDS_PER_BLOCK,
        steps_per_unit: STEPS_PER_UNIT,
        scales: scales(),
    };
    let block = |records: &[Record]| pack(&records.iter().map(details).collect::<Result<Vec<_>>>()?);
    let blocks: Vec<String> = results.records.par_chunks(RECORDS_PER_BLOCK).map(block).collect::<Result<_>>()?;
    let mut text = String::new();
    let mut rest = HTML;
    while let Some((before, after)) = rest.split_once("{{") {
        text.push_str(before);
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        match name {
            "title" => text.push_str(&escape(title)),
            "style" => text.push_str(STYLE),
            "overview" => text.push_str(&pack(&overview)?),
            "details" => text.push_str(&blocks.join("\n")),
            _ => SCRIPTS.iter().for_each(|script| text.push_str(script)),
        }
        rest = after;
    }
    text.push_str(rest);
    Ok(text)
}

/// A block of data.
fn pack(value: &impl Serialize) -> Result<String> {
    let fail = |error: &dyn std::fmt::Display| Error::Failed(format!("the report's data cannot be packed: {error}"));
    let json = serde_json::to_vec(value).map_err(|error| fail(&error))?;
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&json).map_err(|error| fail(&error))?;
    Ok(STANDARD.encode(encoder.finish().map_err(|error| fail(&error))?))
}

/// The columns of the table: those that any record has something in.
fn columns(results: &Results) -> Vec<Column> {
    let best = |record: &Record| record.sites.first().filter(|site| site.probability.is_some()).cloned();
    type Cell<'a> = &'a dyn Fn(&Record) -> Value;
    let all: [(&'static str, &'static str, bool, Cell); 16] = [
        ("id", "", false, &|record| json!(record.id)),
        ("sample", "", false, &|record| json!(results.samples.get(record.sample).filter(|name| !name.is_empty()))),
        ("description", "", false, &|record| json!(record.description)),
        ("length", "nucleotides", true, &|record| json!(record.length)),
        ("pairs", "base pairs of the structure", true, &|record| {
            json!(record.partners.as_ref().map(|partners| pairs(partners).count()))
        }),
        ("energy", "free energy of the structure, kcal/mol", true, &|record| json!(record.energy)),
        ("homolog", "most similar known structure", false, &|record| {
            json!(record.homolog.as_ref().map(|(name, _)| name))
        }),
        ("identity", "with the homolog, of aligned letters", true, &|record| {
            json!(record.homolog.as_ref().map(|(_, identity)| identity))
        }),
        ("coding", "label of the transcript", false, &|record| json!(record.coding_label)),
        ("coding potential", "probability to be an mRNA or a part of one", true, &|record| {
            json!(record.coding_potential)
        }),
        ("sites", "candidate target sites", true, &|record| match record.site_count {
            0 => Value::Null,
            count => json!(count),
        }),
        ("best miRNA", "of the most probable target site", false, &|record| json!(best(record).map(|site| site.mirna))),
        ("site probability", "of the most probable target site", true, &|record| {
            json!(best(record).and_then(|site| site.probability))
        }),
        ("perplexity", "pseudo-perplexity of a token", true, &|record| json!(record.perplexity)),
        ("prediction", "of rnaret-predict", false, &|record| json!(record.prediction)),
        ("GC", "part of G and C among known letters", true, &|record| json!(gc(&record.sequence))),
    ];
    let mut columns: Vec<Column> = all
        .into_iter()
        .map(|(name, about, is_number, cell)| Column {
            name,
            about,
            is_number,
            values: results.records.iter().map(cell).collect(),
        })
        .collect();
    columns.retain(|column| column.name == "id" || column.values.iter().any(|value| !value.is_null()));
    columns
}

/// The part of G and C among the letters that are known, in hundredths.
fn gc(sequence: &[u8]) -> Option<f64> {
    let count = |letters: &[u8]| sequence.iter().filter(|letter| letters.contains(letter)).count();
    let known = count(b"ACGU");
    (known > 0).then(|| (100.0 * count(b"GC") as f64 / known as f64).round() / 100.0)
}

/// The map of all records that have embeddings.
fn embeddings(results: &Results) -> Option<Map> {
    let (mut records, mut values) = (Vec::new(), Vec::new());
    for (place, record) in results.records.iter().enumerate() {
        if let Some(vector) = &record.embedding {
            records.push(place);
            values.extend_from_slice(vector);
        }
    }
    let map = principal_components::map(&values, results.dimension)?;
    // Four digits are finer than a pixel.
    let widest = map.places.iter().flatten().fold(0.0_f64, |widest, value| widest.max(value.abs()));
    let rounded = |value: f64| (value / widest * 1e4).round() / 1e4;
    let axis = |axis: usize| map.places.iter().map(|place| rounded(place[axis])).collect();
    Some(Map { records, x: axis(0), y: axis(1), explained: map.explained.map(|part| (part * 1e3).round() / 1e3) })
}

fn details(record: &Record) -> Result<Details<'_>> {
    let (mut structure, mut layout, mut knots) = (None, Vec::new(), Vec::new());
    if let Some(partners) = &record.partners {
        let line = structure_line(&record.id, partners).map_err(|error| Error::Failed(error.to_string()))?;
        structure = Some(String::from_utf8_lossy(&line).into_owned());
        let nested = without_pseudoknots(partners);
        knots = (0..partners.len()).filter(|&base| partners[base].is_some() && nested[base].is_none()).collect();
        if partners.len() <= LAID_OUT_TO {
            layout = steps(&nested);
        }
    }
    let percent = |probability: f64| (100.0 * probability).round().clamp(0.0, 100.0);
    let pairs = record.pairs.iter().flat_map(|&(i, j, probability)| [i, j, percent(probability) as usize]).collect();
    let track = record.length.filter(|_| !record.track.is_empty()).map(|length| {
        let mut of_base = vec![0.0; length];
        for &(start, end, probability) in &record.track {
            of_base[start.min(length)..end.min(length)].fill(probability);
        }
        let bases = length.div_ceil(MOST_POINTS).max(1);
        let mean = |part: &[f64]| percent(part.iter().sum::<f64>() / part.len() as f64) as u8;
        Track { bases, percent: of_base.chunks(bases).map(mean).collect() }
    });
    Ok(Details {
        sequence: std::str::from_utf8(&record.sequence).unwrap_or_default(),
        structure,
        layout,
        knots,
        pairs,
        track,
        regions: &record.regions,
        reading_frame: &record.reading_frame,
        sites: &record.sites,
    })
}

/// The drawing of a structure without pseudoknots as steps from base to base.
fn steps(nested: &[Option<usize>]) -> Vec<i32> {
    let layout = planar_layout(nested);
    let place = |value: f64| (value * STEPS_PER_UNIT).round() as i32;
    let Some(first) = layout.points.first() else { return Vec::new() };
    // Differences of rounded places, so that errors do not add up.
    let mut last = [place(first.x), place(first.y)];
    let mut steps = Vec::with_capacity(2 * nested.len());
    for point in &layout.points {
        let here = [place(point.x), place(point.y)];
        steps.extend([here[0] - last[0], here[1] - last[1]]);
        last = here;
    }
    steps
}
