//! The alphabet: what a letter of a sequence becomes before anything else sees it.

/// Marks a byte that is left out: the line ends of wrapped FASTA.
const LINE_END: u8 = 0x01;
/// Marks a byte that is no nucleotide.
const NO_NUCLEOTIDE: u8 = 0xFF;

/// T is U, lower case is upper case, IUPAC ambiguity letters (RYSWKMBDHVN) are N.
const NORMAL: [u8; 256] = {
    let mut table = [NO_NUCLEOTIDE; 256];
    table[b'\n' as usize] = LINE_END;
    table[b'\r' as usize] = LINE_END;
    let from = *b"ACGUTRYSWKMBDHVN";
    let to = *b"ACGUUNNNNNNNNNNN";
    let mut letter = 0;
    while letter < from.len() {
        table[from[letter] as usize] = to[letter];
        table[from[letter].to_ascii_lowercase() as usize] = to[letter];
        letter += 1;
    }
    table
};

/// A letter that stands for no nucleotide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadLetter {
    /// 1-based position in the sequence; line ends do not count.
    pub position: usize,
    /// The byte as it was read.
    pub letter: u8,
}

impl std::fmt::Display for BadLetter {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.letter {
            b'-' | b'.' | b'~' => {
                write!(out, "'{}' is an alignment gap: remove the gaps", self.letter as char)?;
            }
            b' ' | b'\t' => write!(out, "white space inside the sequence: remove it")?,
            letter => write!(out, "'{}' is no nucleotide: remove or replace it", letter.escape_ascii())?,
        }
        write!(out, " (known are A, C, G, U, T and the IUPAC letters RYSWKMBDHVN)")
    }
}

/// Replaces what `out` holds by the sequence in `raw`, normalised to the letters ACGUN; line ends are left out.
pub fn normalise_into(raw: &[u8], out: &mut Vec<u8>) -> Result<(), BadLetter> {
    out.clear();
    out.resize(raw.len(), 0);
    let mut length = 0;
    let mut bad = false;
    // No branch per letter: line ends are written and then overwritten.
    for &byte in raw {
        let letter = NORMAL[byte as usize];
        out[length] = letter;
        length += (letter != LINE_END) as usize;
        bad |= letter == NO_NUCLEOTIDE;
    }
    out.truncate(length);
    if !bad {
        return Ok(());
    }
    let letters = raw.iter().filter(|&&byte| NORMAL[byte as usize] != LINE_END);
    match letters.enumerate().find(|(_, byte)| NORMAL[**byte as usize] == NO_NUCLEOTIDE) {
        Some((index, &letter)) => Err(BadLetter { position: index + 1, letter }),
        None => Ok(()),
    }
}

/// The sequence in `raw`, normalised to the letters ACGUN; line ends are left out.
pub fn normalise(raw: &[u8]) -> Result<Vec<u8>, BadLetter> {
    let mut out = Vec::new();
    normalise_into(raw, &mut out)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalises_dna_case_and_ambiguity() {
        assert_eq!(normalise(b"acgtuACGTU").unwrap(), b"ACGUUACGUU");
        assert_eq!(normalise(b"RYSWKMBDHVNryswkmbdhvn").unwrap(), b"N".repeat(22));
        assert_eq!(normalise(b"AC\r\nGU\n").unwrap(), b"ACGU");
    }

    #[test]
    fn names_the_first_bad_letter_by_its_position_in_the_sequence() {
        assert_eq!(normalise(b"AC\r\nG-U*"), Err(BadLetter { position: 4, letter: b'-' }));
        for letter in (0..=255u8).filter(|byte| !b"ACGUTRYSWKMBDHVN\r\n".contains(&byte.to_ascii_uppercase())) {
            assert_eq!(normalise(&[b'A', letter]), Err(BadLetter { position: 2, letter }));
        }
    }
}
