//! The TSV of rna-kmerize and rna-mask, read back: columns `id length tokens` and perhaps `labels`.

use super::reader::{Defect, Step};
use super::record::{Record, TokenText, Tokens};
use super::text::other_text;
use super::tokenizer::{FIL, FIRST_KMER, MASK, Tokenizer, UNK};
use crate::format::named_columns::Table;
use crate::{Error, Result};
use std::io::BufRead;

/// Rows of a token table.
pub(super) struct TokenTable {
    table: Table<Box<dyn BufRead + Send>>,
    has_labels: bool,
    /// The k of the first row that tells it; all rows must agree.
    k: Option<usize>,
}

impl TokenTable {
    /// Reads the header row of a table, which errors call `file`.
    ///
    /// # Errors
    /// Where it cannot be read, or is no token table.
    pub(super) fn open(stream: Box<dyn BufRead + Send>, file: &str) -> Result<Self> {
        let refuse = |message: String| Error::Input { file: file.to_owned(), place: "line 1".to_owned(), message };
        let Some(table) = Table::open(stream, file)? else { return Err(refuse("there is no header row".to_owned())) };
        let has_labels = match table.names().iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["id", "length", "tokens"] => false,
            ["id", "length", "tokens", "labels"] => true,
            ["id", ..] => {
                return Err(refuse(format!(
                    "the columns are '{}', but a token table has 'id length tokens' (and 'labels' after rna-mask), \
                     separated by tabs",
                    table.names().join(" ")
                )));
            }
            _ => {
                let shown: String = table.header().chars().take(40).collect();
                let what = other_text(table.header()).map(|what| format!(" (is it {what}?)")).unwrap_or_default();
                return Err(refuse(format!(
                    "begins with '{}'{what}: neither FASTA ('>'), FASTQ ('@') nor the TSV of rna-kmerize (header row \
                     'id length tokens')",
                    shown.escape_debug()
                )));
            }
        };
        Ok(Self { table, has_labels, k: None })
    }

    /// Whether the table has the column `labels`.
    pub(super) fn has_labels(&self) -> bool {
        self.has_labels
    }

    /// Reads the next row.
    pub(super) fn read(&mut self, record: &mut Record) -> Step {
        match self.table.advance() {
            Ok(true) => {}
            Ok(false) => return Step::End,
            Err(error) => return Step::Failed(error),
        }
        match self.parse(record) {
            Ok(()) => Step::Record,
            Err(defect) => Step::Bad(defect),
        }
    }

    fn parse(&mut self, record: &mut Record) -> std::result::Result<(), Defect> {
        let row = self.table.row();
        let id = row.get(0).unwrap_or_default();
        let named = |message: String, place: Option<String>| Defect { id: Some(id.to_owned()), place, message };
        let wanted =
            if self.has_labels { "4 columns (id length tokens labels)" } else { "3 columns (id length tokens)" };
        let (length, text, labels) = match (row.len(), row.get(1), row.get(2), row.get(3)) {
            (3, Some(length), Some(text), None) if !self.has_labels => (length, text, None),
            (4, Some(length), Some(text), Some(labels)) if self.has_labels => (length, text, Some(labels)),
            _ => return Err(named(format!("the row does not have {wanted}"), None)),
        };
        record.name(id.as_bytes())?;
        if text.is_empty() {
            return Err(named("empty record: it has no tokens".to_owned(), None));
        }
        let tokens = parse_tokens(text.as_bytes(), labels.map(str::as_bytes)).map_err(|wrong| {
            let place = wrong.token.map(|token| format!("token {token}"));
            named(wrong.message, place)
        })?;
        if length.parse().ok() != Some(tokens.ids.len()) {
            let message = format!("the length is given as '{length}', but there are {} tokens", tokens.ids.len());
            return Err(named(message, None));
        }
        match (self.k, tokens.k) {
            (Some(before), Some(k)) if before != k => {
                return Err(named(format!("made with k = {k}, but earlier records with k = {before}"), None));
            }
            (None, k) => self.k = k,
            _ => {}
        }
        letters_into(&tokens, &mut record.sequence);
        record.tokens = Some(tokens);
        Ok(())
    }
}

/// What is wrong with a row, and at which token (from 1).
struct Wrong {
    token: Option<usize>,
    message: String,
}

