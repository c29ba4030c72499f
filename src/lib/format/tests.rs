//! Round trips of every structure format, what its readers tolerate and how they refuse; BED through noodles.

use std::sync::Arc;

use proptest::prelude::*;

use super::{
    bed, bpseq, connectivity_table,
    dot_bracket::{self, bracket_kinds, parse_structure_line, structure_line},
    site_drawing,
    structure::StructureFormat,
    structure_reader, structure_table, table,
};
use crate::{
    Error, Result,
    decode::{
        coding::CdsWindow,
        reading_frame::ReadingFrame,
        target_site::{SeedMatch, SeedType},
        target_summary::TargetSummary,
    },
    predict::{
        coding::CodingPrediction,
        mirtarget::{Affinity, MirnaSummary, Site, SitePrediction, TargetStrand},
    },
    sequence::{Doubt, Record, Strand},
    structure::{Candidate, Structure, pairs},
    thermodynamics::BestDuplex,
};

const FORMATS: [StructureFormat; 4] =
    [StructureFormat::Dbn, StructureFormat::Ct, StructureFormat::Bpseq, StructureFormat::Tsv];

/// A structure from its dot-bracket line.
fn structure(id: &str, sequence: &str, line: &str) -> Structure {
    let partners = parse_structure_line(line.as_bytes()).unwrap();
    Structure { id: id.to_owned(), sequence: sequence.as_bytes().to_vec(), partners }
}

fn written(format: StructureFormat, structures: &[Structure]) -> Vec<u8> {
    let mut text = format.rows(false, false, false).map(|rows| rows.header().into_bytes()).unwrap_or_default();
    for structure in structures {
        format.write(&mut text, structure, None).unwrap();
    }
    text
}

