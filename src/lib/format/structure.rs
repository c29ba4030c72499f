//! A secondary structure: who pairs with whom.

use std::io::{self, Write};

use super::{bpseq, connectivity_table, dot_bracket, table};

/// A nucleotide sequence and the pairing partner of each of its bases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure {
    /// The record's id, without description.
    pub id: String,
    /// Upper-case RNA letters (ACGUN).
    pub sequence: Vec<u8>,
    /// 0-based partner of each base; symmetric, at most one partner per base. Same length as `sequence`.
    pub partners: Vec<Option<usize>>,
}

impl Structure {
    /// Number of bases.
    pub fn length(&self) -> usize {
        self.sequence.len()
    }

    /// The pairs (i, j), i < j, 0-based, in the order of i.
    pub fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        pairs(&self.partners)
    }

    /// Whether no two pairs cross.
    pub fn is_nested(&self) -> bool {
        let mut open = Vec::new();
        self.partners.iter().enumerate().all(|(base, partner)| match partner {
            Some(partner) if *partner > base => {
                open.push(*partner);
                true
            }
            Some(_) => open.pop() == Some(base),
            None => true,
        })
    }
}

/// The pairs (i, j), i < j, 0-based, in the order of i.
pub fn pairs(partners: &[Option<usize>]) -> impl Iterator<Item = (usize, usize)> + '_ {
    partners.iter().enumerate().filter_map(|(i, partner)| partner.filter(|&j| j > i).map(|j| (i, j)))
}

/// What is said of a structure beside its pairs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Energies {
    /// Its free energy, kcal/mol.
    pub structure: f64,
    /// The free energy of all structures together, kcal/mol.
    pub ensemble: f64,
    /// How probable its pairs are on average; `None` where it has none.
    pub mean_pair_probability: Option<f64>,
}

/// The formats that structures are written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum StructureFormat {
    /// Three lines: >id, sequence, dot-bracket
    #[default]
    Dbn,
    /// Connectivity table
    Ct,
    /// One line per base: position, base, partner
    Bpseq,
    /// One row per record: id, length, sequence, structure (dot-bracket), pairs (their number)
    Tsv,
}

impl StructureFormat {
    /// Writes what stands before the first record: the header row of TSV, with the columns of energies where asked for;
    /// nothing in the other formats.
    pub fn write_header(self, output: &mut impl Write, energies: bool) -> io::Result<()> {
        match self {
            Self::Tsv if energies => writeln!(output, "{}\t{}", table::STRUCTURE_HEADER, table::ENERGY_HEADER),
            Self::Tsv => writeln!(output, "{}", table::STRUCTURE_HEADER),
            Self::Dbn | Self::Ct | Self::Bpseq => Ok(()),
        }
    }

    /// Writes one record, with its energies where the format has a place for them: after the structure in dot-bracket, as
    /// RNAfold writes them, in columns of TSV.
    ///
    /// # Errors
    /// Those of the output, and [`io::ErrorKind::InvalidInput`] for a structure that dot-bracket cannot hold.
    pub fn write(self, output: &mut impl Write, structure: &Structure, energies: Option<&Energies>) -> io::Result<()> {
        match self {
            Self::Dbn => dot_bracket::write_with_energy(output, structure, energies.map(|energies| energies.structure)),
            Self::Ct => connectivity_table::write(output, structure),
            Self::Bpseq => bpseq::write(output, structure),
            Self::Tsv => table::write_structure(output, structure, energies),
        }
    }
}

/// An upper-case RNA letter for a letter of a nucleotide sequence: T is U, IUPAC ambiguity letters are N. `None` for
/// anything that is no such letter.
pub(super) fn rna_letter(letter: u8) -> Option<u8> {
    match letter.to_ascii_uppercase() {
        known @ (b'A' | b'C' | b'G' | b'U') => Some(known),
        b'T' => Some(b'U'),
        b'N' | b'R' | b'Y' | b'S' | b'W' | b'K' | b'M' | b'B' | b'D' | b'H' | b'V' => Some(b'N'),
        _ => None,
    }
}
