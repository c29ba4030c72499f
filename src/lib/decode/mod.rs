//! From logits to biology: base pairs, CDS windows, target sites.

mod assignment;
pub mod base_pairs;
pub mod coding;
pub mod coding_calibration;
mod expected_accuracy;
pub mod genetic_code;
pub mod hexamers;
pub mod reading_frame;
pub mod stretches;
pub mod target_alignment;
pub mod target_background;
pub mod target_site;
pub mod target_summary;
#[cfg(test)]
mod tests;
