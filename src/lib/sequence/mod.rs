//! Records in: reading, the alphabet, the k-mer tokenizer, masking.
pub mod tokenizer;
pub use tokenizer::Tokenizer;
