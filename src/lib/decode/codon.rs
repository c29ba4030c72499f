//! The standard genetic code (NCBI translation table 1) on RNA letters.

/// Whether a codon is AUG, the one start codon that counts here.
pub fn is_start(codon: &[u8]) -> bool {
    codon == b"AUG"
}

/// Whether a codon is UAA, UAG or UGA.
pub fn is_stop(codon: &[u8]) -> bool {
    matches!(codon, b"UAA" | b"UAG" | b"UGA")
}

/// The codons of the frame that begins at `first`, each with its position; what is left at the end is no codon.
pub fn codons(sequence: &[u8], first: usize) -> impl Iterator<Item = (usize, &[u8])> + Clone {
    (first..).step_by(3).map_while(|start| Some((start, sequence.get(start..start + 3)?)))
}

/// The amino acid of a codon in one letter: `*` for a stop, `X` where a letter is N.
pub fn amino_acid(codon: &[u8]) -> u8 {
    /// First, second and third letter in the order U, C, A, G.
    const TABLE: &[u8; 64] = b"FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG";
    let place = |letter: &u8| b"UCAG".iter().position(|known| known == letter);
    let number = codon.iter().try_fold(0, |number, letter| Some(4 * number + place(letter)?));
    match number {
        Some(number) if codon.len() == 3 => TABLE[number],
        _ => b'X',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_code() {
        for (codon, letter) in [
            ("AUG", b'M'),
            ("UGG", b'W'),
            ("UUU", b'F'),
            ("GGG", b'G'),
            ("AGC", b'S'),
            ("CGA", b'R'),
            ("AUA", b'I'),
            ("UAA", b'*'),
            ("UAG", b'*'),
            ("UGA", b'*'),
            ("CUN", b'X'),
            ("NNN", b'X'),
            ("AU", b'X'),
        ] {
            assert_eq!(char::from(amino_acid(codon.as_bytes())), char::from(letter), "{codon}");
        }
        let letters = b"UCAG";
        let all =
            letters.iter().flat_map(|a| letters.iter().flat_map(move |b| letters.iter().map(move |c| [*a, *b, *c])));
        for codon in all {
            assert_eq!(amino_acid(&codon) == b'*', is_stop(&codon));
            assert_eq!(amino_acid(&codon) == b'M', is_start(&codon));
        }
    }

    #[test]
    fn an_incomplete_codon_is_none() {
        let found: Vec<_> = codons(b"AUGCCUA", 1).collect();
        assert_eq!(found, [(1, &b"UGC"[..]), (4, &b"CUA"[..])]);
        assert_eq!(codons(b"AU", 0).count(), 0);
        assert_eq!(codons(b"", 2).count(), 0);
    }
}
