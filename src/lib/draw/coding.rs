//! Where a transcript codes: the probability of each base, the coding windows, and the reading frames.

use std::fmt::Write;

use super::axis::{number_step, numbered};
use super::svg::{GREY, PALE, Svg, number, shortened};
use crate::decode::coding::CdsWindow;
use crate::decode::genetic_code::{GeneticCode, codons};
use crate::decode::reading_frame::ReadingFrame;

const MARGIN: f64 = 24.0;
const HEAD: f64 = 50.0;
/// Room for numbers and names left of the panels.
const AXIS: f64 = 62.0;
/// Width of the panels.
const WIDTH: f64 = 1000.0;
/// Height of the panel of probabilities.
const TRACK: f64 = 170.0;
/// Height of a reading frame's lane, and of the bar in it.
const LANE: f64 = 26.0;
const BAR: f64 = 12.0;
/// Most points of the curve: longer transcripts show the mean, and the range as a band, of some bases at a time.
const MOST_POINTS: usize = 1000;
/// Width of a letter of the key in the widest of the usual fonts.
const KEY_LETTER: f64 = 6.2;
/// Codons are marked singly up to this many bases.
const CODONS_TO: usize = 4000;

const CURVE: &str = "#225ea8";
const BAND: &str = "#c6d9ee";
const WINDOW: &str = "#fdd49e";
const CHOSEN: &str = "#d95f0e";
const OTHER: &str = "#bdbdbd";
const START: &str = "#1b7837";
const STOP: &str = "#762a83";

/// What to draw.
pub struct CodingPicture<'a> {
    /// The record's id.
    pub id: &'a str,
    /// Upper-case RNA letters.
    pub sequence: &'a [u8],
    /// Which codons begin and end a reading frame.
    pub code: GeneticCode,
    /// Of each base to be coding.
    pub probabilities: &'a [f32],
    /// Least mean probability of a window.
    pub threshold: f64,
    /// The coding windows.
    pub windows: &'a [CdsWindow],
    /// All reading frames.
    pub frames: &'a [ReadingFrame],
    /// Those that stand for the windows.
    pub chosen: &'a [ReadingFrame],
}

