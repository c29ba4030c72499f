//! What rows say together, and that what `rnaret-coding --orf` writes is read back.

use proptest::prelude::*;

use super::*;
use crate::decode::reading_frame::ReadingFrame;
use crate::format::{bed, gff3};
use crate::sequence::Strand;

fn read(text: &str) -> Annotation {
    Annotation::read(text.as_bytes(), "x").expect(text)
}

fn refusal(text: &str) -> String {
    Annotation::read(text.as_bytes(), "x").expect_err(text).to_string()
}

/// A row of GFF for the transcript t1.
fn row(kind: &str, start: usize, end: usize, phase: &str, attributes: &str) -> String {
    format!("t1\tx\t{kind}\t{start}\t{end}\t.\t+\t{phase}\t{attributes}\n")
}

fn cds(start: usize, end: usize, attributes: &str) -> String {
    row("CDS", start, end, "0", attributes)
}

#[test]
fn every_format_gives_the_same_cds() {
    let gtf = |kind: &str, start, end| row(kind, start, end, "0", "gene_id \"g\"; transcript_id \"t1\"; level 2;");
    for text in [
        "t1\t60\t360\n".to_owned(),
        "t1\t60\t360\tt1.cds1\t983\t+\n".to_owned(),
        "track name=x\nbrowser position t1:1-9\nt1\t60\t360\tx\t0\t+\r\n".to_owned(),
        "\u{feff}t1\t60\t360\tx\t0\t+\n\n\n".to_owned(),
        "t1\t60\t200\tx\t0\t+\nt1\t200\t360\tx\t0\t+\n".to_owned(),
        "t1\t0\t450\tt1.cds1\t983\t+\t60\t360\t0\t1\t450,\t0,\n".to_owned(),
        "t1\t0\t450\tx\t0.5\t+\t60\t360\t255,0,0\t2\t100,300,\t0,150,\n".to_owned(),
        format!("##gff-version 3\n{}{}", row("mRNA", 1, 450, ".", "ID=t1"), cds(61, 360, "ID=c;Parent=t1")),
        format!("{}{}", cds(61, 200, "ID=c"), row("CDS", 201, 360, "1", "ID=c;")),
        format!("{}{}", row("CDS", 201, 360, "1", "Parent=t1"), cds(61, 200, "Parent=t1")),
        format!("{}##FASTA\n>t1\nACGU\n", cds(61, 360, ".")),
        format!("#!genome-build x\n{}", gtf("CDS", 61, 360)),
        format!("{}{}{}", gtf("CDS", 61, 357), gtf("stop_codon", 358, 360), gtf("start_codon", 61, 63)),
        format!("{}{}{}", gtf("stop_codon", 359, 360), gtf("stop_codon", 358, 358), gtf("CDS", 61, 357)),
        format!("{}{}", gtf("CDS", 61, 360), gtf("stop_codon", 358, 360)),
    ] {
        let annotation = read(&text);
        assert_eq!(annotation.cds("t1"), Some(60..360), "{text}");
        annotation.check_used().expect("all rows are used");
    }
    // A transcript without a CDS has a row of its own in BED12.
    let none = read("t1\t0\t450\tx\t0\t+\t0\t0\t0\t1\t450,\t0,\n");
    assert_eq!(none.cds("t1"), None);
    none.check_used().expect("the row is used");
}

#[test]
fn several_cds_are_kept_apart_and_the_longest_counts() {
    for (text, expected) in [
        (format!("{}{}", cds(61, 120, "ID=a;Parent=p1"), cds(391, 450, "ID=b;Parent=p2")), 60..120),
        (format!("{}{}", cds(61, 120, "ID=a;Parent=t1"), cds(301, 450, "ID=b;Parent=t1")), 300..450),
        (format!("{}{}", cds(61, 120, "Parent=p1"), cds(121, 450, "Parent=p2")), 120..450),
        (format!("{}{}", cds(61, 120, "Parent=p1"), cds(301, 450, "Parent=p1")), 300..450),
        // One begins where the other ends, but in another frame.
        (format!("{}{}", cds(61, 120, "Parent=p"), row("CDS", 121, 450, "1", "Parent=p")), 120..450),
        ("t1\t60\t120\ta\t0\t+\nt1\t90\t300\ta\t0\t+\n".to_owned(), 90..300),
        ("t1\t60\t120\ta\t0\t+\nt1\t120\t300\tb\t0\t+\n".to_owned(), 120..300),
        ("t1\t60\t120\ta\t0\t+\nt1\t60\t120\ta\t0\t+\n".to_owned(), 60..120),
        ("t1\t0\t450\ta\t0\t+\t60\t90\t0\t1\t450,\t0,\nt1\t0\t450\tb\t0\t+\t90\t300\t0\t1\t450,\t0,\n".into(), 90..300),
        // Rows of one ID are one CDS, with a frameshift too.
        (format!("{}{}", cds(61, 120, "ID=a"), cds(391, 450, "ID=a")), 60..450),
        (format!("{}{}", cds(61, 120, "ID=a"), cds(120, 450, "ID=a")), 60..450),
    ] {
        assert_eq!(read(&text).cds("t1"), Some(expected), "{text}");
    }
    let overlapping = refusal(&format!("{}{}", cds(61, 120, "ID=a"), cds(101, 450, "ID=a")));
    assert!(overlapping.contains("line 2 (t1)") && overlapping.contains("line 1"), "{overlapping}");
}

