//! Dot-bracket, CT, BPSEQ and tables of structures, told apart by content.

use super::damage::{changes, codecs, damaged};
use super::{file, harness, names_its_place};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use rnaret::Result;
use rnaret::format::structure::StructureFormat;
use rnaret::format::structure_reader;
use rnaret::sequence::{InputFile, open_text};
use rnaret::structure::Structure;

/// Structures with some pairs, crossing or not; few enough for dot-bracket. Their ids differ.
fn structures() -> impl Strategy<Value = Vec<Structure>> {
    let one = ("[a-zA-Z0-9_|.:]{1,9}", 1_usize..60).prop_flat_map(|(id, length)| {
        let sequence = prop::collection::vec(prop::sample::select(b"ACGUN".to_vec()), length);
        (Just(id), sequence, prop::collection::vec((0..length, 0..length), 0..12))
    });
    let one = one.prop_map(|(id, sequence, wanted)| {
        let mut partners = vec![None; sequence.len()];
        for (i, j) in wanted {
            if i != j && partners[i].is_none() && partners[j].is_none() {
                (partners[i], partners[j]) = (Some(j), Some(i));
            }
        }
        Structure { id, sequence, partners }
    });
    prop::collection::vec(one, 0..5).prop_map(|mut structures| {
        structures.iter_mut().enumerate().for_each(|(number, structure)| structure.id.push_str(&format!("_{number}")));
        structures
    })
}

fn run(format: StructureFormat, words: &'static [&'static str]) {
    let inputs = (structures(), changes(words), codecs());
    harness::run(&format!("structures as {format:?}"), inputs, |(structures, changes, codec)| {
        let mut text = format.rows(false, false, false).map(|rows| rows.header().into_bytes()).unwrap_or_default();
        let written = structures.iter().try_for_each(|structure| format.write(&mut text, structure, None));
        written.map_err(|error| TestCaseError::fail(error.to_string()))?;
        let folder = tempfile::tempdir().expect("a folder");
        let input = file(folder.path(), &codec.compress(&damaged(text, &changes)));
        match read(&input) {
            Err(error) => {
                names_its_place(&error)?;
                prop_assert!(!changes.is_empty(), "a sound file is refused: {}", error);
            }
            Ok(found) => {
                for structure in &found {
                    prop_assert!(!structure.id.is_empty() && !structure.sequence.is_empty());
                    prop_assert_eq!(structure.sequence.len(), structure.partners.len());
                    prop_assert!(structure.sequence.iter().all(|letter| b"ACGUN".contains(letter)));
                    for (i, partner) in structure.partners.iter().enumerate() {
                        prop_assert!(partner.is_none_or(|j| j != i && structure.partners[j] == Some(i)));
                    }
                }
                prop_assert!(!changes.is_empty() || found == structures);
            }
        }
        Ok(())
    });
}

fn read(input: &InputFile) -> Result<Vec<Structure>> {
    structure_reader::read(open_text(input)?, &input.name())?.take(10_000).collect()
}

#[test]
fn dot_bracket() {
    run(
        StructureFormat::Dbn,
        &[
            "\n",
            ">",
            ">x\n",
            "(",
            ")",
            "[",
            "]",
            ".",
            "A",
            "a",
            "&",
            "+",
            " (-1.20)",
            " ",
            "#Name: x\n",
            "ENERGY = -1.0 ",
            "\r",
            "ACGU\n",
            "....\n",
            "\n(((...)))\n",
        ],
    );
}

#[test]
fn connectivity_tables() {
    run(
        StructureFormat::Ct,
        &[
            "\n",
            " ",
            "0",
            "1",
            "-1",
            "99999999999999999999",
            "A",
            "I",
            "dG = -1.0 ",
            "[initially -2] ",
            "\t",
            "#",
            "\r",
            "2 x\n",
        ],
    );
}

#[test]
fn bpseq() {
    run(
        StructureFormat::Bpseq,
        &[
            "\n",
            " ",
            "0",
            "1",
            "-1",
            "99999999999999999999",
            "A",
            "#",
            "#x\n",
            "Filename: x\n",
            "Organism: y\n",
            "\r",
            "1 A 0\n",
        ],
    );
}

#[test]
fn tables_of_structures() {
    run(StructureFormat::Tsv, &["\t", "\n", "(", ")", ".", "N", "structure", "seq", "\"", ",", ";", "&", "\r", "\0"]);
}
