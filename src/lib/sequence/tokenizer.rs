//! Overlapping k-mers: one token per nucleotide.
//!
//! Ids: 0 `[PAD]`, 1 `[FIL]`, 2 `[UNK]`, 3 `[SEQ]` and `[CLS]`, 4 `[MASK]`, 5 unused; the k-mers follow from 6 in
//! lexicographic order over the letter order A, U, C, G. The token of a nucleotide is the k-mer centred on it;
//! (k-1)/2 `[FIL]` stand at both ends, where no k-mer is complete.

use crate::{Error, Result};

/// Stands for nothing: fills a batch. Never produced from a sequence.
pub const PAD: u32 = 0;
/// Stands at both ends of a sequence, where no k-mer is complete.
pub const FIL: u32 = 1;
/// A k-mer with a letter that is not known.
pub const UNK: u32 = 2;
/// Stands before a sequence.
pub const SEQ: u32 = 3;
/// Stands before a pair of sequences; the same id as [`SEQ`].
pub const CLS: u32 = SEQ;
/// Stands for a token that the model is to guess.
pub const MASK: u32 = 4;
/// The id of the first k-mer.
pub const FIRST_KMER: u32 = 6;

/// The letters in the order that numbers the k-mers.
pub const LETTERS: [u8; 4] = *b"AUCG";

/// Marks a letter without a number (N) in [`LETTER_CODE`].
const NO_CODE: u8 = 4;

/// The number of each normalised letter.
const LETTER_CODE: [u8; 256] = {
    let mut table = [NO_CODE; 256];
    let mut code = 0;
    while code < 4 {
        table[LETTERS[code] as usize] = code as u8;
        code += 1;
    }
    table
};

/// From nucleotides to token ids and back, for one k.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tokenizer {
    k: usize,
}

impl Tokenizer {
    /// A tokenizer for k-mers of `k` nucleotides: 1, 3, 5 or 7; anything else is a usage error.
    pub fn new(k: usize) -> Result<Self> {
        if !matches!(k, 1 | 3 | 5 | 7) {
            return Err(Error::Usage(format!("k = {k}: k-mers are of 1, 3, 5 or 7 nucleotides")));
        }
        Ok(Self { k })
    }

    /// The length of a k-mer.
    pub fn k(&self) -> usize {
        self.k
    }

    /// The number of `[FIL]` at each end: (k-1)/2.
    pub fn fill(&self) -> usize {
        (self.k - 1) / 2
    }

    /// The number of k-mers: 4^k.
    pub fn kmers(&self) -> u32 {
        1 << (2 * self.k)
    }

    /// The number of ids, the unused one included: 4^k + 6.
    pub fn vocabulary_size(&self) -> usize {
        (self.kmers() + FIRST_KMER) as usize
    }

    /// The ids of a normalised sequence (letters ACGUN): as many as it has letters.
    /// A sequence shorter than k gives `[FIL]` throughout.
    pub fn encode(&self, sequence: &[u8]) -> Vec<u32> {
        let mut ids = Vec::new();
        self.encode_into(sequence, &mut ids);
        ids
    }

    /// As [`Tokenizer::encode`], appending to `ids`.
    pub fn encode_into(&self, sequence: &[u8], ids: &mut Vec<u32>) {
        ids.reserve(sequence.len());
        self.visit(sequence, |id| ids.push(id));
    }

    /// Calls `each` with every id of a normalised sequence, in order.
    #[inline(always)]
    pub fn visit(&self, sequence: &[u8], mut each: impl FnMut(u32)) {
        let fill = self.fill();
        if sequence.len() < self.k {
            sequence.iter().for_each(|_| each(FIL));
            return;
        }
        (0..fill).for_each(|_| each(FIL));
        let mut window = Window::new(self.k);
        let (head, tail) = sequence.split_at(self.k - 1);
        for &letter in head {
            window.push(letter);
        }
        for &letter in tail {
            window.push(letter);
            each(window.id());
        }
        (0..fill).for_each(|_| each(FIL));
    }

