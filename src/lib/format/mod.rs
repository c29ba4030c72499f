//! What goes out and comes back: dot-bracket, CT, BPSEQ, BED, TSV, embeddings.

pub mod structure;
