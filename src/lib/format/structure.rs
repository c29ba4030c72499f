//! The formats that structures are written in.

use std::io::{self, Write};

use super::rows::Rows;
use super::{bpseq, connectivity_table, dot_bracket, table};
use crate::structure::Structure;

/// What is said of a structure beside its pairs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Energies {
    /// Its free energy, kcal/mol.
    pub structure: f64,
    /// The free energy of all structures together, kcal/mol.
    pub ensemble: f64,
    /// How probable its pairs are on average; `None` where it has none.
    pub mean_pair_probability: Option<f64>,
    /// The part of the bases that are expected to be as in the structure: unpaired, or paired with the same base.
    pub expected_accuracy: f64,
}

/// The formats that structures are written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum StructureFormat {
    /// Three lines: >id, sequence, dot-bracket
    #[default]
    #[cfg_attr(feature = "cli", value(aliases = ["vienna", "dot-bracket", "dotbracket", "db"]))]
    Dbn,
    /// Connectivity table
    Ct,
    /// One line per base: position, base, partner
    Bpseq,
    /// One row per record: id, length, sequence, structure (dot-bracket), pairs (their number)
    Tsv,
    /// JSON Lines: an object per record with the columns of tsv
    #[cfg_attr(feature = "cli", value(alias = "jsonl"))]
    Json,
}

impl StructureFormat {
    /// The columns of the formats that are tables: with an energy for each of several structures of a record
    /// ([`StructureFormat::write_several`]), or with those of energies where asked for; `None` for the other formats.
    pub fn rows(self, several: bool, energies: bool, keep_description: bool) -> Option<Rows> {
        let header = match (several, energies) {
            (true, _) => format!("{}\tenergy", table::STRUCTURE_HEADER),
            (false, true) => format!("{}\t{}", table::STRUCTURE_HEADER, table::ENERGY_HEADER),
            (false, false) => table::STRUCTURE_HEADER.to_owned(),
        };
        matches!(self, Self::Tsv | Self::Json).then(|| Rows::new(&header, self == Self::Json, keep_description))
    }

    /// Writes several structures of one record, each with its free energy in kcal/mol where the format has a place for it: as
    /// RNAsubopt writes them in dot-bracket, and otherwise one record after the other. TSV has the columns of
    /// [`table::STRUCTURE_HEADER`] and `energy`.
    ///
    /// # Errors
    /// As [`StructureFormat::write`].
    pub fn write_several(
        self,
        output: &mut impl Write,
        record: &Structure,
        structures: &[(Vec<Option<usize>>, f64)],
    ) -> io::Result<()> {
        if self == Self::Dbn {
            writeln!(output, ">{}", record.id)?;
            output.write_all(&record.sequence)?;
            output.write_all(b"\n")?;
        }
        for (partners, energy) in structures {
            let structure = Structure { partners: partners.clone(), ..record.clone() };
            match self {
                Self::Dbn => dot_bracket::write_line(output, &structure, Some(*energy))?,
                Self::Tsv | Self::Json => table::write_structure_with_energy(output, &structure, *energy)?,
                Self::Ct | Self::Bpseq => self.write(output, &structure, None)?,
            }
        }
        Ok(())
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
            // Rows of a table, of which `rows` makes objects.
            Self::Tsv | Self::Json => table::write_structure(output, structure, energies),
        }
    }
}
