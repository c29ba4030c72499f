//! The genetic codes of NCBI (`gc.prt`, <https://www.ncbi.nlm.nih.gov/Taxonomy/Utils/wprintgc.cgi>) on RNA letters: what
//! each codon means, and which codons begin and end a coding sequence.

use crate::{Error, Result};

/// A genetic code, and which start codons count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GeneticCode {
    table: &'static Table,
    alternative_starts: bool,
}

/// One of NCBI's tables.
#[derive(Debug, PartialEq, Eq)]
struct Table {
    number: u8,
    /// The amino acid of each codon, `*` for a stop; first, second and third letter in the order U, C, A, G.
    amino_acids: &'static [u8; 64],
    /// `M` for each codon that may begin a coding sequence, `*` for each that may end one.
    ends: &'static [u8; 64],
}

const fn table(number: u8, amino_acids: &'static [u8; 64], ends: &'static [u8; 64]) -> Table {
    Table { number, amino_acids, ends }
}

#[rustfmt::skip]
const TABLES: &[Table] = &[
    table(1, b"FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG", b"---M------**--*----M---------------M----------------------------"),
    table(2, b"FFLLSSSSYY**CCWWLLLLPPPPHHQQRRRRIIMMTTTTNNKKSS**VVVVAAAADDEEGGGG", b"----------**--------------------MMMM----------**---M------------"),
    table(3, b"FFLLSSSSYY**CCWWTTTTPPPPHHQQRRRRIIMMTTTTNNKKSSRRVVVVAAAADDEEGGGG", b"----------**----------------------MM---------------M------------"),
    table(4, b"FFLLSSSSYY**CCWWLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG", b"--MM------**-------M------------MMMM---------------M------------"),
    table(5, b"FFLLSSSSYY**CCWWLLLLPPPPHHQQRRRRIIMMTTTTNNKKSSSSVVVVAAAADDEEGGGG", b"---M------**--------------------MMMM---------------M------------"),
    table(6, b"FFLLSSSSYYQQCC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG", b"--------------*--------------------M----------------------------"),
    table(9, b"FFLLSSSSYY**CCWWLLLLPPPPHHQQRRRRIIIMTTTTNNNKSSSSVVVVAAAADDEEGGGG", b"----------**-----------------------M---------------M------------"),
    table(10, b"FFLLSSSSYY**CCCWLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG", b"----------**-----------------------M----------------------------"),
    table(11, b"FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG", b"---M------**--*----M------------MMMM---------------M------------"),
    table(12, b"FFLLSSSSYY**CC*WLLLSPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG", b"----------**--*----M---------------M----------------------------"),
    table(13, b"FFLLSSSSYY**CCWWLLLLPPPPHHQQRRRRIIMMTTTTNNKKSSGGVVVVAAAADDEEGGGG", b"---M------**----------------------MM---------------M------------"),
    table(14, b"FFLLSSSSYYY*CCWWLLLLPPPPHHQQRRRRIIIMTTTTNNNKSSSSVVVVAAAADDEEGGGG", b"-----------*-----------------------M----------------------------"),
    table(15, b"FFLLSSSSYY*QCC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG", b"----------*---*--------------------M----------------------------"),
    table(16, b"FFLLSSSSYY*LCC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG", b"----------*---*--------------------M----------------------------"),
    table(21, b"FFLLSSSSYY**CCWWLLLLPPPPHHQQRRRRIIMMTTTTNNNKSSSSVVVVAAAADDEEGGGG", b"----------**-----------------------M---------------M------------"),
    table(22, b"FFLLSS*SYY*LCC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG", b"------*---*---*--------------------M----------------------------"),
    table(23, b"FF*LSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG", b"--*-------**--*-----------------M--M---------------M------------"),
    table(24, b"FFLLSSSSYY**CCWWLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSSKVVVVAAAADDEEGGGG", b"---M------**-------M---------------M---------------M------------"),
    table(25, b"FFLLSSSSYY**CCGWLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG", b"---M------**-----------------------M---------------M------------"),
    table(26, b"FFLLSSSSYY**CC*WLLLAPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG", b"----------**--*----M---------------M----------------------------"),
    table(27, b"FFLLSSSSYYQQCCWWLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG", b"--------------*--------------------M----------------------------"),
    table(28, b"FFLLSSSSYYQQCCWWLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG", b"----------**--*--------------------M----------------------------"),
    table(29, b"FFLLSSSSYYYYCC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG", b"--------------*--------------------M----------------------------"),
    table(30, b"FFLLSSSSYYEECC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG", b"--------------*--------------------M----------------------------"),
    table(31, b"FFLLSSSSYYEECCWWLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG", b"----------**-----------------------M----------------------------"),
    table(32, b"FFLLSSSSYY*WCC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG", b"---M------*---*----M------------MMMM---------------M------------"),
    table(33, b"FFLLSSSSYYY*CCWWLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSSKVVVVAAAADDEEGGGG", b"---M-------*-------M---------------M---------------M------------"),
];

