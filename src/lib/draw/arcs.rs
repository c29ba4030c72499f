//! The pairs of a structure as arcs over the sequence; those that make pseudoknots hang below it.

use super::axis::{number_step, numbered};
use super::structure::Pair;
use super::svg::{GREY, Svg, number};

/// The widest diagram.
const WIDEST: f64 = 1400.0;
/// Distance of neighbouring bases where there is room.
const STEP: f64 = 12.0;
/// From this distance on, bases have room for a letter.
const LETTERS_FROM: f64 = 7.0;
/// From this distance on, bases have a small letter, which can be read where the picture is zoomed.
const SMALL_LETTERS_FROM: f64 = 1.4;
/// The highest arc.
const HIGHEST: f64 = 320.0;
/// Height of letters and numbers.
const TEXT: f64 = 30.0;
/// Room for the marks of the ends.
const ENDS: f64 = 24.0;

/// The diagram, with its sizes.
pub(super) struct ArcDiagram<'a> {
    sequence: &'a [u8],
    pairs: &'a [Pair],
    step: f64,
    /// Height of an arc for each unit of its width.
    flatness: f64,
    above: f64,
    below: f64,
}

impl<'a> ArcDiagram<'a> {
    pub(super) fn new(sequence: &'a [u8], pairs: &'a [Pair]) -> Self {
        let step = STEP.min(WIDEST / sequence.len().max(1) as f64);
        let widest = |knots: bool| {
            let spans = pairs.iter().filter(|pair| pair.in_pseudoknot == knots).map(|pair| pair.j - pair.i);
            spans.max().unwrap_or(0) as f64 * step
        };
        let flatness = 0.5_f64.min(HIGHEST / widest(false).max(widest(true)).max(1.0));
        Self { sequence, pairs, step, flatness, above: widest(false) * flatness, below: widest(true) * flatness }
    }

    pub(super) fn width(&self) -> f64 {
        self.step * self.sequence.len() as f64 + 2.0 * ENDS
    }

    pub(super) fn height(&self) -> f64 {
        self.above + TEXT.max(self.below + TEXT / 2.0)
    }

    fn draw_letters(&self, svg: &mut Svg, y: f64, x: &impl Fn(usize) -> f64) {
        let mono = r#"text-anchor="middle" font-family="Menlo, 'DejaVu Sans Mono', monospace""#;
        svg.open(&format!(r#"{mono} font-size="{}""#, number(self.step * 0.92)));
        for (base, &letter) in self.sequence.iter().enumerate() {
            svg.raw(&format!(r#"<text x="{}" y="{}">{}</text>"#, number(x(base)), number(y), char::from(letter)));
        }
        svg.close();
    }

    /// Draws it with its upper left corner at `corner`.
    pub(super) fn draw(&self, svg: &mut Svg, corner: (f64, f64)) {
        let baseline = corner.1 + self.above;
        let x = |base: usize| corner.0 + ENDS + (base as f64 + 0.5) * self.step;
        let letters = self.step >= LETTERS_FROM;
        let width = number((self.step * 0.15).clamp(0.6, 1.8));
        svg.open(&format!(r#"fill="none" stroke-width="{width}""#));
        for pair in self.pairs {
            let (from, to) = (x(pair.i), x(pair.j));
            let (wide, high) = ((to - from) / 2.0, (to - from) * self.flatness);
            // Clockwise above the sequence, counter-clockwise below its letters.
            let (y, sweep) = match (pair.in_pseudoknot, letters) {
                (false, _) => (baseline, 1),
                (true, true) => (baseline + 14.0, 0),
                (true, false) => (baseline, 0),
            };
            let (y, wide, high) = (number(y), number(wide), number(high));
            let d = format!("M{} {y}A{wide} {high} 0 0 {sweep} {} {y}", number(from), number(to));
            svg.path(&d, &pair.stroke((self.step * 0.15).clamp(0.6, 1.8)), &pair.tip(self.sequence));
        }
        svg.close();
        let length = self.sequence.len();
        if length == 0 {
            return;
        }
        let (first, last) = (x(0), x(length - 1));
        let text = if letters {
            self.draw_letters(svg, baseline + 11.0, &x);
            baseline + 11.0
        } else {
            svg.line((first, baseline), (last, baseline), r##"stroke="#555555" stroke-width="1.2""##);
            if self.step >= SMALL_LETTERS_FROM {
                self.draw_letters(svg, baseline + 1.0 + self.step, &x);
            }
            baseline + 4.0
        };
        // A halo keeps numbers readable on arcs that pass under them.
        let halo = r##"stroke="#ffffff" stroke-width="3" paint-order="stroke""##;
        svg.open(&format!(r#"font-size="9" fill="{GREY}""#));
        let step = number_step(length, ((self.width() / 45.0) as usize).clamp(1, 30));
        for base in numbered(length, step) {
            if !letters {
                svg.line((x(base), baseline), (x(base), baseline + 4.0), r##"stroke="#555555""##);
            }
            svg.text((x(base), text + 11.0), "middle", &(base + 1).to_string(), halo);
        }
        svg.close();
        let bold = r#"font-size="12" font-weight="bold""#;
        svg.text((first - self.step / 2.0 - 4.0, text), "end", "5′", bold);
        svg.text((last + self.step / 2.0 + 4.0, text), "start", "3′", bold);
    }
}
