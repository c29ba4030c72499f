//! The bidirectional retentive encoder and its heads: the GPU model library.