impl Default for GeneticCode {
    /// The standard code with AUG as its one start codon.
    fn default() -> Self {
        Self { table: &TABLES[0], alternative_starts: false }
    }
}

impl GeneticCode {
    /// NCBI's table `number`; with `alternative_starts` all its start codons count, otherwise AUG alone.
    ///
    /// # Errors
    /// Where NCBI has no table of this number.
    pub fn ncbi(number: u8, alternative_starts: bool) -> Result<Self> {
        let table = TABLES.iter().find(|table| table.number == number).ok_or_else(|| {
            let numbers: Vec<String> = TABLES.iter().map(|table| table.number.to_string()).collect();
            Error::Usage(format!("--genetic-code {number} is none of NCBI's tables: {}", numbers.join(", ")))
        })?;
        Ok(Self { table, alternative_starts })
    }

    /// Whether a codon begins a coding sequence.
    pub fn is_start(self, codon: &[u8]) -> bool {
        codon == b"AUG" || (self.alternative_starts && number(codon).is_some_and(|n| self.table.ends[n] == b'M'))
    }

    /// Whether a codon ends a coding sequence. A codon that is a stop in some places and an amino acid in others, as in
    /// tables 27, 28 and 31, ends it.
    pub fn is_stop(self, codon: &[u8]) -> bool {
        number(codon).is_some_and(|n| self.table.ends[n] == b'*')
    }

    /// The amino acid of a codon in one letter: `*` for a stop, `X` where a letter is N.
    pub fn amino_acid(self, codon: &[u8]) -> u8 {
        match number(codon) {
            Some(_) if self.is_stop(codon) => b'*',
            Some(n) => self.table.amino_acids[n],
            None => b'X',
        }
    }
}

/// Where a codon stands in a table; `None` where a letter is N.
fn number(codon: &[u8]) -> Option<usize> {
    let place = |letter: &u8| b"UCAG".iter().position(|known| known == letter);
    let [first, second, third] = codon else { return None };
    Some(16 * place(first)? + 4 * place(second)? + place(third)?)
}

/// The codons of the frame that begins at `first`, each with its position; what is left at the end is no codon.
pub fn codons(sequence: &[u8], first: usize) -> impl Iterator<Item = (usize, &[u8])> + Clone {
    (first..).step_by(3).map_while(|start| Some((start, sequence.get(start..start + 3)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_codons() -> impl Iterator<Item = [u8; 3]> {
        let letters = b"UCAG";
        letters.iter().flat_map(move |a| letters.iter().flat_map(move |b| letters.iter().map(move |c| [*a, *b, *c])))
    }

    #[test]
    fn the_standard_code() {
        let code = GeneticCode::default();
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
            assert_eq!(char::from(code.amino_acid(codon.as_bytes())), char::from(letter), "{codon}");
        }
        for codon in all_codons() {
            assert_eq!(code.amino_acid(&codon) == b'*', code.is_stop(&codon));
            assert_eq!(code.amino_acid(&codon) == b'M', code.is_start(&codon));
        }
    }

    #[test]
    fn other_codes_and_starts() {
        let mitochondrial = GeneticCode::ncbi(2, false).expect("a table of NCBI's");
        assert_eq!((mitochondrial.amino_acid(b"UGA"), mitochondrial.amino_acid(b"AUA")), (b'W', b'M'));
        assert!(mitochondrial.is_stop(b"AGA") && !mitochondrial.is_stop(b"UGA") && !mitochondrial.is_start(b"AUA"));
        assert!(GeneticCode::ncbi(2, true).expect("a table of NCBI's").is_start(b"AUA"));
        let bacterial = GeneticCode::ncbi(11, true).expect("a table of NCBI's");
        assert!([b"AUG", b"GUG", b"UUG"].into_iter().all(|codon| bacterial.is_start(codon)));
        assert!(!bacterial.is_start(b"GCG") && !bacterial.is_start(b"GUN"));
        let error = GeneticCode::ncbi(7, false).expect_err("no table 7").to_string();
        assert!(error.contains("--genetic-code 7") && error.contains("31, 32, 33"), "{error}");
    }

    #[test]
    fn every_table_has_starts_and_stops() {
        for table in TABLES {
            let code = GeneticCode { table, alternative_starts: true };
            assert!(all_codons().any(|codon| code.is_stop(&codon)), "table {}", table.number);
            assert!(code.is_start(b"AUG") && table.ends[number(b"AUG").expect("a codon")] == b'M');
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
