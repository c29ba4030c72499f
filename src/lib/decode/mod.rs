//! From logits to biology: base pairs, CDS windows, target sites.

mod assignment;
pub mod base_pairs;
pub mod coding;
mod nested;
pub mod pair_map;
pub mod target_site;
#[cfg(test)]
mod tests;