#[test]
fn records_are_found_by_whole_ids_and_first_fields() {
    let whole = read("ENST1.2|ENSG1|X|\t60\t360\n");
    assert_eq!(whole.cds("ENST1.2|ENSG1|X|"), Some(60..360));
    assert_eq!(whole.cds("ENST1.2"), Some(60..360));
    assert_eq!((whole.cds("ENST1.2|ENSG9|Y|"), whole.cds("ENST1")), (None, None));
    let first = read("ENST1.2\t60\t360\n");
    assert_eq!(first.cds("ENST1.2|ENSG1|X|"), Some(60..360));
    // What several share tells none of them apart.
    let shared = read("sp|P1|A\t60\t360\nsp|P2|B\t90\t360\n");
    assert_eq!((shared.cds("sp|P1|A"), shared.cds("sp|P2|B")), (Some(60..360), Some(90..360)));
    assert_eq!((shared.cds("sp"), shared.cds("sp|P3|C")), (None, None));
    for odd in ["track7", "track", "browser", "browser1", "#x", "##FASTA", ">x", "a%20b", "\u{b5}"] {
        assert_eq!(read(&format!("{odd}\t60\t360\tx\t0\t+\n")).cds(odd), Some(60..360), "{odd}");
    }
    let escaped = read("##gff-version 3\nt%281%29%3Da%2Cb%20c\tx\tCDS\t61\t360\t.\t+\t0\tID=c;Parent=t(1)%3Da%2Cb\n");
    assert_eq!(escaped.cds("t(1)=a,b c"), Some(60..360));
}

#[test]
fn gtf_goes_by_the_transcript_where_the_sequence_has_another_name() {
    let gtf = |sequence: &str, kind: &str, start, end, id: &str| {
        format!("{sequence}\tx\t{kind}\t{start}\t{end}\t.\t+\t0\tgene_id \"g\"; transcript_id \"{id}\";\n")
    };
    let named = read(&format!("{}{}", gtf("s", "transcript", 1, 450, "t1"), gtf("s", "CDS", 61, 360, "t1")));
    assert_eq!((named.cds("t1"), named.cds("s"), named.cds("t1|g|")), (Some(60..360), Some(60..360), Some(60..360)));
    // Positions on a chromosome are not taken for those on a transcript.
    for chromosome in [
        format!("{}{}", gtf("chr1", "CDS", 61, 360, "t1"), gtf("chr1", "CDS", 61, 360, "t2")),
        format!("{}{}", gtf("chr1", "transcript", 31, 450, "t1"), gtf("chr1", "CDS", 61, 360, "t1")),
    ] {
        let annotation = read(&chromosome);
        assert_eq!(annotation.cds("t1"), None);
        let error = annotation.check_used().expect_err("no row is used").to_string();
        assert!(error.contains("`chr1`") && error.contains("chromosome"), "{error}");
    }
}

#[test]
fn rows_that_no_record_uses() {
    let annotation = read("other\t60\t360\nt1\t60\t360\nt2\t3\t9\n");
    let error = annotation.check_used().expect_err("nothing is used").to_string();
    assert!(error.contains("x: line 1: no record is called `other`, and none of the 3 rows"), "{error}");
    assert_eq!(annotation.cds("t1"), Some(60..360));
    annotation.check_used().expect("some rows are used");
    for empty in ["", "\n", "##gff-version 3\n", "#chrom\tstart\tend\n", &row("mRNA", 1, 450, ".", "ID=t1")] {
        let error = read(empty).check_used().expect_err(empty).to_string();
        assert!(error.contains("there is no CDS in it"), "{error}");
    }
    // A commented row counts neither as used nor as unused.
    let commented = read("t1\t60\t360\n#t2\t60\t360\n");
    commented.cds("t1");
    commented.check_used().expect("all rows are used");
}

