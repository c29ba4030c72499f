//! A secondary structure: a planar drawing, and under it the arcs over the sequence.

use std::fmt::Write;

use super::arcs::ArcDiagram;
use super::axis::{number_step, numbered};
use super::colour::{PROBABILITY, PSEUDOKNOT, Scale, legend, stroke};
use super::layout::{Point, planar_layout};
use super::svg::{GREY, Svg, number, shortened};
use crate::structure::pairs;
use crate::structure::without_pseudoknots;

/// Space around everything.
const MARGIN: f64 = 24.0;
/// Height of title and legends.
const HEAD: f64 = 60.0;
/// The largest side of the planar drawing.
const LARGEST: f64 = 1400.0;
/// Length of the backbone from base to base where there is room.
const UNIT: f64 = 19.0;
/// From this length of the backbone on, bases are drawn as circles.
const CIRCLES_FROM: f64 = 4.0;
/// From this length of the backbone on, bases have a letter, which can be read where the picture is zoomed.
const LETTERS_FROM: f64 = 1.5;
/// Longest RNA whose pairs say what they are where the pointer rests on them.
const TIPS_TO: usize = 1000;

/// More pairs in pseudoknots than this are drawn pale.
const MANY_KNOTS: usize = 20;

/// What to draw.
pub struct StructurePicture<'a> {
    /// The record's id.
    pub id: &'a str,
    /// Upper-case RNA letters.
    pub sequence: &'a [u8],
    /// 0-based partner of each base.
    pub partners: &'a [Option<usize>],
    /// Probability of the pair of each base that has one.
    pub probabilities: &'a [f32],
}

/// A pair to draw.
#[derive(Clone, Copy)]
pub(super) struct Pair {
    pub(super) i: usize,
    pub(super) j: usize,
    pub(super) probability: f64,
    /// Whether it crosses pairs of the nested structure.
    pub(super) in_pseudoknot: bool,
}

impl Pair {
    /// The colours of its probability.
    fn scale(&self) -> Scale {
        if self.in_pseudoknot { PSEUDOKNOT } else { PROBABILITY }
    }

    /// Its line's attributes.
    pub(super) fn stroke(&self, width: f64) -> String {
        stroke(self.scale(), self.probability, width)
    }

    /// What it says of itself; nothing in a long RNA.
    pub(super) fn tip(&self, sequence: &[u8]) -> String {
        if sequence.len() > TIPS_TO {
            return String::new();
        }
        let base = |position: usize| format!("{}{}", char::from(sequence[position]), position + 1);
        let kind = if self.in_pseudoknot { ", pseudoknot" } else { "" };
        format!("{}–{}, probability {:.2}{kind}", base(self.i), base(self.j), self.probability)
    }
}

impl StructurePicture<'_> {
    /// The SVG file.
    pub fn draw(&self) -> String {
        let nested = without_pseudoknots(self.partners);
        let drawn: Vec<Pair> = pairs(self.partners)
            .map(|(i, j)| {
                let probability = f64::from(self.probabilities.get(i).copied().unwrap_or_default());
                Pair { i, j, probability, in_pseudoknot: nested[i].is_none() }
            })
            .collect();
        let plane = Plane::new(self.sequence, &nested);
        let arcs = ArcDiagram::new(self.sequence, &drawn);
        let width = (plane.width.max(arcs.width()) + 2.0 * MARGIN).max(600.0);
        let height = HEAD + plane.height + MARGIN + arcs.height() + MARGIN;

        let (length, knotted) = (self.sequence.len(), drawn.iter().filter(|pair| pair.in_pseudoknot).count());
        let plural = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
        let mut counts = format!("{}, {}", plural(length, "nucleotide"), plural(drawn.len(), "base pair"));
        if knotted > 0 {
            let _ = write!(counts, ", {knotted} of them in pseudoknots");
        }
        let description = format!(
            "Predicted secondary structure of {counts}. Above a planar drawing, below the pairs as arcs over the sequence; \
             colours are the probabilities of the pairs, orange those of pseudoknots."
        );
        let mut svg = Svg::new(width, height, &format!("Secondary structure of {}", self.id), &description);
        svg.text((MARGIN, MARGIN + 10.0), "start", &shortened(self.id, 60), r#"font-size="16" font-weight="bold""#);
        svg.text((MARGIN, MARGIN + 28.0), "start", &counts, "");
        let bar = 130.0;
        let right = width - MARGIN - bar;
        legend(&mut svg, (right, MARGIN - 4.0), bar, PROBABILITY, "pair probability", ["0", "0.5", "1"]);
        if knotted > 0 {
            let left = right - bar - 24.0;
            legend(&mut svg, (left, MARGIN - 4.0), bar, PSEUDOKNOT, "in pseudoknots", ["0", "0.5", "1"]);
        }
        let centred = |own: f64| (width - own) / 2.0;
        plane.draw(&mut svg, (centred(plane.width), HEAD), self.sequence, &drawn);
        arcs.draw(&mut svg, (centred(arcs.width()), HEAD + plane.height + MARGIN));
        svg.finish()
    }
}

