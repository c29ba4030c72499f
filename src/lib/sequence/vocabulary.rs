//! The words of a language model that was published with a list of them: single letters, overlapping k-mers or codons, and what
//! stands before, between and after sequences.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What a word is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// One nucleotide.
    Letter,
    /// This many nucleotides; the next word begins one nucleotide later.
    Kmer(usize),
    /// Three nucleotides; the next word begins after them.
    Codon,
}

/// A list of words, as the metadata of weights store it. The place of a word is its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VocabularyConfig {
    /// What a word is made of.
    pub unit: Unit,
    /// The words, in RNA letters or with T for U; special ones in `<>` or `[]`.
    pub words: Vec<String>,
    /// Whether what has no word is read as the unknown word. Otherwise a letter that has none is read as N, and refused where N
    /// has none.
    pub unknown: bool,
}

impl VocabularyConfig {
    /// One word for each nucleotide, with the ids of the k-mer tokenizer for k = 1, and `[CLS]` before a sequence.
    pub fn letters() -> Self {
        let words = ["[PAD]", "[FIL]", "[UNK]", "[CLS]", "[MASK]", "[5]", "A", "U", "C", "G"];
        Self { unit: Unit::Letter, words: words.map(str::to_owned).to_vec(), unknown: true }
    }
}

/// Why a sequence cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoWord(String);

impl std::fmt::Display for NoWord {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}

/// From letters to ids.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    config: VocabularyConfig,
    ids: HashMap<Vec<u8>, u32>,
    /// The id of each letter, where words are letters.
    letters: Vec<Option<u32>>,
    before: Option<u32>,
    after: Option<u32>,
    mask: Option<u32>,
    unknown: Option<u32>,
}

impl Vocabulary {
    /// The vocabulary of this list.
    ///
    /// # Errors
    /// [`Error::Usage`] where the list lacks a word for A, C, G or U, or most words of its unit.
    pub fn new(config: &VocabularyConfig) -> Result<Self> {
        let wrong = |message: String| Err(Error::Usage(message));
        let width = match config.unit {
            Unit::Letter => 1,
            Unit::Kmer(k) => k,
            Unit::Codon => 3,
        };
        if !(1..=16).contains(&width) {
            return wrong(format!("words of {width} nucleotides are not read"));
        }
        let special = |names: &[&str]| {
            config.words.iter().position(|word| names.contains(&word.as_str())).map(|place| place as u32)
        };
        let mut ids = HashMap::new();
        // A word in RNA letters comes before the same word in DNA letters.
        for rna in [true, false] {
            for (id, word) in config.words.iter().enumerate() {
                let written = word.to_ascii_uppercase().into_bytes();
                let letters: Vec<u8> =
                    written.iter().map(|&letter| if letter == b'T' { b'U' } else { letter }).collect();
                let is_word = letters.len() == width && letters.iter().all(u8::is_ascii_uppercase);
                if is_word && (letters == written) == rna {
                    ids.entry(letters).or_insert(id as u32);
                }
            }
        }
        let mut letters = vec![None; 256];
        let unknown = special(&["<unk>", "[UNK]"]);
        if config.unit == Unit::Letter {
            let other = if config.unknown { unknown } else { ids.get(&b"N"[..]).copied() };
            for letter in *b"ACGURYSWKMBDHVN" {
                letters[letter as usize] = ids.get(&[letter][..]).copied().or(other);
            }
            if let Some(missing) = b"ACGU".iter().find(|letter| !ids.contains_key(&[**letter][..])) {
                return wrong(format!("the vocabulary has no word for {}", char::from(*missing)));
            }
        } else if ids.len() < 4usize.pow(width as u32) {
            return wrong(format!("the vocabulary has {} words of {width} nucleotides", ids.len()));
        }
        let [before, after, mask] = [&["<cls>", "[CLS]"][..], &["<eos>", "[SEP]"], &["<mask>", "[MASK]"]].map(special);
        Ok(Self { config: config.clone(), ids, letters, before, after, mask, unknown })
    }

    /// What a word is made of.
    pub fn unit(&self) -> Unit {
        self.config.unit
    }

    /// Number of ids.
    pub fn len(&self) -> usize {
        self.config.words.len()
    }

    /// True for a list without words, which [`Vocabulary::new`] refuses.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The word that stands before a sequence.
    pub fn before(&self) -> Option<u32> {
        self.before
    }

    /// The word that stands after a sequence.
    pub fn after(&self) -> Option<u32> {
        self.after
    }

    /// The word for what is to be guessed.
    pub fn mask(&self) -> Option<u32> {
        self.mask
    }

    /// The id of a nucleotide, A, C, G or U, where words are letters.
    pub fn letter(&self, letter: u8) -> Option<u32> {
        self.ids.get(&[letter][..]).copied()
    }

    /// Number of words of a sequence of `length` letters, without those around it.
    ///
    /// # Errors
    /// Where there is no such sequence of words.
    pub fn count(&self, length: usize) -> std::result::Result<usize, NoWord> {
        match self.config.unit {
            Unit::Letter => Ok(length),
            Unit::Kmer(k) if length >= k => Ok(length + 1 - k),
            Unit::Kmer(k) => Err(NoWord(format!("{length} nt are fewer than the {k} of a word of this model"))),
            Unit::Codon if length > 0 && length.is_multiple_of(3) => Ok(length / 3),
            Unit::Codon => Err(NoWord(format!(
                "{length} nt are no whole number of codons: this model reads coding sequences from the first base of a codon"
            ))),
        }
    }

