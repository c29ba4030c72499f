//! The pair probabilities of an RNA above the diagonal, the decoded structure below it.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::axis::{number_step, numbered};
use super::colour::{PROBABILITY, PSEUDOKNOT, legend};
use super::svg::{GREY, PALE, Svg, number as short, shortened};
use crate::format::number;
use crate::structure::pairs;
use crate::structure::{Candidate, without_pseudoknots};

const MARGIN: f64 = 24.0;
/// Room for letters and numbers left of and above the matrix.
const AXIS: f64 = 44.0;
const HEAD: f64 = 30.0;
/// The largest and the least side of the matrix.
const LARGEST: f64 = 760.0;
const LEAST: f64 = 430.0;
/// Most cells on a side: longer RNAs share cells, and a cell shows its most probable pair.
const MOST_CELLS: usize = 500;
/// Side of a cell where there is room; letters need this much.
const CELL: f64 = 9.0;
/// Least side of the square of a pair of probability 1.
const STRONGEST: f64 = 2.6;
/// Where bases share cells, weaker pairs than this are left out: for each 1,000 nucleotides, and at most.
const LEAST_AT_1000: f32 = 0.03;
const LEAST_AT_MOST: f32 = 0.1;

/// The least probability that is shown of long RNAs, in hundredths.
fn least_shown(length: usize) -> f32 {
    (LEAST_AT_1000 * length as f32 / 10.0).round().min(100.0 * LEAST_AT_MOST) / 100.0
}

/// What to draw.
pub struct DotPlot<'a> {
    /// The record's id.
    pub id: &'a str,
    /// Upper-case RNA letters.
    pub sequence: &'a [u8],
    /// The pairs to show above the diagonal.
    pub probabilities: &'a [Candidate],
    /// The decoded structure: 0-based partner of each base.
    pub partners: &'a [Option<usize>],
    /// What those are more probable than.
    pub least: f32,
}

impl DotPlot<'_> {
    /// The SVG file.
    pub fn draw(&self) -> String {
        let length = self.sequence.len();
        let cells = length.clamp(1, MOST_CELLS);
        let cell = (CELL * cells as f64).clamp(LEAST, LARGEST) / cells as f64;
        let side = cell * cells as f64;
        // Position in cells of a base; where bases share cells, the cell.
        let place = |base: usize| base * cells / length.max(1);
        let (left, top) = (MARGIN + AXIS, MARGIN + HEAD + AXIS);
        let size = (left + side + MARGIN, top + side + MARGIN);
        let count = pairs(self.partners).count();
        // In long RNAs the many weak pairs would hide the few strong ones.
        let threshold = self.least.max(least_shown(length));
        let threshold = if length > MOST_CELLS { threshold } else { self.least };
        let shown: Vec<&Candidate> = self.probabilities.iter().filter(|pair| pair.probability >= threshold).collect();
        let least = number::format(threshold);
        let description = format!(
            "Matrix of {length} by {length} nucleotides: above the diagonal the probabilities of {} base pairs that are more \
             probable than {least}, below it the {count} pairs of the decoded structure, those of pseudoknots in orange.",
            shown.len()
        );
        let mut svg = Svg::new(size.0, size.1, &format!("Base pair probabilities of {}", self.id), &description);
        svg.text((MARGIN, MARGIN + 10.0), "start", &shortened(self.id, 40), r#"font-size="16" font-weight="bold""#);
        let caption = format!("{length} nt · above: probabilities over {least} · below: {count} decoded pairs");
        svg.text((MARGIN, MARGIN + 28.0), "start", &caption, "");
        let bar = 110.0;
        legend(
            &mut svg,
            (size.0 - MARGIN - bar, MARGIN - 4.0),
            bar,
            PROBABILITY,
            "pair probability",
            ["0", "0.5", "1"],
        );

        self.draw_axes(&mut svg, (left, top), cell, cells);
        // Squares of one colour in one path; the most probable last, on top of the others.
        let mut squares: BTreeMap<(u32, String), String> = BTreeMap::new();
        let mut square = |row: usize, column: usize, part: f64, layer: u32, fill: String| {
            // A square of this part of its cell's area, in its middle. Where cells are small, strong pairs reach beyond theirs.
            let wide = (cell.max(STRONGEST) * part.sqrt()).max(0.5);
            let offset = (cell - wide) / 2.0;
            let (x, y) = (left + column as f64 * cell + offset, top + row as f64 * cell + offset);
            let wide = short(wide);
            let path = squares.entry((layer, fill)).or_default();
            let _ = write!(path, "M{} {}h{wide}v{wide}h-{wide}z", short(x), short(y));
        };
        let mut of_cells: BTreeMap<(usize, usize), f32> = BTreeMap::new();
        for pair in shown {
            let most = of_cells.entry((place(pair.i), place(pair.j))).or_insert(0.0);
            *most = most.max(pair.probability);
        }
        for (&(row, column), &probability) in &of_cells {
            let probability = f64::from(probability);
            square(row, column, probability, (100.0 * probability).round() as u32, PROBABILITY.at(probability));
        }
        let nested = without_pseudoknots(self.partners);
        for (i, j) in pairs(self.partners) {
            let fill = if nested[i].is_some() { "#333333".to_owned() } else { PSEUDOKNOT.at(0.75) };
            square(place(j), place(i), 0.8, u32::MAX, fill);
        }
        for ((_, fill), d) in &squares {
            svg.path(d, &format!(r#"fill="{fill}""#), "");
        }
        svg.finish()
    }

    fn draw_axes(&self, svg: &mut Svg, (left, top): (f64, f64), cell: f64, cells: usize) {
        let (side, length) = (cell * cells as f64, self.sequence.len());
        let middle = |base: usize| (base as f64 + 0.5) * side / length.max(1) as f64;
        svg.open(&format!(r#"stroke="{PALE}" stroke-width="0.8""#));
        let step = number_step(length, ((side / 32.0) as usize).max(1));
        for base in numbered(length, step).skip(1) {
            svg.line((left + middle(base), top), (left + middle(base), top + side), "");
            svg.line((left, top + middle(base)), (left + side, top + middle(base)), "");
        }
        svg.line((left, top), (left + side, top + side), r##"stroke="#bbbbbb""##);
        svg.close();
        svg.rectangle((left, top), (side, side), r##"fill="none" stroke="#777777" stroke-width="0.8""##);
        let letters = length == cells && cell >= 7.0;
        if letters {
            let mono = r#"font-family="Menlo, 'DejaVu Sans Mono', monospace" text-anchor="middle""#;
            svg.open(&format!(r#"{mono} font-size="{}""#, short((cell * 0.9).min(11.0))));
            for (base, &letter) in self.sequence.iter().enumerate() {
                let (at, letter) = (middle(base), char::from(letter).to_string());
                svg.text((left + at, top - 4.0), "start", &letter, "");
                svg.text((left - 8.0, top + at + 3.0), "start", &letter, "");
            }
            svg.close();
        }
        let away = if letters { 16.0 } else { 5.0 };
        svg.open(&format!(r#"font-size="9" fill="{GREY}""#));
        for base in numbered(length, step) {
            let text = (base + 1).to_string();
            svg.text((left + middle(base), top - away - 1.0), "middle", &text, "");
            svg.text((left - away, top + middle(base) + 3.0), "end", &text, "");
        }
        svg.close();
    }
}
