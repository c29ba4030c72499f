//! How a miRNA lies on its site, drawn as miRanda does: the miRNA from its 3' end, bars, and the target from its 5' end; as
//! three lines, or in one column of a table.

use std::fmt::Write;

use crate::thermodynamics::BestDuplex;

/// What joins the three rows in one column of a table.
pub const ROW_SEPARATOR: char = '/';

/// The three rows of a duplex, each as long: `mirna` from its 3' end, for each pair `|` (or `:` for G and U) and else a dot,
/// and `site` from its 5' end; joined by [`ROW_SEPARATOR`]. Bases that do not pair face each other from the next pair on, and `-` stands
/// where there is none.
pub fn alignment(mirna: &[u8], site: &[u8], duplex: &BestDuplex) -> String {
    let mut rows: [String; 3] = Default::default();
    let mut column = |mirna: Option<u8>, bar: char, site: Option<u8>| {
        for (row, letter) in rows.iter_mut().zip([mirna.map(char::from), Some(bar), site.map(char::from)]) {
            row.push(letter.unwrap_or('-'));
        }
    };
    // Both strands are walked towards the 5' end of the miRNA: `i` bases of it are left, and `j` bases of the site done.
    let (mut i, mut j) = (mirna.len(), 0);
    let pairs = duplex.pairs.iter().rev().map(|&(k, l)| (Some(k), l));
    let first = pairs.clone().next();
    if let Some((Some(k), l)) = first {
        // Before the first pair, what faces the miRNA's 3' end.
        j = l.saturating_sub(i - 1 - k);
    }
    for (k, l) in pairs.chain([(None, site.len())]) {
        // Unpaired bases of either strand before this pair, or beyond the last.
        let (of_mirna, of_site) = (i - k.map_or(0, |k| k + 1), l - j);
        let columns = if k.is_none() { of_mirna } else { of_mirna.max(of_site) };
        // Before the first pair bases line up at the pair, later ones at the pair before.
        let lead = if i == mirna.len() { (columns - of_mirna, columns - of_site.min(columns)) } else { (0, 0) };
        for at in 0..columns {
            let base = at.checked_sub(lead.0).filter(|&at| at < of_mirna).map(|at| mirna[i - 1 - at]);
            let opposite = at.checked_sub(lead.1).filter(|&at| at < of_site).map(|at| site[j + at]);
            column(base, '.', opposite);
        }
        if let Some(k) = k {
            let bar = if matches!((mirna[k], site[l]), (b'G', b'U') | (b'U', b'G')) { ':' } else { '|' };
            column(Some(mirna[k]), bar, Some(site[l]));
            (i, j) = (k, l + 1);
        }
    }
    let mut text = String::with_capacity(3 * rows[0].len() + 2);
    let [mirna, bars, site] = rows;
    // Writing to a string does not fail.
    let _ = write!(text, "{mirna}{ROW_SEPARATOR}{bars}{ROW_SEPARATOR}{site}");
    text
}

/// The same as three lines with the names and ends of the strands, bars for pairs and spaces for what does not pair.
pub fn drawing(mirna: &[u8], site: &[u8], duplex: &BestDuplex) -> String {
    let compact = alignment(mirna, site, duplex);
    let mut rows = compact.split(ROW_SEPARATOR);
    let mut row = || rows.next().unwrap_or_default();
    let (mirna, bars, site) = (row(), row().replace('.', " "), row());
    format!("miRNA   3' {mirna} 5'\n           {}\ntarget  5' {site} 3'\n", bars.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aligned(mirna: &[u8], site: &[u8], pairs: &[(usize, usize)]) -> String {
        alignment(mirna, site, &BestDuplex { energy: 0.0, pairs: pairs.to_vec() })
    }

    #[test]
    fn pairs_wobbles_and_loops_are_drawn() {
        // 5' end of the miRNA on the right; what of the site lies beyond it is not shown.
        assert_eq!(aligned(b"GGAU", b"CCAUCUGG", &[(0, 5), (1, 4), (2, 3)]), "UAGG/.||:/AUCU");
        // A bulge of the site, and one of the miRNA.
        assert_eq!(aligned(b"GGA", b"UACC", &[(0, 3), (1, 2), (2, 0)]), "A-GG/|.||/UACC");
        assert_eq!(aligned(b"GGAA", b"UCC", &[(0, 2), (1, 1), (3, 0)]), "AAGG/|.||/U-CC");
        // The site begins after the miRNA's 3' end, and ends before its 5' end.
        assert_eq!(aligned(b"AGGAA", b"CC", &[(1, 1), (2, 0)]), "AAGGA/..||./--CC-");
    }

    #[test]
    fn three_lines_name_the_strands_and_their_ends() {
        let duplex = BestDuplex { energy: 0.0, pairs: vec![(0, 3), (1, 2), (2, 0)] };
        let expected = "miRNA   3' A-GG 5'\n           | ||\ntarget  5' UACC 3'\n";
        assert_eq!(drawing(b"GGA", b"UACC", &duplex), expected);
    }

    #[test]
    fn every_base_of_the_mirna_is_drawn_once() {
        let mirna = b"UGAGGUAGUAGGUUGUAUAGUU";
        for site in [&b"AAGGGAAACUACCUCAGG"[..], b"AACUAUACAAGGCUACCUCGGGAAAGC", b"UU"] {
            let duplex = BestDuplex::new(mirna, site, None).expect("a duplex");
            let text = alignment(mirna, site, &duplex);
            let rows: Vec<&str> = text.split(ROW_SEPARATOR).collect();
            assert!(rows.len() == 3 && rows.iter().all(|row| row.len() == rows[0].len()), "{text}");
            let letters: String = rows[0].chars().rev().filter(|letter| *letter != '-').collect();
            assert_eq!(letters.as_bytes(), mirna);
            assert_eq!(rows[1].matches(['|', ':']).count(), duplex.pairs.len());
            let shown: String = rows[2].chars().filter(|letter| *letter != '-').collect();
            assert!(String::from_utf8_lossy(site).contains(&shown), "{text}");
        }
    }
}
