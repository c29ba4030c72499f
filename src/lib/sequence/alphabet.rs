//! The alphabet: what a letter of a sequence becomes before anything else sees it.

/// Marks a byte that is left out: a line end of wrapped FASTA.
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

/// What to do with structures where sequences are wanted.
const STRUCTURES: &str =
    "give the sequences alone here (structures are read by --known-structures and rnaret-train fold)";

impl std::fmt::Display for BadLetter {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.letter {
            b'.' => {
                write!(
                    out,
                    "'.' is an alignment gap, which is to be removed, or an unpaired base of dot-bracket: {STRUCTURES}"
                )?;
            }
            b'-' | b'~' => {
                write!(out, "'{}' is an alignment gap: remove the gaps", self.letter as char)?;
            }
            b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'<' => {
                write!(out, "'{}' belongs to a structure in dot-bracket: {STRUCTURES}", self.letter as char)?;
            }
            b'&' | b'+' => write!(out, "'{}' joins two strands: give each RNA a record", self.letter as char)?,
            b' ' | b'\t' => write!(out, "white space inside the sequence: remove it")?,
            letter => write!(out, "'{}' is no nucleotide: remove or replace it", letter.escape_ascii())?,
        }
        write!(out, " (known are A, C, G, U, T and the IUPAC letters RYSWKMBDHVN)")
    }
}

/// The upper-case RNA letter (ACGUN) for a letter of a nucleotide sequence, `None` for anything that is no such letter.
pub fn rna_letter(letter: u8) -> Option<u8> {
    match NORMAL[letter as usize] {
        LINE_END | NO_NUCLEOTIDE => None,
        known => Some(known),
    }
}

/// Replaces what `out` holds by the sequence in `raw`, normalised to the letters ACGUN; line ends are left out. Returns
/// how many letters were IUPAC codes for several bases other than N.
pub fn normalise_into(raw: &[u8], out: &mut Vec<u8>) -> Result<usize, BadLetter> {
    out.clear();
    out.reserve(raw.len());
    let mut ambiguous = 0;
    let mut rest = raw;
    while !rest.is_empty() {
        let (line, after) = match memchr::memchr(b'\n', rest) {
            Some(end) => (&rest[..end], &rest[end + 1..]),
            None => (rest, &rest[rest.len()..]),
        };
        rest = after;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let start = out.len();
        out.extend(line.iter().map(|byte| common_letter(*byte)));
        if line.iter().fold(false, |other, byte| other | !is_common_letter(*byte)) {
            // Ambiguity letters, other line ends, and what is no nucleotide.
            out.truncate(start);
            for &byte in line {
                match NORMAL[byte as usize] {
                    LINE_END => {}
                    NO_NUCLEOTIDE => return Err(BadLetter { position: out.len() + 1, letter: byte }),
                    letter => {
                        ambiguous += usize::from(letter == b'N' && !byte.eq_ignore_ascii_case(&b'N'));
                        out.push(letter);
                    }
                }
            }
        }
    }
    Ok(ambiguous)
}

/// Upper case, and U for T. Meant for the letters of [`is_common_letter`], and without a table or a branch, so that many
/// are done at once.
fn common_letter(byte: u8) -> u8 {
    let upper = byte & !0x20;
    // T and U are neighbours, and the odd one is U.
    upper | (upper == b'T') as u8
}

/// Whether a byte is one of ACGUTN, upper or lower case.
fn is_common_letter(byte: u8) -> bool {
    let upper = byte & !0x20;
    (upper == b'A') | (upper == b'C') | (upper == b'G') | (upper == b'U') | (upper == b'T') | (upper == b'N')
}

/// The sequence in `raw`, normalised to the letters ACGUN; line ends are left out.
pub fn normalise(raw: &[u8]) -> Result<Vec<u8>, BadLetter> {
    let mut out = Vec::new();
    normalise_into(raw, &mut out)?;
    Ok(out)
}

/// The letters in `raw`, which [`normalise_into`] takes, with their IUPAC codes: upper case, and U for T; line ends are left out.
pub(super) fn iupac_letters(raw: &[u8]) -> Vec<u8> {
    let letters = raw.iter().filter(|byte| !matches!(byte, b'\n' | b'\r'));
    letters.map(|byte| common_letter(*byte)).collect()
}

/// The other strand, 5' to 3': the reverse complement of letters ACGU and IUPAC codes.
pub fn reverse_complement(sequence: &[u8]) -> Vec<u8> {
    let complement = |&letter: &u8| match letter {
        b'A' => b'U',
        b'C' => b'G',
        b'G' => b'C',
        b'U' => b'A',
        b'R' => b'Y',
        b'Y' => b'R',
        b'K' => b'M',
        b'M' => b'K',
        b'B' => b'V',
        b'V' => b'B',
        b'D' => b'H',
        b'H' => b'D',
        other => other,
    };
    sequence.iter().rev().map(complement).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_strand_reads_backwards() {
        assert_eq!(reverse_complement(b"AUGCCN"), b"NGGCAU");
        assert_eq!(reverse_complement(b"ARKBDSWN"), b"NWSHVMYU");
    }

    #[test]
    fn normalises_dna_case_and_ambiguity() {
        assert_eq!(normalise(b"acgtuACGTU").unwrap(), b"ACGUUACGUU");
        assert_eq!(normalise(b"RYSWKMBDHVNryswkmbdhvn").unwrap(), b"N".repeat(22));
        assert_eq!(normalise(b"AC\r\nGU\n").unwrap(), b"ACGU");
    }

    #[test]
    fn iupac_codes_are_kept_where_they_are_wanted() {
        assert_eq!(iupac_letters(b"acgtu\nRYSWKM\r\nbdhvn"), b"ACGUURYSWKMBDHVN");
    }

    #[test]
    fn counts_the_letters_that_stand_for_several_bases() {
        for (raw, ambiguous) in [(&b"ACGUNnN"[..], 0), (b"RAyN\nACGU\nNw", 3), (b"", 0)] {
            assert_eq!(normalise_into(raw, &mut Vec::new()), Ok(ambiguous), "{}", raw.escape_ascii());
        }
    }

    #[test]
    fn every_byte_means_the_same_among_common_and_other_letters() {
        for byte in 0..=255u8 {
            let alone = normalise(&[byte]);
            // The ambiguity letter sends the line another way.
            let among = normalise(&[b'R', byte]);
            match (alone, among) {
                (Ok(alone), Ok(among)) => assert_eq!([b"N", alone.as_slice()].concat(), among, "{byte}"),
                (Err(alone), Err(among)) => assert_eq!((1, 2), (alone.position, among.position), "{byte}"),
                (alone, among) => panic!("{byte}: {alone:?} {among:?}"),
            }
        }
    }

    #[test]
    fn names_the_first_bad_letter_by_its_position_in_the_sequence() {
        assert_eq!(normalise(b"AC\r\nG-U*"), Err(BadLetter { position: 4, letter: b'-' }));
        for letter in (0..=255u8).filter(|byte| !b"ACGUTRYSWKMBDHVN\r\n".contains(&byte.to_ascii_uppercase())) {
            assert_eq!(normalise(&[b'A', letter]), Err(BadLetter { position: 2, letter }));
        }
    }
}