/// Reads the tokens of a row and their labels, and finds k from the `[FIL]` at the ends.
fn parse_tokens(text: &[u8], labels: Option<&[u8]>) -> std::result::Result<Tokens, Wrong> {
    let form = if text[0].is_ascii_digit() { TokenText::Ids } else { TokenText::Kmers };
    let is_fill = |token: &[u8]| match form {
        TokenText::Ids => token == b"1",
        TokenText::Kmers => token == b"[FIL]",
    };
    let split = |text| <[u8]>::split(text, |byte: &u8| *byte == b' ');
    let fill = split(text).take_while(|token| is_fill(token)).count();
    // Two bytes a token is the least that a token takes.
    let mut ids = Vec::with_capacity(text.len() / 2 + 1);
    if fill == split(text).count() {
        ids.resize(fill, FIL);
        let labels = labels.map(|labels| parse_labels(labels, None, form, &ids)).transpose()?;
        return Ok(Tokens { k: None, ids, text: form, labels });
    }
    let k = 2 * fill + 1;
    let Ok(tokenizer) = Tokenizer::new(k) else {
        let message = format!("{fill} [FIL] at the start: no k-mer length of rna-kmerize gives that");
        return Err(Wrong { token: None, message });
    };
    for (index, token) in split(text).enumerate() {
        let id = match form {
            TokenText::Ids => parse_id(token).filter(|id| (*id as usize) < tokenizer.vocabulary_size()),
            TokenText::Kmers => tokenizer.id(token),
        };
        match id {
            Some(id) if id >= FIRST_KMER || id == FIL || id == UNK || id == MASK => ids.push(id),
            _ => {
                let token = String::from_utf8_lossy(token).chars().take(20).collect::<String>();
                let message = format!("'{}' is no token of a sequence with k = {k}", token.escape_debug());
                return Err(Wrong { token: Some(index + 1), message });
            }
        }
    }
    let inner = fill..ids.len().saturating_sub(fill).max(fill);
    let misplaced = ids.iter().enumerate().find(|(index, id)| inner.contains(index) == (**id == FIL));
    if let Some((index, _)) = misplaced {
        let message = format!("with k = {k}, [FIL] stands for the first and last {fill} tokens and nowhere else");
        return Err(Wrong { token: Some(index + 1), message });
    }
    let labels = labels.map(|labels| parse_labels(labels, Some(&tokenizer), form, &ids)).transpose()?;
    Ok(Tokens { k: Some(k), ids, text: form, labels })
}

/// Reads the column `labels`: `.` where nothing was masked, otherwise the k-mer that stood there.
fn parse_labels(
    labels: &[u8],
    tokenizer: Option<&Tokenizer>,
    form: TokenText,
    ids: &[u32],
) -> std::result::Result<Vec<Option<u32>>, Wrong> {
    let mut read = Vec::with_capacity(ids.len());
    for (index, label) in labels.split(|byte| *byte == b' ').enumerate() {
        let id = match (label, tokenizer) {
            (b".", _) => None,
            (label, Some(tokenizer)) => {
                let id = match form {
                    TokenText::Ids => parse_id(label).filter(|id| (*id as usize) < tokenizer.vocabulary_size()),
                    TokenText::Kmers => tokenizer.id(label),
                };
                id.filter(|id| *id >= FIRST_KMER)
            }
            (_, None) => None,
        };
        if id.is_none() && label != b"." {
            let message = "the label is neither '.' nor a k-mer".to_owned();
            return Err(Wrong { token: Some(index + 1), message });
        }
        read.push(id);
    }
    if read.len() != ids.len() {
        let message = format!("there are {} tokens but {} labels", ids.len(), read.len());
        return Err(Wrong { token: None, message });
    }
    Ok(read)
}

/// A number of at most five digits, which is all that a vocabulary needs.
fn parse_id(text: &[u8]) -> Option<u32> {
    if text.is_empty() || text.len() > 5 {
        return None;
    }
    text.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0')))
}