    /// The letters of a k-mer, first to last, and `None` for any other id.
    pub fn kmer(&self, id: u32) -> Option<impl Iterator<Item = u8> + use<>> {
        let k = self.k;
        let code = id.checked_sub(FIRST_KMER).filter(|code| *code < self.kmers())?;
        Some((0..k).rev().map(move |place| LETTERS[(code >> (2 * place)) as usize & 3]))
    }

    /// The text of an id: a k-mer in RNA letters or a name in brackets (`[SEQ]` for 3). `None` for 5 and beyond the
    /// vocabulary.
    pub fn text(&self, id: u32) -> Option<String> {
        let name = match id {
            PAD => "[PAD]",
            FIL => "[FIL]",
            UNK => "[UNK]",
            SEQ => "[SEQ]",
            MASK => "[MASK]",
            _ => return self.kmer(id).map(|letters| letters.map(char::from).collect()),
        };
        Some(name.to_owned())
    }

    /// The id of a text: a k-mer in upper-case RNA letters or a name in brackets.
    pub fn id(&self, text: &[u8]) -> Option<u32> {
        if text.first() == Some(&b'[') {
            return match text {
                b"[PAD]" => Some(PAD),
                b"[FIL]" => Some(FIL),
                b"[UNK]" => Some(UNK),
                b"[SEQ]" | b"[CLS]" => Some(SEQ),
                b"[MASK]" => Some(MASK),
                _ => None,
            };
        }
        if text.len() != self.k {
            return None;
        }
        let mut code = 0;
        let mut known = true;
        for &letter in text {
            let letter = LETTER_CODE[letter as usize];
            known &= letter != NO_CODE;
            code = code << 2 | (letter & 3) as u32;
        }
        known.then_some(code + FIRST_KMER)
    }

    /// The vocabulary as a JSON object from text to id, in the order of the ids, ending in a line end.
    /// `[SEQ]` and `[CLS]` share an id; 5 has no text.
    pub fn vocabulary_json(&self) -> String {
        let mut json = String::from("{");
        let names = ["[PAD]", "[FIL]", "[UNK]", "[SEQ]", "[CLS]", "[MASK]"];
        let special = names.into_iter().zip([PAD, FIL, UNK, SEQ, CLS, MASK]).map(|(name, id)| (name.to_owned(), id));
        let kmers = (FIRST_KMER..self.vocabulary_size() as u32).filter_map(|id| self.text(id).map(|kmer| (kmer, id)));
        for (index, (text, id)) in special.chain(kmers).enumerate() {
            let comma = if index == 0 { "" } else { "," };
            json.push_str(&format!("{comma}\n  \"{text}\": {id}"));
        }
        json.push_str("\n}\n");
        json
    }
}

/// The last k letters, as a number.
struct Window {
    code: u32,
    mask: u32,
    /// Letters since the last unknown one, as a bit mask of k bits: full when all are known.
    known: u32,
    full: u32,
}

impl Window {
    fn new(k: usize) -> Self {
        Self { code: 0, mask: (1 << (2 * k)) - 1, known: 0, full: (1 << k) - 1 }
    }

    #[inline(always)]
    fn push(&mut self, letter: u8) {
        let letter = LETTER_CODE[letter as usize];
        self.code = (self.code << 2 | (letter & 3) as u32) & self.mask;
        self.known = (self.known << 1 | (letter != NO_CODE) as u32) & self.full;
    }

