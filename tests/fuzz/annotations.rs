//! BED, BED12, GFF3 and GTF.

use super::damage::{changes, codecs, damaged};
use super::{file, harness, names_its_place};
use proptest::prelude::*;
use rnaret::format::annotation::Annotation;
use rnaret::sequence::open_text;

const WORDS: &[&str] = &[
    "\t",
    "\n",
    "\r",
    "track ",
    "browser",
    "#",
    "##FASTA\n",
    ">",
    "+",
    "-",
    ".",
    "0",
    "1",
    "-1",
    "99999999999999999999",
    "CDS",
    "stop_codon",
    "ID=",
    "Parent=x",
    ";",
    "=",
    "%20",
    "%",
    "transcript_id \"t\"",
    "\"",
    "\\",
    "gene_id",
    ",",
    "|",
    "\0",
];

#[test]
fn annotations() {
    let row = ("[!-~\u{b5}]{1,8}", 0_usize..500, 1_usize..300, 0_usize..3);
    let inputs = (prop::collection::btree_map(row.0, (row.1, row.2, row.3), 0..8), 0..4, changes(WORDS), codecs());
    harness::run("annotations", inputs, |(rows, format, changes, codec)| {
        let mut text = if format == 2 { "##gff-version 3\n".to_owned() } else { String::new() };
        for (id, (start, length, phase)) in &rows {
            let (first, end) = (start + 1, start + length);
            let escaped: String = id.bytes().map(|byte| format!("%{byte:02X}")).collect();
            text.push_str(&match format {
                0 => format!("{id}\t{start}\t{end}\tx\t0\t+\n"),
                1 => format!("{id}\t0\t900\tx\t0\t+\t{start}\t{end}\t0\t1\t900,\t0,\n"),
                2 => format!("{escaped}\tx\tCDS\t{first}\t{end}\t.\t+\t{phase}\tID={escaped}.cds;Parent={escaped}\n"),
                _ => format!("x{id}\tx\tCDS\t{first}\t{end}\t.\t+\t{phase}\tgene_id \"g\"; transcript_id \"x\";\n"),
            });
        }
        let folder = tempfile::tempdir().expect("a folder");
        let input = file(folder.path(), &codec.compress(&damaged(text.into_bytes(), &changes)));
        match open_text(&input).and_then(|text| Annotation::read(text, &input.name())) {
            Err(error) => {
                names_its_place(&error)?;
                prop_assert!(!changes.is_empty(), "a sound file is refused: {}", error);
            }
            Ok(annotation) => {
                if let Err(error) = annotation.check_used() {
                    names_its_place(&error)?;
                }
                for name in annotation.transcripts() {
                    prop_assert!(annotation.cds(name).is_none_or(|cds| cds.start < cds.end));
                }
                for (id, (start, length, _)) in rows.iter().filter(|_| changes.is_empty()) {
                    let id = if format == 3 { format!("x{id}") } else { id.clone() };
                    prop_assert_eq!(annotation.cds(&id), Some(*start..start + length));
                }
            }
        }
        Ok(())
    });
}
