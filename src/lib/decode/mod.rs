//! From logits to biology: base pairs, CDS windows, target sites.

pub mod pair_map;