/// The nucleotides that the k-mers tell, N elsewhere. A masked token counts as what its label says.
fn letters_into(tokens: &Tokens, sequence: &mut Vec<u8>) {
    const NUCLEOTIDES: [u8; 4] = super::tokenizer::LETTERS;
    sequence.clear();
    let Some(k) = tokens.k else {
        sequence.resize(tokens.ids.len(), b'N');
        return;
    };
    let restored: Vec<u32>;
    let ids = match &tokens.labels {
        None => &tokens.ids,
        Some(labels) => {
            restored = labels.iter().zip(&tokens.ids).map(|(label, id)| label.unwrap_or(*id)).collect();
            &restored
        }
    };
    let half = (k - 1) / 2;
    let code = |id: u32| id - FIRST_KMER;
    // Neighbours share k-1 letters. Where they all agree, the k-mer centred on a nucleotide tells it; a table that lost
    // its labels but holds random k-mers is decided by what most of the k-mers say.
    let shared = (1u32 << (2 * (k - 1))) - 1;
    let agree = ids
        .windows(2)
        .all(|pair| pair[0] < FIRST_KMER || pair[1] < FIRST_KMER || code(pair[0]) & shared == code(pair[1]) >> 2);
    sequence.extend(ids.iter().enumerate().map(|(place, &id)| {
        if agree && id >= FIRST_KMER {
            return NUCLEOTIDES[(code(id) >> (2 * half)) as usize & 3];
        }
        let mut votes = [0; 4];
        let first = place.saturating_sub(half);
        for (centre, &id) in ids.iter().enumerate().take(place + half + 1).skip(first) {
            if id >= FIRST_KMER {
                votes[(code(id) >> (2 * (centre + half - place))) as usize & 3] += 1;
            }
        }
        let most = votes.iter().copied().max().unwrap_or(0);
        let mut winners = (0..4).filter(|letter| votes[*letter] == most);
        match (most, winners.next(), winners.next()) {
            (1.., Some(letter), None) => NUCLEOTIDES[letter],
            _ => b'N',
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sequence::{Masker, TokenWriter};
    use proptest::prelude::*;

    fn rows(text: &str) -> Vec<std::result::Result<Record, String>> {
        let mut table = TokenTable::open(Box::new(std::io::Cursor::new(text.as_bytes().to_vec())), "x").unwrap();
        let mut rows = Vec::new();
        loop {
            let mut record = Record::default();
            match table.read(&mut record) {
                Step::Record => rows.push(Ok(record)),
                Step::Bad(defect) => rows.push(Err(format!("{:?} {}", defect.place, defect.message))),
                Step::Failed(error) => panic!("{error}"),
                Step::End => return rows,
            }
        }
    }

    fn sequence(row: &str) -> String {
        let rows = rows(&format!("id\tlength\ttokens\n{row}\n"));
        String::from_utf8(rows[0].as_ref().unwrap().sequence.clone()).unwrap()
    }

    #[test]
    fn reads_letters_from_kmers() {
        assert_eq!(sequence("a\t6\t[FIL] AUG UGG GGC GCU [FIL]"), "AUGGCU");
        assert_eq!(sequence("a\t6\t1 13 37 68 63 1"), "AUGGCU");
        assert_eq!(sequence("a\t3\tA C G"), "ACG");
        assert_eq!(sequence("a\t2\t[FIL] [FIL]"), "NN");
        assert_eq!(sequence("a\t6\t[FIL] AUG [MASK] GGC GCU [FIL]"), "AUGGCU");
        // The neighbours tell the middle letter, which was N before.
        assert_eq!(sequence("a\t7\t[FIL] AUG UGG [UNK] [UNK] [UNK] [FIL]"), "AUGGNNN");
        assert_eq!(sequence("a\t3\tA [UNK] [MASK]"), "ANN");
        // One random k-mer (CCC) against its neighbours.
        assert_eq!(sequence("a\t7\t[FIL] AUG UGG CCC GCU CUA [FIL]"), "AUGGCUA");
    }

    #[test]
    fn labels_restore_what_was_masked() {
        let text = "id\tlength\ttokens\tlabels\na\t6\t[FIL] [MASK] AAA [MASK] GCU [FIL]\t. AUG UGG GGC . .\n";
        let rows = rows(text);
        let record = rows[0].as_ref().unwrap();
        assert_eq!(record.sequence, b"AUGGCU");
        let tokens = record.tokens.as_ref().unwrap();
        assert_eq!(tokens.ids, [1, 4, 6, 4, 63, 1]);
        assert_eq!(tokens.labels, Some(vec![None, Some(13), Some(37), Some(68), None, None]));
        assert_eq!(tokens.k, Some(3));
    }

    #[test]
    fn names_what_is_wrong() {
        for (row, expected) in [
            ("a\t2", "3 columns"),
            ("a\t1\tA\tA", "3 columns"),
            ("a\t3\tA C", "given as '3', but there are 2"),
            ("a\tx\tA C", "given as 'x'"),
            ("a\t2\tA T", "token 2"),
            ("a\t2\tA  C", "token 2"),
            ("a\t3\t[FIL] AUGG [FIL]", "token 2"),
            ("a\t3\t[FIL] AUG AUG", "token 3"),
            ("a\t4\t[FIL] AUG [FIL] [FIL]", "token 3"),
            ("a\t1\t[PAD]", "token 1"),
            ("a\t1\t[SEQ]", "token 1"),
            ("a\t1\t5", "token 1"),
            ("a\t1\t10", "token 1"),
            ("a\t1\t9999999999", "token 1"),
            ("a\t6\t1 1 1 1 9 1", "no k-mer length"),
            ("a\t0\t", "empty record"),
            ("\t1\tA", "no id"),
        ] {
            let rows = rows(&format!("id\tlength\ttokens\n{row}\n"));
            let error = rows[0].as_ref().unwrap_err();
            assert!(error.contains(expected), "{row:?}: {error}");
        }
        let mixed = rows("id\tlength\ttokens\na\t1\tA\nb\t3\t[FIL] AUG [FIL]\nc\t1\tG\n");
        assert!(mixed[1].as_ref().unwrap_err().contains("k = 3, but earlier records with k = 1"));
        assert!(mixed[2].is_ok());
        let labels = rows("id\tlength\ttokens\tlabels\na\t2\tA C\t.\nb\t1\tA\t[MASK]\nc\t1\tA\tC\n");
        assert!(labels[0].as_ref().unwrap_err().contains("2 tokens but 1 labels"));
        assert!(labels[1].as_ref().unwrap_err().contains("neither '.' nor a k-mer"));
        assert!(labels[2].is_ok());
    }

    #[test]
    fn refuses_other_columns() {
        for header in ["id\ttokens\tlength\n", "id\tlength\n", "name,seq\n", "ACGU\n", "id\tlength\ttokens\tfamily\n"] {
            assert!(TokenTable::open(Box::new(header.as_bytes()), "x").is_err(), "{header}");
        }
    }

    proptest! {
        #[test]
        fn reads_back_what_was_written(
            k in prop::sample::select(vec![1usize, 3, 5, 7]), sequence in "[ACGUN]{1,60}", ids in any::<bool>(),
        ) {
            let tokenizer = Tokenizer::new(k).unwrap();
            let form = if ids { TokenText::Ids } else { TokenText::Kmers };
            let writer = TokenWriter::new(tokenizer, form);
            let mut row = format!("id\tlength\ttokens\nx|1\t{}\t", sequence.len()).into_bytes();
            writer.write_sequence(sequence.as_bytes(), &mut row);
            let rows = rows(std::str::from_utf8(&row).unwrap());
            let record = rows[0].as_ref().unwrap();
            prop_assert_eq!(&record.id, "x|1");
            let tokens = record.tokens.as_ref().unwrap();
            prop_assert_eq!(&tokens.ids, &tokenizer.encode(sequence.as_bytes()));
            prop_assert_eq!(tokens.text, form);
            prop_assert_eq!(tokens.k, (sequence.len() >= k).then_some(k));
            // A letter is known where a k-mer without N covers it.
            let letters = sequence.as_bytes();
            for (place, letter) in record.sequence.iter().enumerate() {
                let known = (0..k).any(|offset| {
                    let window = place.checked_sub(offset).and_then(|first| letters.get(first..first + k));
                    window.is_some_and(|window| !window.contains(&b'N'))
                });
                prop_assert_eq!(*letter, if known { letters[place] } else { b'N' });
            }
        }

        #[test]
        fn masked_tables_read_back(k in prop::sample::select(vec![1usize, 3, 5]), sequence in "[ACGU]{7,60}", seed in any::<u64>()) {
            let tokenizer = Tokenizer::new(k).unwrap();
            let masked = Masker::new(tokenizer, 0.3, seed).unwrap().mask(0, &tokenizer.encode(sequence.as_bytes()));
            let writer = TokenWriter::new(tokenizer, TokenText::Kmers);
            let mut row = format!("id\tlength\ttokens\tlabels\nx\t{}\t", sequence.len()).into_bytes();
            writer.write_ids(&masked.tokens, &mut row);
            row.push(b'\t');
            writer.write_labels(&masked.labels, &mut row);
            let rows = rows(std::str::from_utf8(&row).unwrap());
            let record = rows[0].as_ref().unwrap();
            prop_assert_eq!(&record.sequence, sequence.as_bytes());
            let tokens = record.tokens.as_ref().unwrap();
            prop_assert_eq!(&tokens.ids, &masked.tokens);
            prop_assert_eq!(tokens.labels.as_ref(), Some(&masked.labels));
        }
    }
}
