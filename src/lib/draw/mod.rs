//! Pictures of results as plain SVG: structures, pair probabilities, retention maps, coding regions.
//!
//! Every picture is one file without scripts, styles or fonts of its own, the same bytes for the same result, with a
//! `<title>` and a `<desc>` for screen readers. Lengths are in SVG user units (CSS pixels).

mod arcs;
mod axis;
pub mod coding;
mod colour;
pub mod dot_plot;
pub mod heat_map;
mod layout;
pub mod structure;
mod svg;
#[cfg(test)]
mod tests;

pub(crate) use colour::scales;
pub use layout::{PlanarLayout, Point, planar_layout};
pub(crate) use svg::escape;