/// The planar drawing, turned to the picture's coordinates.
struct Plane {
    /// Backbone from base to base.
    unit: f64,
    points: Vec<(f64, f64)>,
    outward: Vec<Point>,
    width: f64,
    height: f64,
}

impl Plane {
    /// Room for numbers and end marks around the bases, in units of the backbone where letters are drawn.
    const BORDER: f64 = 2.6 * UNIT;

    fn new(sequence: &[u8], nested: &[Option<usize>]) -> Self {
        let layout = planar_layout(nested);
        let bound = |value: fn(&Point) -> f64, pick: fn(f64, f64) -> f64, start: f64| {
            if sequence.is_empty() { 0.0 } else { layout.points.iter().map(value).fold(start, pick) }
        };
        let (left, right) = (bound(|p| p.x, f64::min, f64::INFINITY), bound(|p| p.x, f64::max, f64::NEG_INFINITY));
        let (low, high) = (bound(|p| p.y, f64::min, f64::INFINITY), bound(|p| p.y, f64::max, f64::NEG_INFINITY));
        let unit = UNIT.min((LARGEST - 2.0 * Self::BORDER) / (right - left).max(high - low).max(1.0));
        let place = |point: &Point| ((point.x - left) * unit + Self::BORDER, (high - point.y) * unit + Self::BORDER);
        Self {
            unit,
            points: layout.points.iter().map(place).collect(),
            outward: layout.outward,
            width: (right - left) * unit + 2.0 * Self::BORDER,
            height: (high - low) * unit + 2.0 * Self::BORDER,
        }
    }

    /// The point at some distance from a base.
    fn beside(&self, base: usize, direction: Point, distance: f64) -> (f64, f64) {
        let point = self.points[base];
        (point.0 + distance * direction.x, point.1 - distance * direction.y)
    }

