//! Which letters pair.

/// True for AU, GC and GU in either order (upper-case RNA letters).
pub fn is_canonical(a: u8, b: u8) -> bool {
    matches!((a, b), (b'A', b'U') | (b'U', b'A') | (b'G', b'C') | (b'C', b'G') | (b'G', b'U') | (b'U', b'G'))
}

/// Whether the letter is a nucleotide that is known, not N.
pub(crate) fn is_nucleotide(letter: u8) -> bool {
    matches!(letter, b'A' | b'C' | b'G' | b'U')
}
