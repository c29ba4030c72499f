//! A number for each pair of positions as a coloured matrix.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::axis::{number_step, numbered};
use super::colour::{SIGNED, legend};
use super::svg::{GREY, Svg, number, shortened};
use crate::format;

const MARGIN: f64 = 24.0;
const AXIS: f64 = 52.0;
const HEAD: f64 = 56.0;
/// Most cells on a side: longer sequences share cells, and a cell shows the mean.
const MOST_CELLS: usize = 200;
/// The largest side of the matrix, and of a cell.
const LARGEST: f64 = 640.0;
const CELL: f64 = 24.0;
/// Least width of the picture, which the title needs.
const LEAST_WIDTH: f64 = 460.0;
/// This part of the cells has a colour of its own; those beyond have the last.
const SHOWN: f64 = 0.99;

/// A matrix that is filled row by row, in memory that does not grow with the square of the length.
pub struct HeatMap {
    length: usize,
    cells: usize,
    sums: Vec<f64>,
    counts: Vec<u32>,
}

impl HeatMap {
    /// An empty matrix for a sequence of `length` positions.
    pub fn new(length: usize) -> Self {
        let cells = length.clamp(1, MOST_CELLS);
        Self { length, cells, sums: vec![0.0; cells * cells], counts: vec![0; cells * cells] }
    }

    /// Adds the values of a row, one for each position.
    pub fn add_row(&mut self, row: usize, values: &[f32]) {
        let cell = |position: usize| position * self.cells / self.length.max(1);
        for (column, &value) in values.iter().enumerate().take(self.length) {
            let place = cell(row) * self.cells + cell(column);
            self.sums[place] += f64::from(value);
            self.counts[place] += 1;
        }
    }

    /// The SVG file: `id` is the record's, `what` what the numbers are, with a capital letter, `rows` and `columns` what
    /// the positions of each are.
    pub fn draw(&self, id: &str, what: &str, rows: &str, columns: &str) -> String {
        let means: Vec<f64> =
            self.sums.iter().zip(&self.counts).map(|(sum, &count)| sum / f64::from(count.max(1))).collect();
        let limit = limit(&means);
        // Whole pixels, so that all cells look alike.
        let cell = (LARGEST / self.cells as f64).floor().clamp(1.0, CELL);
        let side = cell * self.cells as f64;
        let (left, top) = (MARGIN + AXIS, MARGIN + HEAD + AXIS / 2.0);
        let (width, height) = ((left + side + MARGIN).max(LEAST_WIDTH), top + side + MARGIN);
        let length = self.length;
        let shared = match length.div_ceil(self.cells) {
            1 => String::new(),
            _ => format!(
                " Cells stand for the mean of about {:.1} positions either way.",
                length as f64 / self.cells as f64
            ),
        };
        let mark = format::number::format((limit * 1e3).round() / 1e3);
        let mark = if limit < 1e-2 { format::number::format(limit) } else { mark };
        let description = format!(
            "{what} as a matrix of {length} by {length} positions: from top to bottom {rows}, from left to right {columns}. \
             Blue is negative, red positive; values beyond {mark} have the colour of {mark}.{shared}"
        );
        let mut svg = Svg::new(width, height, &format!("{what} of {id}"), &description);
        svg.text((MARGIN, MARGIN + 10.0), "start", &shortened(id, 36), r#"font-size="16" font-weight="bold""#);
        svg.text((MARGIN, MARGIN + 28.0), "start", &format!("{what}, {length} nt"), "");
        let bar = 130.0;
        let marks = [format!("≤ −{mark}"), "0".to_owned(), format!("≥ {mark}")];
        let marks = [marks[0].as_str(), marks[1].as_str(), marks[2].as_str()];
        legend(&mut svg, (width - MARGIN - bar, MARGIN - 4.0), bar, SIGNED, "score", marks);

        let (x, y, cell) = (number(left), number(top), number(cell));
        svg.open(&format!(r#"transform="translate({x} {y}) scale({cell})" shape-rendering="crispEdges""#));
        for (fill, d) in self.runs(&means, limit) {
            svg.path(&d, &format!(r#"fill="{fill}""#), "");
        }
        svg.close();
        svg.rectangle((left, top), (side, side), r##"fill="none" stroke="#777777" stroke-width="0.8""##);
        self.draw_axes(&mut svg, (left, top), side, rows, columns);
        svg.finish()
    }

    /// Neighbours of one colour in a row are one rectangle, rectangles of one colour one path. White is left out.
    fn runs(&self, means: &[f64], limit: f64) -> BTreeMap<String, String> {
        let mut paths: BTreeMap<String, String> = BTreeMap::new();
        let colour = |value: f64| SIGNED.at(0.5 + 0.5 * value / limit);
        for (row, values) in means.chunks_exact(self.cells).enumerate() {
            let mut column = 0;
            while column < self.cells {
                let fill = colour(values[column]);
                let run = values[column..].iter().take_while(|&&value| colour(value) == fill).count();
                if fill != "#ffffff" {
                    let _ = write!(paths.entry(fill).or_default(), "M{column} {row}h{run}v1h-{run}z");
                }
                column += run;
            }
        }
        paths
    }

    fn draw_axes(&self, svg: &mut Svg, (left, top): (f64, f64), side: f64, rows: &str, columns: &str) {
        let middle = |position: usize| (position as f64 + 0.5) * side / self.length.max(1) as f64;
        svg.open(&format!(r#"font-size="9" fill="{GREY}""#));
        for position in numbered(self.length, number_step(self.length, 16)) {
            let (at, text) = (middle(position), (position + 1).to_string());
            svg.line((left + at, top - 3.0), (left + at, top), r##"stroke="#777777" stroke-width="0.8""##);
            svg.text((left + at, top - 6.0), "middle", &text, "");
            svg.line((left - 3.0, top + at), (left, top + at), r##"stroke="#777777" stroke-width="0.8""##);
            svg.text((left - 6.0, top + at + 3.0), "end", &text, "");
        }
        svg.close();
        svg.text((left + side / 2.0, top - 20.0), "middle", columns, r#"font-size="10""#);
        let (x, y) = (MARGIN + 8.0, top + side / 2.0);
        let turned = format!(r#"font-size="10" transform="rotate(-90 {} {})""#, number(x), number(y));
        svg.text((x, y), "middle", rows, &turned);
    }
}

/// The size within which most cells are; 1 where all are 0.
fn limit(means: &[f64]) -> f64 {
    let mut sizes: Vec<f64> = means.iter().map(|value| value.abs()).collect();
    sizes.sort_by(f64::total_cmp);
    let shown = (sizes.len() as f64 * SHOWN).ceil() as usize;
    let limit = sizes.get(shown.saturating_sub(1)).copied().unwrap_or_default();
    let largest = sizes.last().copied().unwrap_or_default();
    if limit > 0.0 {
        limit
    } else if largest > 0.0 {
        largest
    } else {
        1.0
    }
}