fn text(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> String {
    let mut text = Vec::new();
    write(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

fn read_with(format: StructureFormat, text: &[u8]) -> Result<Vec<Structure>> {
    match format {
        StructureFormat::Dbn => dot_bracket::Reader::new(text, "x.dbn").collect(),
        StructureFormat::Ct => connectivity_table::Reader::new(text, "x.ct").collect(),
        StructureFormat::Bpseq => bpseq::Reader::new(text, "x.bpseq").collect(),
        StructureFormat::Json => panic!("no reader of ours"),
        StructureFormat::Tsv => structure_table::Reader::new(text, "x.tsv")?.map(|row| Ok(row?.0)).collect(),
    }
}

fn read_any(text: &[u8]) -> Result<Vec<Structure>> {
    structure_reader::read(text, "some/folder/file.txt")?.collect()
}

/// The message of the error that reading ends with.
fn refusal(format: StructureFormat, text: &str) -> String {
    let error = read_with(format, text.as_bytes()).unwrap_err();
    assert!(matches!(error, Error::Input { .. }));
    error.to_string()
}

/// Structures of any shape: nested, knotted, empty. At most 30 pairs, so that there are always enough brackets.
fn structures() -> impl Strategy<Value = Vec<Structure>> {
    let ids =
        "[!-~]{1,12}".prop_filter("no markers of comments", |id| !id.starts_with(['#', '>']) && !id.ends_with(':'));
    let one = (ids, 1_usize..80).prop_flat_map(|(id, length)| {
        let sequence = proptest::collection::vec(proptest::sample::select(b"ACGUN".to_vec()), length);
        let pairs = proptest::collection::vec((0..length, 0..length), 0..30);
        (Just(id), sequence, pairs)
    });
    let one = one.prop_map(|(id, sequence, wanted)| {
        let mut partners = vec![None; sequence.len()];
        for (i, j) in wanted {
            if i != j && partners[i].is_none() && partners[j].is_none() {
                partners[i] = Some(j);
                partners[j] = Some(i);
            }
        }
        Structure { id, sequence, partners }
    });
    proptest::collection::vec(one, 1..5)
}

fn crosses((i, j): (usize, usize), (k, l): (usize, usize)) -> bool {
    (i < k && k < j && j < l) || (k < i && i < l && l < j)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn every_format_gives_back_what_was_written(structures in structures()) {
        for format in FORMATS {
            let text = written(format, &structures);
            prop_assert_eq!(&read_with(format, &text).unwrap(), &structures, "{:?}", format);
            prop_assert_eq!(&read_any(&text).unwrap(), &structures, "{:?}, told by content", format);
            // Line ends of Windows, and no end after the last line.
            let windows = String::from_utf8(text).unwrap().replace('\n', "\r\n");
            prop_assert_eq!(&read_any(windows.trim_end().as_bytes()).unwrap(), &structures, "{:?}, CRLF", format);
        }
    }

    #[test]
    fn brackets_of_one_kind_are_nested_and_first_fit(structures in structures()) {
        for structure in structures {
            let kinds: Vec<_> = structure.pairs().zip(bracket_kinds(&structure.partners)).collect();
            for (index, &(pair, kind)) in kinds.iter().enumerate() {
                // The definition: the first kind in which the pair crosses none of those before it.
                let fits = |kind| kinds[..index].iter().all(|&(other, of)| of != kind || !crosses(pair, other));
                prop_assert_eq!(Some(kind), (0..).find(|&kind| fits(kind)));
            }
            let nested = kinds.iter().all(|&(_, kind)| kind == 0);
            prop_assert_eq!(structure.is_nested(), nested);
        }
    }

    #[test]
    fn readers_refuse_or_read_but_never_panic(text in "[>#(). \\t\\n\\rACGU0-9a-d\\[\\]{}=:é-]{0,80}") {
        for format in FORMATS {
            let _ = read_with(format, text.as_bytes());
        }
        let _ = read_any(text.as_bytes());
    }

    #[test]
    fn readers_refuse_or_read_damaged_files(structures in structures(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        for format in FORMATS {
            let mut text = written(format, &structures);
            let at = at.index(text.len());
            text[at] = byte;
            for structures in [read_with(format, &text), read_any(&text), read_with(format, &text[..at])].into_iter().flatten() {
                for structure in structures {
                    prop_assert_eq!(structure.sequence.len(), structure.partners.len());
                    for (i, partner) in structure.partners.iter().enumerate() {
                        prop_assert!(partner.is_none_or(|j| j != i && structure.partners[j] == Some(i)));
                    }
                }
            }
        }
    }
}

#[test]
fn what_the_formats_look_like() {
    let knot = structure("knot", "GGGAAACCCNU", "((.[.))..].");
    let plain = structure("plain", "AC", "..");
    let both = [knot, plain];
    let text = |format| String::from_utf8(written(format, &both)).unwrap();
    assert_eq!(text(StructureFormat::Dbn), ">knot\nGGGAAACCCNU\n((.[.))..].\n>plain\nAC\n..\n");
    assert_eq!(
        text(StructureFormat::Ct),
        "11 knot\n1 G 0 2 7 1\n2 G 1 3 6 2\n3 G 2 4 0 3\n4 A 3 5 10 4\n5 A 4 6 0 5\n6 A 5 7 2 6\n7 C 6 8 1 7\n\
         8 C 7 9 0 8\n9 C 8 10 0 9\n10 N 9 11 4 10\n11 U 10 0 0 11\n2 plain\n1 A 0 2 0 1\n2 C 1 0 0 2\n"
    );
    assert_eq!(
        text(StructureFormat::Bpseq),
        "#knot\n1 G 7\n2 G 6\n3 G 0\n4 A 10\n5 A 0\n6 A 2\n7 C 1\n8 C 0\n9 C 0\n10 N 4\n11 U 0\n#plain\n1 A 0\n2 C 0\n"
    );
    assert_eq!(
        text(StructureFormat::Tsv),
        "id\tlength\tsequence\tstructure\tpairs\nknot\t11\tGGGAAACCCNU\t((.[.))..].\t3\nplain\t2\tAC\t..\t0\n"
    );
}

#[test]
fn every_kind_of_brackets_is_used_and_one_more_is_an_error() {
    // n pairs that all cross each other: i with i + n.
    let crossing = |n: usize| (0..2 * n).map(|base| Some((base + n) % (2 * n))).collect::<Vec<_>>();
    let line = structure_line("x", &crossing(30)).unwrap();
    assert_eq!(line, b"([{<ABCDEFGHIJKLMNOPQRSTUVWXYZ)]}>abcdefghijklmnopqrstuvwxyz");
    assert_eq!(parse_structure_line(&line).unwrap(), crossing(30));

    let error = structure_line("knotted", &crossing(31)).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    let message = error.to_string();
    assert!(["knotted", "31", "30", "CT", "BPSEQ"].iter().all(|word| message.contains(word)), "{message}");

    let structure = Structure { id: "knotted".to_owned(), sequence: vec![b'A'; 62], partners: crossing(31) };
    for format in [StructureFormat::Ct, StructureFormat::Bpseq] {
        let text = written(format, std::slice::from_ref(&structure));
        assert_eq!(read_with(format, &text).unwrap(), std::slice::from_ref(&structure));
    }
}

#[test]
fn pairs_are_those_with_the_smaller_base_first() {
    let partners = [Some(3), None, Some(4), Some(0), Some(2)];
    assert_eq!(pairs(&partners).collect::<Vec<_>>(), [(0, 3), (2, 4)]);
}

#[test]
fn dot_bracket_as_other_programs_write_it() {
    let read = |text: &str| read_with(StructureFormat::Dbn, text.as_bytes()).unwrap();
    // RNAfold: a description, an energy with and without a blank inside; T, lower case and ambiguity letters.
    let expected = [structure("a", "GGGAAAUCCN", "(((....)))"), structure("b", "AC", "..")];
    assert_eq!(read(">a some words\nGGGAAATccR\n(((....))) ( -3.40)\n\n>b\nAC\n.. (0.00)\n"), expected);
    // Wrapped lines.
    assert_eq!(read(">a\nGGGAA\nAUCCN\n(((..\n..)))\n>b\nA\nC\n..\n"), expected);
    // bpRNA: comments, the first of which holds the name.
    assert_eq!(
        read("#Name: a\n#Length:  10\n#PageNumber: 1\nGGGAAAUCCN\n(((....)))\n#Name: b\n#Length: 2\nAC\n..\n"),
        expected
    );
    let bprna = "#Name: a\n#Length:  10\nGGGAAAUCCN\n(((....)))\n";
    assert_eq!(read_any(bprna.as_bytes()).unwrap(), expected[..1]);
    // Titles with energies.
    let titled = ">ENERGY = -5.3  a\nGGGAAAUCCN\n(((....)))\n>dG = -4.1 [initially -5.0] b\nAC\n..\n";
    assert_eq!(read(titled), expected);
    // RNAfold -p, and RNAsubopt: the first structure counts.
    let ensemble =
        "(((....))) ( -3.40)\n{((....)}, [ -3.52]\n((......)) { -3.30 d=0.93}\n((......)) { -3.30 MEA=8.9}\n";
    let remark = " frequency of mfe structure in ensemble 0.81; ensemble diversity 1.20\n";
    assert_eq!(read(&format!(">a\nGGGAAAUCCN\n{ensemble}{remark}>b\nAC\n..\n")), expected);
    assert_eq!(read(">a [100]\nGGGAAAUCCN   -3.40   1.00\n(((....)))  -3.40\n.((....)).  -3.10\n"), expected[..1]);
    // bpRNA's .st files: more lines about the structure.
    let st = "#Name: a\n#Length: 10\nGGGAAAUCCN\n(((....)))\nSSSHHHHSSS\nNNNNNNNNNN\nS1 1..3 \"GGG\" 8..10 \"CCN\"\n";
    assert_eq!(read(st), expected[..1]);
    // Letters alone are a structure where one must follow.
    assert_eq!(read(">a\nGGGGCCCC\nAAAAaaaa\n"), [structure("a", "GGGGCCCC", "(((())))")]);
    assert_eq!(read(">a\nGGGG\nCCCC\nAAAA\naaaa (-1.20)\n"), [structure("a", "GGGGCCCC", "(((())))")]);
    assert_eq!(read(">a\nGc\nAa\nGCaA\n........\n"), [structure("a", "GCAAGCAA", "........")]);
    // Other marks for unpaired bases, brackets in another order than ours.
    assert_eq!(read(">a\nGGGAAAUCCN\n<<<-_:,>>>\n"), [structure("a", "GGGAAAUCCN", "(((....)))")]);
    // A header without an id.
    assert_eq!(read(">\nAC\n..\n")[0].id, "x");
    assert!(read("").is_empty());
    assert!(read("\n\n").is_empty());
}

#[test]
fn connectivity_tables_as_other_programs_write_them() {
    let rows = " 1 G 0 2 5 1\n    2 g   1  3  0  2\n 3\tN\t2\t4\t0\t3\n4 a 3 5 0 4\n5 T 4 0 1 5\n";
    for (header, id) in [
        ("5 name", "name"),
        ("    5   name and more", "name"),
        ("5 ENERGY = -3.4  name", "name"),
        ("  5\tENERGY = -3.4\tname", "name"),
        ("5 dG = -3.40 [initially -3.5] ", "x"),
        ("5 dG = -3.40 [initially -3.5] name", "name"),
        ("5 Energy: -3.4 name", "name"),
        ("5  dG=-3.4 name", "name"),
        ("5 ENERGY = name", "name"),
        ("5 dG=-3.4", "dG=-3.4"),
        ("5", "x"),
        ("5 ENERGY = -3.4", "x"),
    ] {
        let text = format!("# comment\n{header}\n{rows}\n");
        assert_eq!(
            read_with(StructureFormat::Ct, text.as_bytes()).unwrap(),
            [structure(id, "GGNAU", "(...)")],
            "{header}"
        );
        assert_eq!(read_any(text.as_bytes()).unwrap().len(), 1, "{header}");
    }
    // Suboptimal structures of one RNA: the first, which is the best, counts.
    let other = rows.replace("2 5 1", "2 0 1").replace("0 1 5", "0 0 5");
    let several = format!("5 dG = -3.4 a\n{rows}5 dG = -3.1 a\n{other}5 dG = -3.4 b\n{rows}");
    let expected = [structure("a", "GGNAU", "(...)"), structure("b", "GGNAU", "(...)")];
    assert_eq!(read_any(several.as_bytes()).unwrap(), expected);
    // Records without ids are numbered after the file.
    let text = format!("5\n{rows}5\n{rows}");
    let ids: Vec<String> = read_any(text.as_bytes()).unwrap().into_iter().map(|structure| structure.id).collect();
    assert_eq!(ids, ["file", "file_2"]);
}

#[test]
fn bpseq_as_other_programs_write_it() {
    let rows = "1 G 5\n2 g 0\n3 N 0\n 4  a  0\n5 T 1\n";
    for (header, id) in [
        ("", "x"),
        ("#name\n", "name"),
        ("# name of something\n#another\n", "name"),
        ("#Name: bpRNA_1\n#Length: 5\n", "bpRNA_1"),
        ("Filename: d.5.b.bpseq\nOrganism: E. coli\nAccession Number: J01695\n", "d.5.b.bpseq"),
        ("Filename: d.5.b.bpseq Organism: E. coli Accession Number: J01695\n", "d.5.b.bpseq"),
        ("Organism: E. coli\nFilename: d.5.b.bpseq\nCitation and related information available at x\n", "d.5.b.bpseq"),
        ("# File PDB_00001.bpseq\n# RNA SSTRAND database\n", "PDB_00001.bpseq"),
    ] {
        let text = format!("{header}{rows}");
        let expected = [structure(id, "GGNAU", "(...)")];
        assert_eq!(read_with(StructureFormat::Bpseq, text.as_bytes()).unwrap(), expected, "{header}");
        assert_eq!(read_any(text.as_bytes()).unwrap().len(), 1, "{header}");
    }
    // Without comments a record begins where positions do.
    let two = read_any(format!("{rows}{rows}#the end\n").as_bytes()).unwrap();
    assert_eq!(two.iter().map(|structure| structure.id.as_str()).collect::<Vec<_>>(), ["file", "file_2"]);
}

/// The files in testdata/structures/programs.
#[test]
fn files_of_other_programs() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/structures/programs");
    for (file, ids) in [
        ("mfold.ct", &["hairpin", "second"][..]),
        ("UNAFold.ct", &["hairpin"]),
        ("RNAstructure.ct", &["hairpin"]),
        ("RNAstructure.dbn", &["hairpin", "second"]),
        ("b2ct.ct", &["hairpin"]),
        ("RNAfold-p.dbn", &["hairpin", "open"]),
        ("RNAsubopt.dbn", &["hairpin"]),
        ("bpRNA.dbn", &["bpRNA_CRW_1"]),
        ("bpRNA.st", &["bpRNA_CRW_1"]),
        ("CRW.bpseq", &["d.5.b.E.coli.bpseq"]),
        ("STRAND.bpseq", &["PDB_00001.bpseq"]),
    ] {
        let structures = read_any(&std::fs::read(format!("{folder}/{file}")).unwrap()).expect(file);
        assert_eq!(structures.iter().map(|structure| structure.id.as_str()).collect::<Vec<_>>(), ids, "{file}");
        let pairs: Vec<_> = structures[0].pairs().collect();
        assert_eq!(
            (structures[0].sequence.as_slice(), pairs),
            (&b"GGGGAAAACCCC"[..], vec![(0, 11), (1, 10), (2, 9), (3, 8)]),
            "{file}"
        );
    }
}

#[test]
fn tables_with_other_columns_are_read_by_name() {
    let text = "family\tseq\tid\tdotbracket\nx\tGGAAATCC\ta 1\t((....))\n\ny\tAC\tb\t..\n";
    let expected = [structure("a", "GGAAAUCC", "((....))"), structure("b", "AC", "..")];
    assert_eq!(read_any(text.as_bytes()).unwrap(), expected);
    assert_eq!(read_any(b"sequence\tstructure\nAC\t..\n").unwrap(), [structure("file", "AC", "..")]);
}

#[test]
fn refusals_say_where_and_what() {
    use StructureFormat::{Bpseq, Ct, Dbn, Tsv};
    for (format, text, parts) in [
        (
            Dbn,
            ">a\nGGAACC\n((..))\n>b\nGGAACC\n((..)\n",
            &["x.dbn", "record 2 (b)", "line 6", "5 characters", "6 bases"][..],
        ),
        (Dbn, ">a\nGGAACC\n((..))..\n", &["record 1 (a)", "line 3", "8 characters"]),
        (Dbn, ">a\nGGAACC\n(...))\n", &["line 3", "position 6", "`)` closes nothing"]),
        (Dbn, ">a\nGGAACC\n[(..))\n", &["position 6"]),
        (Dbn, ">a\nGGAACC\n((...)\n", &["position 1", "never closed"]),
        (Dbn, ">a\nGGAACC\n((.?))\n", &["position 4", "`?`"]),
        (Dbn, ">a\nGGAJCC\n((..))\n", &["line 2", "position 4", "`J`"]),
        (Dbn, ">a\nGGAACC\n>b\nAC\n..\n", &["record 1 (a)", "0 characters"]),
        (Dbn, ">a\n", &["record 1 (a)", "no sequence"]),
        (Dbn, "GGAACC\n((..))\n", &["x.dbn", "line 1", "`>`"]),
        (Ct, "3 a\n1 G 0 2 0 1\n2 G 1 3 0 2\n", &["x.ct", "record 1 (a)", "line 3", "ends after 2 of 3"]),
        (Ct, "2 a\n1 G 0 2 2 1\n2 G 1 0 0 2\n", &["position 1 is paired with 2", "paired with 0"]),
        (Ct, "1 a\n1 G 0 0 7 1\n", &["paired with 7", "1 bases"]),
        (Ct, "1 a\n1 G 0 0 1 1\n", &["line 2", "itself"]),
        (Ct, "2 a\n1 G 0 2 0 1\n3 G 1 0 0 3\n", &["line 3", "position 3", "2 was expected"]),
        (Ct, "1 a\n1 G 0\n", &["line 2", "expected"]),
        (Ct, "name first\n", &["line 1", "header"]),
        (Ct, "0 a\n", &["no bases"]),
        (Bpseq, "#a\n1 G 2\n2 C 1\n#b\n1 G 0\n2 X 0\n", &["x.bpseq", "record 2 (b)", "line 6", "`X`"]),
        (Bpseq, "#a\n1 G -1\n", &["line 2", "`-1`"]),
        (Bpseq, "#a\n1 G 0 0\n", &["line 2", "expected"]),
        (Bpseq, "#a\n2 G 0\n", &["position 2", "1 was expected"]),
        (Tsv, "id\tsequence\tstructure\na\tGGAACC\n", &["x.tsv", "line 2 (a)", "2 columns", "has 3"]),
        (Tsv, "id\tsequence\n", &["a column structure or dotbracket", "is needed"]),
        (Tsv, "id,sequence,structure\na,AC,..\n", &["parted by commas"]),
        (Tsv, "id\tsequence\tstructure\na\tGG&CC\t((&))\n", &["line 2 (a)", "position 3", "two strands"]),
        (Dbn, ">a\nGG&CC\n((&))\n", &["record 1 (a)", "line 2", "two strands"]),
        (Dbn, ">a\nGGAACC\n((..))\n(((...)))\n", &["line 4", "follows a whole structure"]),
        (Ct, "4 a\n1 G 0 2 4 1\n2 C 1 0 3 2\n3 G 0 4 2 1\n4 C 3 0 1 2\n", &["line 3", "nick between bases 2 and 3"]),
        (Ct, "4 a\n1 G 0 2 4 1\n2 C 1 3 3 2\n3 G 0 4 2 1\n4 C 3 0 1 2\n", &["line 4", "nick between bases 2 and 3"]),
        (Ct, "2 a\n1 G 0 2 0 1\n2 I 1 0 0 2\n", &["line 3", "`I` links two strands"]),
        (Tsv, "id\tsequence\tstructure\na\tGC\t.\n", &["1 characters", "2 bases"]),
    ] {
        let message = refusal(format, text);
        assert!(parts.iter().all(|part| message.contains(part)), "{text:?}: {message}");
    }
    let message = read_any(b"what is this\n").unwrap_err().to_string();
    assert!(message.contains("some/folder/file.txt") && message.contains("dot-bracket"), "{message}");
    assert!(read_any(b"").unwrap().is_empty());
}

#[test]
fn a_reader_stops_at_its_first_error() {
    let mut reader = dot_bracket::Reader::new(&b">a\nAC\n.\n>b\nAC\n..\n"[..], "x");
    assert!(reader.next().is_some_and(|record| record.is_err()));
    assert!(reader.next().is_none());
}

/// A site on the reverse strand of a target of 50 bases, and what is said of it.
fn site() -> (Site, SitePrediction) {
    let target = TargetStrand {
        id: "t".into(),
        description: String::new(),
        strand: Strand::Reverse,
        sequence: [b"GGGGCU", &[b'A'; 44][..]].concat(),
    };
    let mirna = Record { id: "let-7a".into(), sequence: b"UAG".to_vec(), ..Record::default() };
    let seed = SeedMatch { seed_type: SeedType::SevenMerM8, anchor: 14 };
    let site = Site { mirna: Arc::new(mirna), target: Arc::new(target), window: 4..44, seed: Some(seed) };
    let duplex = BestDuplex { energy: -12.35, pairs: vec![(1, 1), (2, 0)] };
    let affinity = Affinity { probability: 0.5, percentile: Some(98.5) };
    (site, SitePrediction { affinity, duplex: Some(duplex) })
}

#[test]
fn rows_of_the_tables() {
    let pair = Candidate { i: 0, j: 9, probability: 0.123_456_79 };
    assert_eq!(text(|output| table::write_pair(output, "a", &pair)), "a\t1\t10\t0.123457\n");
    let frame = ReadingFrame { start: 0, end: 75, phase: 2, has_start: false, has_stop: true, mean_probability: 0.5 };
    let prediction = CodingPrediction {
        strand: Strand::Reverse,
        sequence: vec![b'A'; 300],
        stretches: Vec::new(),
        doubt: None,
        probabilities: vec![0.5; 300],
        potential: Some(1.0 / 3.0),
        windows: Vec::new(),
        frames: vec![frame],
        coding_sequences: Vec::new(),
    };
    let row = text(|output| table::write_coding(output, "a", 300, 0.5, &prediction));
    assert_eq!(row, "a\t300\t0.333333\tlncRNA\tnone\t-\t225\t300\t75\t0.25\n");
    let prediction = CodingPrediction { coding_sequences: vec![frame], ..prediction };
    let row = text(|output| table::write_coding(output, "a", 300, 0.25, &prediction));
    assert_eq!(row, "a\t300\t0.333333\tmRNA\t5_prime_cut\t-\t225\t300\t75\t0.25\n");
    let short = CodingPrediction { doubt: Some(Doubt::TooShort), ..prediction.clone() };
    let row = text(|output| table::write_coding(output, "a", 300, 0.25, &short));
    assert_eq!(row, "a\t300\tNA\tNA\t5_prime_cut\t-\t225\t300\t75\t0.25\n");
    let nothing = CodingPrediction { potential: None, frames: vec![], coding_sequences: vec![], ..prediction };
    let row = text(|output| table::write_coding(output, "a", 300, 0.5, &nothing));
    assert_eq!(row, "a\t300\tNA\tNA\tnone\t-\tNA\tNA\tNA\tNA\n");
    let (site, found) = site();
    let row = text(|output| table::write_target_site(output, &site, Some(&found), false));
    let expected = "let-7a\tt\t6\t46\t7mer-m8\t0.5\t30\t37\t-12.35\t98.5\t-";
    assert_eq!(row, format!("{expected}\n"));
    let row = text(|output| table::write_target_site(output, &site, Some(&found), true));
    assert_eq!(row, format!("{expected}\tGAU/||./CUA\n"));
    let row = text(|output| table::write_target_site(output, &Site { seed: None, ..site.clone() }, None, true));
    assert_eq!(row, "let-7a\tt\t6\t46\tnone\tNA\tNA\tNA\tNA\tNA\t-\tNA\n");
    let drawn = text(|output| site_drawing::write(output, &site, &found));
    let lines = "miRNA   3' GAU 5'\n           ||\ntarget  5' CUA 3'\n\n";
    assert_eq!(drawn, format!(">let-7a t:6-46(-) 7mer-m8 probability=0.5 energy=-12.35\n{lines}"));
    let summary = TargetSummary { sites: 2, best: 0.5, combined: 0.75, expected: 1.0 };
    let summary = MirnaSummary { mirna: "let-7a".into(), target: site.target.clone(), summary };
    let row = text(|output| table::write_target_summary(output, &summary));
    assert_eq!(row, "let-7a\tt\t-\t2\t0.5\t0.75\t1\n");
    assert_eq!(table::TARGET_SUMMARY_HEADER.split('\t').count(), row.split('\t').count());
    for (header, row) in [
        (table::PAIR_HEADER, "a\t1\t10\t0.123457"),
        (table::CODING_HEADER, "a\t300\t0.333333\tlncRNA\tnone\t-\t225\t300\t75\t0.25"),
        (table::TARGET_SITE_HEADER, expected),
    ] {
        assert_eq!(header.split('\t').count(), row.split('\t').count());
    }
}

#[test]
fn bed_lines_are_what_noodles_reads() {
    let windows = [
        CdsWindow { start: 0, end: 40, mean_probability: 0.500_4 },
        CdsWindow { start: 99, end: 300, mean_probability: 0.999_6 },
    ];
    let mut bed = Vec::new();
    bed::write_cds_windows(&mut bed, "ENST00000269305.9|TP53", 300, &windows, Strand::Forward).unwrap();
    let (site, _) = site();
    let target = TargetStrand { id: "NM_000546.6".into(), strand: Strand::Forward, ..(*site.target).clone() };
    bed::write_target_site(&mut bed, &Site { target: Arc::new(target), ..site }, 0.25).unwrap();
    assert_eq!(
        String::from_utf8_lossy(&bed),
        "ENST00000269305.9|TP53\t0\t40\tENST00000269305.9|TP53\t500\t+\n\
         ENST00000269305.9|TP53\t99\t300\tENST00000269305.9|TP53\t1000\t+\n\
         NM_000546.6\t4\t44\tlet-7a\t250\t+\n"
    );
    let mut reader = noodles::bed::io::Reader::<6, _>::new(bed.as_slice());
    let mut record = noodles::bed::Record::default();
    let mut seen = Vec::new();
    while reader.read_record(&mut record).unwrap() != 0 {
        // noodles counts from 1, BED from 0.
        let start = usize::from(record.feature_start().unwrap()) - 1;
        let end = usize::from(record.feature_end().unwrap().unwrap());
        assert_eq!(record.strand().unwrap(), Some(noodles::bed::feature::record::Strand::Forward));
        seen.push((record.reference_sequence_name().to_string(), start, end, record.score().unwrap()));
    }
    let transcript = "ENST00000269305.9|TP53".to_owned();
    assert_eq!(
        seen,
        [(transcript.clone(), 0, 40, 500), (transcript, 99, 300, 1000), ("NM_000546.6".to_owned(), 4, 44, 250)]
    );
}

#[test]
fn scores_stay_within_those_of_bed() {
    for (probability, score) in
        [(0.0, 0), (1.0, 1000), (0.000_5, 1), (0.999_4, 999), (1.1, 1000), (-0.1, 0), (f64::NAN, 0)]
    {
        assert_eq!(bed::score(probability), score);
    }
}

#[test]
fn tracks_share_a_line_where_the_digits_are_the_same() {
    let values = [0.5, 0.5, 0.500_000_1, 0.25, 0.5, 1e-7];
    let track = text(|output| bed::write_track(output, "a", 0, &values));
    assert_eq!(track, "a\t0\t3\t0.5\na\t3\t4\t0.25\na\t4\t5\t0.5\na\t5\t6\t1e-07\n");
    assert_eq!(text(|output| bed::write_track(output, "a", 0, &[])), "");
}

proptest! {
    #[test]
    fn tracks_hold_the_value_of_every_base(
        values in proptest::collection::vec(proptest::sample::select(vec![0.0_f32, 0.1, 0.5, 1.0]), 0..60)
    ) {
        let track = text(|output| bed::write_track(output, "a", 0, &values));
        let mut back = Vec::new();
        let mut last = String::new();
        for line in track.lines() {
            let columns: Vec<&str> = line.split('\t').collect();
            prop_assert_eq!(columns[1].parse::<usize>().unwrap(), back.len());
            prop_assert_ne!(columns[3], &last);
            back.resize(columns[2].parse().unwrap(), columns[3].parse::<f32>().unwrap());
            last = columns[3].to_owned();
        }
        prop_assert_eq!(back, values);
    }
}