#[test]
fn refusals_say_where_and_what() {
    let minus = "t1\tx\tCDS\t61\t360\t.\t-\t0\tID=c\n";
    for (text, expected) in [
        ("t1\t12\t3\n", "line 1: the start does not lie before the end"),
        ("t1\t3\t12\tt1\t0\t-\n", "line 1: the CDS of a transcript lies on its own strand"),
        ("t1\t3\t12\tt1\t0\t*\n", "the strand (column 6) is `*`"),
        (minus, "own strand"),
        ("t1 3 12\n", "line 1: this is no row of BED"),
        ("t1\t3\t9\n\nt2\tx\t9\n", "line 3: this is no row of BED"),
        ("t1\t3\t9\ta\t0\t+\t1\t9\n", "the thick part 1-9 does not lie"),
        ("t1\t3\t9\ta\t0\t+\t.\t.\n", "no thickStart"),
        ("\t3\t9\n", "the first column is empty"),
        ("t1\t3\t99999999999999999999999\n", "no row of BED"),
        (">t1\nACGU\n", "this is FASTA: BED, GFF3 or GTF is wanted"),
        ("t1\tx\tCDS\t0\t360\t.\t+\t0\tID=c\n", "start and end (columns 4 and 5)"),
        ("t1\tx\tCDS\t61\t360\t.\t+\t3\tID=c\n", "the phase (column 8)"),
        ("t1\tx\tCDS\t61\t360\t.\t+\t0\tID=c;x\n", "the attributes (column 9)"),
    ] {
        let error = refusal(text);
        assert!(error.contains(expected), "{text:?}: {error}");
    }
    let latin = Annotation::read(&b"t1\t3\t9\nt\xb5\t3\t9\n"[..], "x").expect_err("Latin 1").to_string();
    assert!(latin.contains("line 2") && latin.contains("not UTF-8"), "{latin}");
}

/// Ids as FASTA may hold them: anything without white space of ASCII, with what the formats use for themselves made common.
fn ids() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        "|", "%", "%2", "%20", "%7C", ";", "=", "&", ",", "#", "##", ">", "track", "browser", "ID=", "\"", "'", "\\",
        "\u{b5}", "\u{a0}", "\u{feff}", "\u{2028}", "\u{b}", "+", ".", "-", "cds1", ":",
    ]);
    let part = prop_oneof![odd.prop_map(str::to_owned), "[!-~]{1,3}", "\\PC{1,2}"];
    prop::collection::vec(part, 1..5).prop_map(|parts| parts.concat()).prop_filter("an id of FASTA", |id| {
        !id.contains(|letter: char| letter.is_ascii_whitespace()) && !id.starts_with('\u{feff}')
    })
}

fn frames() -> impl Strategy<Value = (usize, Vec<ReadingFrame>)> {
    let frame = (0..200_usize, 2..100_usize, 0..3_usize, any::<bool>(), 0.0..1.0);
    prop::collection::vec(frame, 1..4).prop_map(|frames| {
        let frames = frames.into_iter().map(|(start, codons, phase, has_stop, mean_probability)| ReadingFrame {
            start,
            end: start + phase + 3 * codons,
            phase,
            has_start: phase == 0,
            has_stop,
            mean_probability,
        });
        (600, frames.collect())
    })
}

proptest! {
    #[test]
    fn what_coding_writes_is_read_back_for_any_ids(
        transcripts in prop::collection::btree_map(ids(), frames(), 1..5), carriage_returns in any::<bool>(),
    ) {
        let mut texts = [const { Vec::new() }; 3];
        writeln(&mut texts[2], gff3::HEADER);
        for (id, (length, frames)) in &transcripts {
            bed::write_reading_frames(&mut texts[0], id, *length, frames, Strand::Forward).expect("written");
            bed::write_thick_reading_frames(&mut texts[1], id, *length, frames, Strand::Forward).expect("written");
            gff3::write_transcript(&mut texts[2], id, *length, frames, Strand::Forward).expect("written");
        }
        for text in texts {
            let text = String::from_utf8(text).expect("UTF-8");
            let text = if carriage_returns { text.replace('\n', "\r\n") } else { text };
            let annotation = Annotation::read(text.as_bytes(), "x").expect("rows");
            for (id, (_, frames)) in &transcripts {
                let longest = frames.iter().map(|frame| frame.end - frame.start).max();
                let first = frames.iter().find(|frame| Some(frame.end - frame.start) == longest);
                prop_assert_eq!(annotation.cds(id), first.map(|frame| frame.start..frame.end), "{}\n{}", id, text);
            }
            annotation.check_used().expect("all rows are used");
        }
    }

    #[test]
    fn readers_refuse_or_read_but_never_panic(text in "[ta1-9.+\\-\t\n#>=;\"%, CDS]{0,80}") {
        let _ = Annotation::read(text.as_bytes(), "x");
    }
}

fn writeln(text: &mut Vec<u8>, line: &str) {
    text.extend_from_slice(line.as_bytes());
    text.push(b'\n');
}
