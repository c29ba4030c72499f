//! Colours for numbers: scales that also work for readers who do not tell red from green, and their legends.

use super::svg::{Svg, number};

/// Colours at even steps; those between are mixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scale(&'static [[u8; 3]]);

/// Probabilities: pale green to dark blue (ColorBrewer's YlGnBu, without its palest colours).
pub(super) const PROBABILITY: Scale = Scale(&[
    [0xc7, 0xe9, 0xb4],
    [0x7f, 0xcd, 0xbb],
    [0x41, 0xb6, 0xc4],
    [0x1d, 0x91, 0xc0],
    [0x22, 0x5e, 0xa8],
    [0x25, 0x34, 0x94],
    [0x08, 0x1d, 0x58],
]);

/// Probabilities of pairs that make pseudoknots: pale to dark orange (ColorBrewer's Oranges).
pub(super) const PSEUDOKNOT: Scale = Scale(&[
    [0xfd, 0xd0, 0xa2],
    [0xfd, 0xae, 0x6b],
    [0xfd, 0x8d, 0x3c],
    [0xf1, 0x69, 0x13],
    [0xd9, 0x48, 0x01],
    [0x8c, 0x2d, 0x04],
]);

/// Numbers of either sign: blue, white at 0, red (ColorBrewer's RdBu, turned).
pub(super) const SIGNED: Scale = Scale(&[
    [0x05, 0x30, 0x61],
    [0x21, 0x66, 0xac],
    [0x43, 0x93, 0xc3],
    [0x92, 0xc5, 0xde],
    [0xd1, 0xe5, 0xf0],
    [0xff, 0xff, 0xff],
    [0xfd, 0xdb, 0xc7],
    [0xf4, 0xa5, 0x82],
    [0xd6, 0x60, 0x4d],
    [0xb2, 0x18, 0x2b],
    [0x67, 0x00, 0x1f],
]);

/// The colours of probabilities, as `#rrggbb` at even steps: of pairs, and of those in pseudoknots.
pub(crate) fn scales() -> [Vec<String>; 2] {
    [PROBABILITY, PSEUDOKNOT].map(|scale| (0..=20).map(|step| scale.at(f64::from(step) / 20.0)).collect())
}

impl Scale {
    /// The colour at a place from 0 to 1, as `#rrggbb`. Places are taken in steps of 1/100.
    pub(super) fn at(self, place: f64) -> String {
        let [red, green, blue] = self.mixed(place);
        format!("#{red:02x}{green:02x}{blue:02x}")
    }

    /// The colour at a place mixed with white, on which dark letters can be read, also in print.
    pub(super) fn pale_at(self, place: f64) -> String {
        let [red, green, blue] =
            self.mixed(place).map(|value| (255.0 - 0.35 * (255.0 - f64::from(value))).round() as u8);
        format!("#{red:02x}{green:02x}{blue:02x}")
    }

    fn mixed(self, place: f64) -> [u8; 3] {
        let place = if place.is_nan() { 0.0 } else { (place.clamp(0.0, 1.0) * 100.0).round() / 100.0 };
        let at = place * (self.0.len() - 1) as f64;
        let low = (at as usize).min(self.0.len() - 2);
        let part = at - low as f64;
        std::array::from_fn(|channel| {
            let (from, to) = (f64::from(self.0[low][channel]), f64::from(self.0[low + 1][channel]));
            (from + part * (to - from)).round() as u8
        })
    }
}

/// A bar with the colours of a scale from `corner` to the right, `width` wide, under a caption and over the numbers at its
/// ends and in its middle. It takes 40 units of height.
pub(super) fn legend(svg: &mut Svg, corner: (f64, f64), width: f64, scale: Scale, caption: &str, marks: [&str; 3]) {
    let (left, top) = corner;
    svg.text((left, top + 10.0), "start", caption, "");
    let name = caption.replace(' ', "-");
    let last = scale.0.len() - 1;
    let stops: String = (0..=last)
        .map(|step| {
            let place = step as f64 / last as f64;
            format!(r#"<stop offset="{}" stop-color="{}"/>"#, number(place), scale.at(place))
        })
        .collect();
    svg.raw(&format!(r#"<linearGradient id="{name}">{stops}</linearGradient>"#));
    svg.rectangle((left, top + 15.0), (width, 10.0), &format!(r#"fill="url(#{name})""#));
    for (part, (mark, anchor)) in marks.iter().zip(["start", "middle", "end"]).enumerate() {
        svg.text((left + width * part as f64 / 2.0, top + 36.0), anchor, mark, r#"font-size="9""#);
    }
}

/// An attribute for a stroke of a scale's colour.
pub(super) fn stroke(scale: Scale, place: f64, width: f64) -> String {
    format!(r#"stroke="{}" stroke-width="{}""#, scale.at(place), number(width))
}
