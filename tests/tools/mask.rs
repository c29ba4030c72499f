//! rna-mask, to the letter.

use crate::common::{Run, Sample, TOOLS};
use rnaret::sequence::TokenText;

fn mask(arguments: &[&str], input: &[u8]) -> String {
    String::from_utf8(Run::bare(&TOOLS[1]).args(arguments).stdin(input).ok()).unwrap()
}

/// The columns of each row after the header.
fn rows(table: &str) -> Vec<Vec<&str>> {
    table.lines().skip(1).map(|row| row.split('\t').collect()).collect()
}

#[test]
fn labels_hold_what_was_hidden_in_the_form_of_the_input() {
    for form in [TokenText::Kmers, TokenText::Ids] {
        for k in [1, 3, 5, 7] {
            let input = Sample::many(50).tokens(k, form);
            let text = String::from_utf8(input.clone()).unwrap();
            let masked = mask(&["--seed", "3"], &input);
            let (hidden, unknown) = if form == TokenText::Ids { ("4", "1") } else { ("[MASK]", "[FIL]") };
            assert_eq!(rows(&text).len(), rows(&masked).len());
            for (before, after) in rows(&text).iter().zip(rows(&masked)) {
                assert_eq!(before[..2], after[..2]);
                let tokens: Vec<&str> = before[2].split(' ').collect();
                let (seen, labels): (Vec<&str>, Vec<&str>) =
                    (after[2].split(' ').collect(), after[3].split(' ').collect());
                assert_eq!((seen.len(), labels.len()), (tokens.len(), tokens.len()));
                let kmers = tokens.len() - (k - 1);
                let chosen = labels.iter().filter(|label| **label != ".").count();
                assert!(chosen as f64 >= 0.15 * kmers as f64 && (chosen as f64) < 0.15 * kmers as f64 + k as f64);
                for place in 0..tokens.len() {
                    if labels[place] == "." {
                        assert_eq!(seen[place], tokens[place]);
                    } else {
                        assert_eq!(labels[place], tokens[place]);
                        assert_ne!(labels[place], unknown);
                        assert!(seen[place] == hidden || !seen[place].starts_with('['));
                    }
                }
            }
        }
    }
}

#[test]
fn the_draw_depends_on_seed_and_place_alone() {
    let sample = Sample::many(20);
    let input = sample.tokens(3, TokenText::Kmers);
    let base = mask(&[], &input);
    assert_eq!(mask(&["--seed", "0", "--mask-rate", "0.15"], &input), base);
    assert_ne!(mask(&["--seed", "1"], &input), base);
    // The same positions as ids.
    let ids = mask(&[], &sample.tokens(3, TokenText::Ids));
    for (kmers, ids) in rows(&base).iter().zip(rows(&ids)) {
        let points = |labels: &str| labels.split(' ').map(|label| label == ".").collect::<Vec<_>>();
        assert_eq!(points(kmers[3]), points(ids[3]));
    }
    // Another first record changes nothing for the others.
    let mut other = sample.clone();
    other.0[0].1 = "ACGUACGUACGU".to_owned();
    let other = mask(&[], &other.tokens(3, TokenText::Kmers));
    assert_eq!(rows(&other)[1..], rows(&base)[1..]);
    // The same sequence is masked differently at another place.
    let twice = Sample::new(&[("a", &sample.0[0].1), ("a", &sample.0[0].1)]).tokens(3, TokenText::Kmers);
    let twice = mask(&[], &twice);
    assert_ne!(rows(&twice)[0], rows(&twice)[1]);
}

#[test]
fn unknown_tokens_and_short_records_are_left_alone() {
    let input = b"id\tlength\ttokens\na\t7\t[FIL] [UNK] [UNK] [UNK] GCU CUA [FIL]\nb\t2\t[FIL] [FIL]\n";
    let masked = mask(&["--mask-rate", "1"], input);
    let rows = rows(&masked);
    assert!(rows[0][2].starts_with("[FIL] [UNK] [UNK] [UNK] ") && rows[0][2].ends_with(" [FIL]"));
    assert_eq!(rows[0][3], ". . . . GCU CUA .");
    assert_eq!(rows[1][2..], ["[FIL] [FIL]", ". ."]);
}

#[test]
fn arguments_and_inputs_that_make_no_sense() {
    for rate in ["-1", "1.5", "nan", "x"] {
        Run::bare(&TOOLS[1]).arg(format!("--mask-rate={rate}")).fails(2, &[]);
    }
    let masked = mask(&[], &Sample::few().tokens(3, TokenText::Kmers));
    Run::bare(&TOOLS[1]).stdin(masked.as_bytes()).fails(1, &["masked already"]);
}

/// A known draw: another version must not change data sets.
#[test]
fn the_draw_stays_the_same() {
    let input = b"id\tlength\ttokens\na\t12\tG C G G A U U U A G C U\n";
    assert_eq!(
        mask(&["--seed", "42", "--mask-rate", "0.4"], input),
        "id\tlength\ttokens\tlabels\na\t12\tG [MASK] [MASK] G [MASK] [MASK] U A A G C U\t. C G . A U . U . . . .\n"
    );
}