    /// Appends the ids of upper-case RNA letters (ACGU and IUPAC codes), without the words around a sequence.
    ///
    /// # Errors
    /// Says which letter has no word, and where it is.
    pub fn encode_into(&self, letters: &[u8], ids: &mut Vec<u32>) -> std::result::Result<(), NoWord> {
        ids.reserve(self.count(letters.len())?);
        if self.config.unit == Unit::Letter {
            for (place, &letter) in letters.iter().enumerate() {
                ids.push(self.letters[letter as usize].ok_or_else(|| no_word(&[letter], place))?);
            }
            return Ok(());
        }
        let (width, step) = if let Unit::Kmer(k) = self.config.unit { (k, 1) } else { (3, 3) };
        for (index, word) in letters.windows(width).step_by(step).enumerate() {
            let id = self.ids.get(word).copied().or(self.unknown.filter(|_| self.config.unknown));
            ids.push(id.ok_or_else(|| no_word(word, index * step))?);
        }
        Ok(())
    }
}

fn no_word(word: &[u8], place: usize) -> NoWord {
    NoWord(format!("position {}: {} is no word of this model", place + 1, word.escape_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary(unit: Unit, words: &[&str], unknown: bool) -> Result<Vocabulary> {
        Vocabulary::new(&VocabularyConfig {
            unit,
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            unknown,
        })
    }

    fn ids(vocabulary: &Vocabulary, letters: &str) -> std::result::Result<Vec<u32>, String> {
        let mut ids = Vec::new();
        vocabulary.encode_into(letters.as_bytes(), &mut ids).map_err(|error| error.to_string())?;
        Ok(ids)
    }

    #[test]
    fn letters_keep_their_iupac_codes_where_there_is_a_word() {
        let words = ["<cls>", "<pad>", "<eos>", "<unk>", "<mask>", "A", "C", "G", "T", "R", "N"];
        let with = vocabulary(Unit::Letter, &words, false).unwrap();
        assert_eq!((with.before(), with.after(), with.mask()), (Some(0), Some(2), Some(4)));
        assert_eq!(ids(&with, "ACGURNY"), Ok(vec![5, 6, 7, 8, 9, 10, 10]));
        let without = vocabulary(Unit::Letter, &words[..9], false).unwrap();
        assert_eq!(ids(&without, "ACRU"), Err("position 3: R is no word of this model".into()));
        assert_eq!(ids(&vocabulary(Unit::Letter, &words[..9], true).unwrap(), "ACRU"), Ok(vec![5, 6, 3, 8]));
        assert!(vocabulary(Unit::Letter, &words[..8], false).is_err());
        // U and T apart: RNA is U.
        let both = vocabulary(Unit::Letter, &["T", "U", "A", "C", "G"], false).unwrap();
        assert_eq!(ids(&both, "U"), Ok(vec![1]));
    }

    #[test]
    fn our_own_letters_have_the_ids_of_the_tokenizer() {
        let own = Vocabulary::new(&VocabularyConfig::letters()).unwrap();
        let tokenizer = crate::sequence::Tokenizer::new(1).unwrap();
        assert_eq!(ids(&own, "AUGCCNA").unwrap(), tokenizer.encode(b"AUGCCNA"));
        assert_eq!(own.len(), tokenizer.vocabulary_size());
        assert_eq!((own.before(), own.after()), (Some(crate::sequence::tokenizer::CLS), None));
        assert_eq!(own.mask(), Some(crate::sequence::tokenizer::MASK));
    }

    #[test]
    fn kmers_overlap_and_codons_do_not() {
        let all = |width: u32| -> Vec<String> {
            let letter = |number: usize, place: u32| char::from(b"ACGU"[number / 4usize.pow(place) % 4]);
            let word = |number| (0..width).rev().map(|place| letter(number, place)).collect();
            ["<unk>".to_owned()].into_iter().chain((0..4usize.pow(width)).map(word)).collect()
        };
        let of = |unit, words, unknown| Vocabulary::new(&VocabularyConfig { unit, words, unknown }).unwrap();
        let kmers = of(Unit::Kmer(3), all(3), true);
        assert_eq!(ids(&kmers, "AAACN"), Ok(vec![1, 2, 0]));
        assert!(ids(&kmers, "AA").unwrap_err().contains("2 nt are fewer than the 3"));
        assert_eq!(kmers.count(5).unwrap(), 3);
        let codons = of(Unit::Codon, all(3), false);
        assert_eq!(ids(&codons, "AAAACC"), Ok(vec![1, 6]));
        assert!(ids(&codons, "AAAA").unwrap_err().contains("codons"));
        assert_eq!(ids(&codons, "AAAANC"), Err("position 4: ANC is no word of this model".into()));
        assert!(vocabulary(Unit::Codon, &["AAA"], true).is_err());
    }
}