    fn draw(&self, svg: &mut Svg, corner: (f64, f64), sequence: &[u8], drawn: &[Pair]) {
        svg.open(&format!(r#"transform="translate({} {})""#, number(corner.0), number(corner.1)));
        self.draw_backbone(svg);
        svg.open(r#"fill="none" stroke-linecap="round""#);
        // Pseudoknots first, and many of them pale, so that the structure stays readable where they cross it.
        let knotted = drawn.iter().filter(|pair| pair.in_pseudoknot).count();
        let opacity = if knotted > MANY_KNOTS { r#" stroke-opacity="0.4""# } else { "" };
        for knots in [true, false] {
            for pair in drawn.iter().filter(|pair| pair.in_pseudoknot == knots) {
                let ((x1, y1), (x2, y2)) = (self.points[pair.i], self.points[pair.j]);
                let d = format!("M{} {}L{} {}", number(x1), number(y1), number(x2), number(y2));
                let width = if knots { 1.6 } else { (self.unit * 0.16).max(1.0) };
                let opacity = if knots { opacity } else { "" };
                svg.path(&d, &(pair.stroke(width) + opacity), &pair.tip(sequence));
            }
        }
        svg.close();
        self.draw_bases(svg, sequence, drawn);
        self.draw_numbers(svg, sequence.len());
        self.draw_ends(svg);
        svg.close();
    }

    fn draw_backbone(&self, svg: &mut Svg) {
        let mut d = String::new();
        for (base, &(x, y)) in self.points.iter().enumerate() {
            let _ = write!(d, "{}{} {}", if base == 0 { "M" } else { "L" }, number(x), number(y));
        }
        let width = number((self.unit * 0.1).clamp(0.8, 1.5));
        svg.path(&d, &format!(r##"fill="none" stroke="#9a9a9a" stroke-width="{width}" stroke-linejoin="round""##), "");
    }

    /// Numbers beside their bases: outside where there is room, otherwise where there is most.
    fn draw_numbers(&self, svg: &mut Svg, length: usize) {
        let halo = r##"stroke="#ffffff" stroke-width="2.5" paint-order="stroke""##;
        svg.open(&format!(r#"font-size="10" fill="{GREY}""#));
        for base in numbered(length, number_step(length, 30)).filter(|&base| base > 0 && base + 1 < length) {
            let out = self.outward[base];
            let turned = [0.0_f64, 0.6, -0.6, 1.2, -1.2].map(|angle| {
                let (sin, cos) = angle.sin_cos();
                Point { x: cos * out.x - sin * out.y, y: sin * out.x + cos * out.y }
            });
            let free = |direction: &Point| {
                let middle = self.beside(base, *direction, self.unit.mul_add(0.5, 15.0));
                let room = |&(x, y): &(f64, f64)| (x - middle.0).hypot(y - middle.1);
                self.points.iter().map(room).fold(f64::INFINITY, f64::min)
            };
            let enough = self.unit.mul_add(0.5, 7.0);
            let most = || turned.iter().copied().max_by(|a, b| free(a).total_cmp(&free(b)));
            let Some(direction) = turned.iter().copied().find(|way| free(way) >= enough).or_else(most) else {
                continue;
            };
            let near = self.beside(base, direction, self.unit * 0.45);
            let far = self.beside(base, direction, self.unit.mul_add(0.45, 6.0));
            svg.line(near, far, &format!(r#"stroke="{GREY}" stroke-width="0.8""#));
            let at = self.beside(base, direction, self.unit.mul_add(0.45, 8.0));
            let anchor = if direction.x > 0.3 {
                "start"
            } else if direction.x < -0.3 {
                "end"
            } else {
                "middle"
            };
            // Digits are about 7 high: text below a base hangs, text above it stands.
            let lower = if direction.x.abs() <= 0.3 { 3.5 - 4.5 * direction.y } else { 3.5 };
            svg.text((at.0, at.1 + lower), anchor, &(base + 1).to_string(), halo);
        }
        svg.close();
    }

    /// Circles with letters: ringed in the colour of the pair and filled with a paler one, so that the letter can be read.
    fn draw_bases(&self, svg: &mut Svg, sequence: &[u8], drawn: &[Pair]) {
        if self.unit < LETTERS_FROM {
            return;
        }
        let mut pair_of = vec![None; sequence.len()];
        for pair in drawn {
            (pair_of[pair.i], pair_of[pair.j]) = (Some(*pair), Some(*pair));
        }
        let radius = self.unit * 0.43;
        let (size, thin, thick) = (number(radius * 1.4), number(radius * 0.1), number(radius * 0.24));
        let middle = r#"text-anchor="middle" font-family="Menlo, 'DejaVu Sans Mono', monospace""#;
        svg.open(&format!(r#"{middle} font-size="{size}" stroke-width="{thick}""#));
        for (base, &(x, y)) in self.points.iter().enumerate() {
            let (x, r) = (number(x), number(radius));
            if self.unit >= CIRCLES_FROM {
                let ring = match pair_of[base] {
                    None => format!(r##"fill="#ffffff" stroke="#777777" stroke-width="{thin}""##),
                    Some(pair) => {
                        let scale = pair.scale();
                        format!(r#"fill="{}" stroke="{}""#, scale.pale_at(pair.probability), scale.at(pair.probability))
                    }
                };
                svg.raw(&format!(r#"<circle cx="{x}" cy="{}" r="{r}" {ring}/>"#, number(y)));
            }
            let (y, letter) = (number(y + radius * 0.5), char::from(sequence[base]));
            svg.raw(&format!(r#"<text x="{x}" y="{y}" stroke="none">{letter}</text>"#));
        }
        svg.close();
    }

    /// 5′ before the first base, 3′ after the last.
    fn draw_ends(&self, svg: &mut Svg) {
        let last = self.points.len().saturating_sub(1);
        let away = |base: usize, from: usize, fallback: (f64, f64)| {
            let (x, y) = (self.points[base].0 - self.points[from].0, self.points[base].1 - self.points[from].1);
            let length = x.hypot(y);
            let (x, y) = if length > 0.0 { (x / length, y / length) } else { fallback };
            let distance = self.unit.mul_add(0.5, 9.0);
            (self.points[base].0 + distance * x, self.points[base].1 + distance * y + 4.0)
        };
        if self.points.is_empty() {
            return;
        }
        let bold = r#"font-size="12" font-weight="bold""#;
        let (mut five, mut three) = (away(0, 1.min(last), (-1.0, 0.0)), away(last, last.saturating_sub(1), (1.0, 0.0)));
        // Side by side where there is no room between the ends.
        if (five.0 - three.0).hypot(five.1 - three.1) < 16.0 {
            let middle = (five.0 + three.0) / 2.0;
            (five.0, three.0) = (middle - 9.0, middle + 9.0);
        }
        svg.text(five, "middle", "5′", bold);
        svg.text(three, "middle", "3′", bold);
    }
}
