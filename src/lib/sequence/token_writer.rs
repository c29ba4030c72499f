//! The rows of a token table, written fast: the text of every id lies ready.

use super::record::TokenText;
use super::tokenizer::{FIL, Tokenizer};

/// The longest text of a token and the space after it: a 7-mer takes all eight bytes.
const WIDTH: usize = 8;

/// Writes tokens as k-mers or as ids.
pub struct TokenWriter {
    tokenizer: Tokenizer,
    form: TokenText,
    /// The text of each id with a space after it.
    texts: Vec<Text>,
}

#[derive(Clone, Copy, Default)]
struct Text {
    bytes: [u8; WIDTH],
    length: usize,
}

impl Text {
    fn new(text: &str) -> Self {
        let mut bytes = [b' '; WIDTH];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Self { bytes, length: text.len() + 1 }
    }
}

impl TokenWriter {
    /// A writer for the ids of `tokenizer`.
    pub fn new(tokenizer: Tokenizer, form: TokenText) -> Self {
        let text = |id: u32| match form {
            TokenText::Ids => Text::new(&id.to_string()),
            // Id 5 has no name and is never written.
            TokenText::Kmers => Text::new(&tokenizer.text(id).unwrap_or_default()),
        };
        let texts = (0..tokenizer.vocabulary_size() as u32).map(text).collect();
        Self { tokenizer, form, texts }
    }

    /// Appends the tokens of a normalised sequence, with a space between two.
    pub fn write_sequence(&self, sequence: &[u8], out: &mut Vec<u8>) {
        let mut at = reserve(out, sequence.len());
        if self.form == TokenText::Kmers
            && sequence.len() >= self.tokenizer.k()
            && memchr::memchr(b'N', sequence).is_none()
        {
            self.place_kmers(sequence, out, &mut at);
        } else {
            self.tokenizer.visit(sequence, |id| self.place(id, out, &mut at));
        }
        out.truncate(at.saturating_sub(!sequence.is_empty() as usize));
    }

    /// Appends tokens, with a space between two. Ids beyond the vocabulary are written as `[FIL]`.
    pub fn write_ids(&self, ids: &[u32], out: &mut Vec<u8>) {
        let mut at = reserve(out, ids.len());
        ids.iter().for_each(|id| self.place(*id, out, &mut at));
        out.truncate(at.saturating_sub(!ids.is_empty() as usize));
    }

    /// Appends labels, `.` where there is none, with a space between two.
    pub fn write_labels(&self, labels: &[Option<u32>], out: &mut Vec<u8>) {
        let mut at = reserve(out, labels.len());
        for label in labels {
            match label {
                Some(id) => self.place(*id, out, &mut at),
                None => {
                    out[at..at + 2].copy_from_slice(b". ");
                    at += 2;
                }
            }
        }
        out.truncate(at.saturating_sub(!labels.is_empty() as usize));
    }

    /// Writes the k-mers of a sequence that is at least k long and holds no N: the text of each is that of the one before
    /// moved by a letter, which takes no table.
    fn place_kmers(&self, sequence: &[u8], out: &mut [u8], at: &mut usize) {
        let k = self.tokenizer.k();
        let fill = self.tokenizer.fill();
        (0..fill).for_each(|_| self.place(FIL, out, at));
        let last = 8 * (k as u32 - 1);
        // The first letter in the lowest byte, the space in the one after the last letter.
        let space = (b' ' as u64).checked_shl(8 * k as u32).unwrap_or(0);
        let letters = sequence[..k - 1].iter();
        let mut text = letters.fold(0, |text: u64, letter| text >> 8 | (*letter as u64) << last);
        for &letter in &sequence[k - 1..] {
            text = text >> 8 & !(0xff << last) | (letter as u64) << last;
            out[*at..*at + WIDTH].copy_from_slice(&(text | space).to_le_bytes());
            *at += k + 1;
        }
        (0..fill).for_each(|_| self.place(FIL, out, at));
    }

    /// Writes the text of an id at `at`; the full width, since a copy of a fixed size is one instruction.
    #[inline(always)]
    fn place(&self, id: u32, out: &mut [u8], at: &mut usize) {
        let text = self.texts.get(id as usize).unwrap_or(&self.texts[FIL as usize]);
        out[*at..*at + WIDTH].copy_from_slice(&text.bytes);
        *at += text.length;
    }
}

/// Makes room for so many tokens and returns where they begin.
fn reserve(out: &mut Vec<u8>, tokens: usize) -> usize {
    let at = out.len();
    out.resize(at + tokens * WIDTH, 0);
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn writes_what_the_tokenizer_says(k in prop::sample::select(vec![1usize, 3, 5, 7]), sequence in "[ACGUN]{0,60}") {
            let tokenizer = Tokenizer::new(k).unwrap();
            let ids = tokenizer.encode(sequence.as_bytes());
            let kmers: Vec<String> = ids.iter().map(|id| tokenizer.text(*id).unwrap()).collect();
            let numbers: Vec<String> = ids.iter().map(u32::to_string).collect();
            for (form, expected) in [(TokenText::Kmers, kmers.join(" ")), (TokenText::Ids, numbers.join(" "))] {
                let writer = TokenWriter::new(tokenizer, form);
                let (mut from_sequence, mut from_ids) = (b"x\t".to_vec(), b"x\t".to_vec());
                writer.write_sequence(sequence.as_bytes(), &mut from_sequence);
                writer.write_ids(&ids, &mut from_ids);
                prop_assert_eq!(String::from_utf8(from_sequence).unwrap(), format!("x\t{expected}"));
                prop_assert_eq!(String::from_utf8(from_ids).unwrap(), format!("x\t{expected}"));
            }
        }
    }

    #[test]
    fn labels_are_points_where_nothing_was_masked() {
        let writer = TokenWriter::new(Tokenizer::new(3).unwrap(), TokenText::Kmers);
        let mut out = Vec::new();
        writer.write_labels(&[None, Some(13), Some(37), None], &mut out);
        assert_eq!(out, b". AUG UGG .");
        out.clear();
        writer.write_labels(&[], &mut out);
        assert_eq!(out, b"");
    }
}