    #[inline(always)]
    fn id(&self) -> u32 {
        if self.known == self.full { self.code + FIRST_KMER } else { UNK }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ids(k: usize, sequence: &str) -> Vec<u32> {
        let sequence = super::super::normalise(sequence.as_bytes()).unwrap();
        Tokenizer::new(k).unwrap().encode(&sequence)
    }

    /// What the published tokenizer gives.
    #[test]
    fn agrees_with_the_reference() {
        assert_eq!(ids(1, "AUGGCU"), [6, 7, 9, 9, 8, 7]);
        assert_eq!(ids(3, "AUGGCU"), [1, 13, 37, 68, 63, 1]);
        assert_eq!(ids(5, "AUGGCU"), [1, 1, 132, 511, 1, 1]);
        let ambiguous = "AAUCGGGACACUGAGAUUUGUCAGCGUCUACUAGCGUNUUGUUAACGUCUCUGGAGUURUUAUC";
        assert_eq!(
            ids(3, ambiguous),
            [
                1, 7, 12, 33, 53, 69, 66, 56, 14, 40, 15, 45, 34, 57, 18, 55, 11, 27, 29, 35, 60, 30, 41, 20, 65, 51,
                60, 31, 42, 24, 15, 42, 25, 20, 65, 51, 2, 2, 2, 29, 35, 59, 26, 22, 8, 17, 51, 60, 31, 44, 31, 45, 37,
                66, 57, 19, 59, 2, 2, 2, 26, 23, 12, 1
            ]
        );
        // Lower case, as it stands in the reference's own example.
        assert_eq!(ids(1, "gcaauuccaaugaag"), [9, 8, 6, 6, 7, 7, 8, 8, 6, 6, 7, 9, 6, 6, 9]);
        assert_eq!(ids(5, "gcaauuccaaugaag")[..9], [1, 1, 903, 523, 28, 96, 366, 422, 647]);
    }

    #[test]
    fn a_record_shorter_than_k_is_fill() {
        assert_eq!(ids(5, "AUGG"), [FIL; 4]);
        assert_eq!(ids(5, "AUGGC"), [FIL, FIL, 132, FIL, FIL]);
        assert_eq!(ids(3, "A"), [FIL]);
        assert_eq!(ids(1, "A"), [FIRST_KMER]);
        assert_eq!(ids(3, ""), [0u32; 0]);
    }

    #[test]
    fn refuses_other_k() {
        for k in [0, 2, 4, 6, 8, 9] {
            assert!(Tokenizer::new(k).is_err());
        }
    }

    #[test]
    fn the_vocabulary_is_complete_and_ordered() {
        for k in [1, 3, 5, 7] {
            let tokenizer = Tokenizer::new(k).unwrap();
            assert_eq!(tokenizer.vocabulary_size(), 4usize.pow(k as u32) + 6);
            let json: serde_json::Map<String, serde_json::Value> =
                serde_json::from_str(&tokenizer.vocabulary_json()).unwrap();
            assert_eq!(json.len(), tokenizer.vocabulary_size());
            for (text, id) in &json {
                let id = id.as_u64().unwrap() as u32;
                assert_eq!(tokenizer.id(text.as_bytes()), Some(id));
                if text != "[CLS]" {
                    assert_eq!(tokenizer.text(id).as_ref(), Some(text));
                }
            }
        }
        let tokenizer = Tokenizer::new(1).unwrap();
        let expected = "{\n  \"[PAD]\": 0,\n  \"[FIL]\": 1,\n  \"[UNK]\": 2,\n  \"[SEQ]\": 3,\n  \"[CLS]\": 3,\n  \
                        \"[MASK]\": 4,\n  \"A\": 6,\n  \"U\": 7,\n  \"C\": 8,\n  \"G\": 9\n}\n";
        assert_eq!(tokenizer.vocabulary_json(), expected);
        assert_eq!(tokenizer.text(5), None);
        assert_eq!(tokenizer.text(10), None);
        assert_eq!(tokenizer.id(b"[NO]"), None);
        assert_eq!(tokenizer.id(b"T"), None);
        assert_eq!(tokenizer.id(b"AA"), None);
    }

    proptest! {
        #[test]
        fn every_kmer_reads_back(k in prop::sample::select(vec![1usize, 3, 5, 7]), sequence in "[ACGUN]{0,60}") {
            let tokenizer = Tokenizer::new(k).unwrap();
            let ids = tokenizer.encode(sequence.as_bytes());
            prop_assert_eq!(ids.len(), sequence.len());
            let half = tokenizer.fill();
            for (index, id) in ids.iter().enumerate() {
                let whole = sequence.len() >= k && index >= half && index + half < sequence.len();
                if !whole {
                    prop_assert_eq!(*id, FIL);
                    continue;
                }
                let kmer = &sequence[index - half..index + half + 1];
                if kmer.contains('N') {
                    prop_assert_eq!(*id, UNK);
                } else {
                    prop_assert_eq!(tokenizer.text(*id).unwrap(), kmer);
                    prop_assert_eq!(tokenizer.id(kmer.as_bytes()), Some(*id));
                }
            }
        }
    }
}