impl CodingPicture<'_> {
    /// The SVG file.
    pub fn draw(&self) -> String {
        let length = self.sequence.len();
        let (left, top) = (MARGIN + AXIS, MARGIN + HEAD);
        let lanes = top + TRACK + 40.0;
        let size = (left + WIDTH + MARGIN, lanes + 3.0 * LANE + 58.0);
        let counts = format!(
            "{length} nucleotide{}, {} coding window{}, {} coding sequence{}",
            plural(length),
            self.windows.len(),
            plural(self.windows.len()),
            self.chosen.len(),
            plural(self.chosen.len())
        );
        let mut description = format!("{counts}. Above the probability of each base to be coding");
        description.push_str(", below the open reading frames of the three frames");
        for frame in self.chosen {
            let (from, to) = (frame.start + 1, frame.end);
            let _ = write!(description, "; coding sequence from {from} to {to} ({})", frame.completeness());
        }
        description.push('.');
        let mut svg = Svg::new(size.0, size.1, &format!("Coding regions of {}", self.id), &description);
        svg.text((MARGIN, MARGIN + 10.0), "start", &shortened(self.id, 80), r#"font-size="16" font-weight="bold""#);
        svg.text((MARGIN, MARGIN + 28.0), "start", &counts, "");
        self.draw_track(&mut svg, (left, top));
        self.draw_frames(&mut svg, (left, lanes));
        draw_key(&mut svg, (left, lanes + 3.0 * LANE + 36.0), length <= CODONS_TO);
        svg.finish()
    }

    /// Where a boundary between bases lies, from the left of the panels.
    fn at(&self, boundary: usize) -> f64 {
        WIDTH * boundary as f64 / self.sequence.len().max(1) as f64
    }

    fn draw_track(&self, svg: &mut Svg, (left, top): (f64, f64)) {
        let y = |probability: f64| top + TRACK * (1.0 - probability.clamp(0.0, 1.0));
        for window in self.windows {
            let (from, to) = (self.at(window.start), self.at(window.end));
            let tip = format!("window {}–{}, mean {:.2}", window.start + 1, window.end, window.mean_probability);
            let (x, wide) = (number(left + from), number((to - from).max(0.5)));
            let d = format!("M{x} {}h{wide}v{}h-{wide}z", number(top), number(TRACK));
            svg.path(&d, &format!(r#"fill="{WINDOW}" fill-opacity="0.55""#), &tip);
        }
        svg.open(&format!(r#"stroke="{PALE}" stroke-width="0.8""#));
        for quarter in 1..4 {
            let y = y(f64::from(quarter) / 4.0);
            svg.line((left, y), (left + WIDTH, y), "");
        }
        svg.close();
        self.draw_curve(svg, left, y);
        let threshold = y(self.threshold);
        svg.line((left, threshold), (left + WIDTH, threshold), r##"stroke="#555555" stroke-dasharray="5 4""##);
        svg.rectangle((left, top), (WIDTH, TRACK), r##"fill="none" stroke="#777777" stroke-width="0.8""##);
        svg.open(&format!(r#"font-size="10" fill="{GREY}""#));
        for (value, text) in [(0.0, "0"), (0.25, "0.25"), (0.5, "0.5"), (0.75, "0.75"), (1.0, "1")] {
            svg.text((left - 6.0, y(value) + 3.5), "end", text, "");
        }
        let length = self.sequence.len();
        for position in numbered(length, number_step(length, 24)) {
            let x = left + (self.at(position) + self.at(position + 1)) / 2.0;
            svg.line((x, top + TRACK), (x, top + TRACK + 4.0), r##"stroke="#777777" stroke-width="0.8""##);
            svg.text((x, top + TRACK + 15.0), "middle", &(position + 1).to_string(), "");
        }
        svg.close();
        let (x, middle) = (MARGIN + 10.0, top + TRACK / 2.0);
        let turned = format!(r#"transform="rotate(-90 {} {})""#, number(x), number(middle));
        svg.text((x, middle), "middle", "coding probability", &turned);
    }

    fn draw_curve(&self, svg: &mut Svg, left: f64, y: impl Fn(f64) -> f64) {
        let length = self.probabilities.len();
        if length == 0 {
            return;
        }
        let points = length.min(MOST_POINTS);
        let (mut curve, mut upper, mut lower) = (String::new(), String::new(), Vec::new());
        for point in 0..points {
            let (from, to) = (point * length / points, (point + 1) * length / points);
            let values = &self.probabilities[from..to];
            let mean = values.iter().map(|&p| f64::from(p)).sum::<f64>() / values.len() as f64;
            let (least, most) = values.iter().fold((1.0_f32, 0.0_f32), |(least, most), &p| (least.min(p), most.max(p)));
            // A base is as wide as its place, so that a single one is seen.
            let (start, end) = (number(left + self.at(from)), number(left + self.at(to)));
            let command = if point == 0 { "M" } else { "L" };
            let level = number(y(mean));
            let _ = write!(curve, "{command}{start} {level}H{end}");
            let _ = write!(upper, "{command}{start} {0}H{end}", number(y(f64::from(most))));
            lower.push(format!("L{end} {0}H{start}", number(y(f64::from(least)))));
        }
        if points < length {
            lower.reverse();
            svg.path(&format!("{upper}{}z", lower.concat()), &format!(r#"fill="{BAND}""#), "");
        }
        svg.path(&curve, &format!(r#"fill="none" stroke="{CURVE}" stroke-width="1.4" stroke-linejoin="round""#), "");
    }

    fn draw_frames(&self, svg: &mut Svg, (left, top): (f64, f64)) {
        let length = self.sequence.len();
        svg.text((left, top - 8.0), "start", "reading frames", "");
        for frame in 0..3 {
            let middle = top + (frame as f64 + 0.5) * LANE;
            svg.text((left - 6.0, middle + 4.0), "end", &format!("frame {}", frame + 1), "");
            svg.line((left, middle), (left + WIDTH, middle), &format!(r#"stroke="{PALE}" stroke-width="1""#));
            if length <= CODONS_TO {
                self.draw_codons(svg, left, middle, frame);
            }
        }
        let lane = |frame: &ReadingFrame| (frame.start + frame.phase) % 3;
        // The chosen ones last, so that nothing hides them.
        for is_chosen in [false, true] {
            for frame in self.frames.iter().filter(|frame| self.chosen.contains(frame) == is_chosen) {
                let middle = top + (lane(frame) as f64 + 0.5) * LANE;
                self.draw_bar(svg, left, middle, frame, is_chosen);
            }
        }
    }

    /// Start codons as ticks above the lane's middle, stop codons as ticks through it.
    fn draw_codons(&self, svg: &mut Svg, left: f64, middle: f64, frame: usize) {
        let (mut starts, mut stops) = (String::new(), String::new());
        for (position, codon) in codons(self.sequence, frame) {
            let x = number(left + self.at(position + 1));
            if self.code.is_start(codon) {
                let _ = write!(starts, "M{x} {}v-6", number(middle - BAR / 2.0));
            } else if self.code.is_stop(codon) {
                let _ = write!(stops, "M{x} {}v{}", number(middle - BAR / 2.0), number(BAR));
            }
        }
        for (d, colour) in [(starts, START), (stops, STOP)] {
            if !d.is_empty() {
                svg.path(&d, &format!(r#"fill="none" stroke="{colour}" stroke-width="1""#), "");
            }
        }
    }

    /// A bar that points to 3′; an end that is missing from the transcript is open: its side is not drawn.
    fn draw_bar(&self, svg: &mut Svg, left: f64, middle: f64, frame: &ReadingFrame, is_chosen: bool) {
        let (from, to) = (left + self.at(frame.start), left + self.at(frame.end));
        let (high, low) = (middle - BAR / 2.0, middle + BAR / 2.0);
        let tip = (to - from).min(7.0);
        let (fill, opacity) = if is_chosen { (CHOSEN, "1") } else { (OTHER, "0.6") };
        let outline = [(from, high), (to - tip, high), (to, middle), (to - tip, low), (from, low)];
        let path = |points: &[(f64, f64)]| {
            let place = |(number_of, &(x, y)): (usize, &(f64, f64))| {
                format!("{}{} {}", if number_of == 0 { "M" } else { "L" }, number(x), number(y))
            };
            points.iter().enumerate().map(place).collect::<String>()
        };
        let (start, end, mean) = (frame.start + 1, frame.end, frame.mean_probability);
        let about = format!("{start}–{end}, {}, mean probability {mean:.2}", frame.completeness());
        svg.path(&(path(&outline) + "z"), &format!(r#"fill="{fill}" fill-opacity="{opacity}""#), &about);
        if is_chosen {
            let ink = r##"stroke="#7f3b08" stroke-width="1.4""##;
            svg.path(&path(&outline[..2]), &format!(r#"fill="none" {ink}"#), "");
            svg.path(&path(&outline[3..]), &format!(r#"fill="none" {ink}"#), "");
            if frame.has_start {
                svg.line((from, high), (from, low), ink);
            }
            if frame.has_stop {
                svg.path(&path(&outline[1..4]), &format!(r#"fill="none" {ink}"#), "");
            }
        }
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn draw_key(svg: &mut Svg, (left, y): (f64, f64), with_codons: bool) {
    svg.open(r#"font-size="10""#);
    let mut x = left;
    let mut entry = |colour: &str, opacity: &str, wide: f64, text: &str| {
        let fill = format!(r#"fill="{colour}" fill-opacity="{opacity}""#);
        svg.rectangle((x, y - 9.0), (wide, 10.0), &fill);
        svg.text((x + wide + 6.0, y), "start", text, "");
        x += wide + 26.0 + KEY_LETTER * text.len() as f64;
    };
    entry(WINDOW, "0.8", 16.0, "coding window");
    entry(CHOSEN, "1", 16.0, "its coding sequence (a missing end is drawn open)");
    entry(OTHER, "0.6", 16.0, "other reading frame");
    if with_codons {
        entry(START, "1", 2.0, "AUG");
        entry(STOP, "1", 2.0, "stop codon");
    }
    svg.close();
}
