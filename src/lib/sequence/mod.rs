//! Records in: reading, the alphabet, the k-mer tokenizer, masking.
