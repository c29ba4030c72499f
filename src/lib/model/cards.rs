//! The cards of the built-in models: what each is for, what it was trained on, how good it is, and what it must not be
//! used for. They are the files `models/NAME.md`.

/// The models with their cards, and what they were trained on in a few words, whose numbers stand in the card.
const CARDS: &[(&str, &str, &str)] = &[
    ("pretrain", include_str!("../../../models/pretrain.md"), "158,031 non-coding RNAs in windows up to 512 nt"),
    ("pretrain-k5", include_str!("../../../models/pretrain-k5.md"), "non-coding RNAs in windows up to 512 nt"),
    ("fold", include_str!("../../../models/fold.md"), "40,492 known structures up to 400 nt"),
    ("coding", include_str!("../../../models/coding.md"), "human, mouse and Arabidopsis transcripts"),
    ("mirtarget", include_str!("../../../models/mirtarget.md"), "human AGO2 CLASH pairs, sites of 50 nt"),
];

/// The parts of a card that tell most in a few words.
const IN_BRIEF: [&str; 3] = ["What it is for", "Training", "Limits"];

/// The card of the built-in model of this name.
pub fn named(name: &str) -> Option<&'static str> {
    CARDS.iter().find(|(known, ..)| *known == name).map(|(_, card, _)| *card)
}

/// The name in `built-in NAME model`, which is how runs call such a model.
fn name_of(model: &str) -> Option<&str> {
    model.strip_prefix("built-in ")?.strip_suffix(" model")
}

/// The card of a model as runs name it.
pub fn of_model(model: &str) -> Option<&'static str> {
    named(name_of(model)?)
}

/// What a model, as runs name it, was trained on, in a few words.
pub fn trained_on(model: &str) -> Option<&'static str> {
    let name = name_of(model)?;
    CARDS.iter().find(|(known, ..)| *known == name).map(|(.., data)| *data)
}

/// The first sentence of each part of a card that tells most: its heading, and the sentence on one line.
pub fn in_brief(card: &'static str) -> Vec<(&'static str, String)> {
    IN_BRIEF.iter().filter_map(|heading| Some((*heading, first_sentence(part(card, heading)?)))).collect()
}

/// The paragraph under `**Heading.**`, or under `**Heading** …`.
fn part(card: &'static str, heading: &str) -> Option<&'static str> {
    let start = card.find(&format!("**{heading}"))?;
    let rest = &card[start + 2 + heading.len()..];
    let text = rest.split_once("**")?.1;
    Some(text.split("\n\n").next().unwrap_or(text).trim())
}

/// The text up to the first point after which a capital letter or a line of code begins, without the marks of Markdown.
fn first_sentence(text: &str) -> String {
    let line = text.split_ascii_whitespace().collect::<Vec<_>>().join(" ").replace(['*', '`'], "");
    let end = line.match_indices(". ").find(|(at, _)| line[at + 2..].starts_with(|letter: char| letter.is_uppercase()));
    end.map_or(line.as_str(), |(at, _)| &line[..=at]).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_card_says_the_most_in_a_few_lines() {
        for (name, card, data) in CARDS {
            for number in data.split(' ').filter(|word| word.starts_with(|letter: char| letter.is_ascii_digit())) {
                assert!(card.contains(number) || *name == "pretrain-k5", "{name}: its card does not say {number}");
            }
            let brief = in_brief(card);
            assert_eq!(brief.len(), IN_BRIEF.len(), "{name}");
            for (heading, sentence) in brief {
                assert!((20..600).contains(&sentence.len()), "{name}, {heading}: {sentence}");
                assert!(!sentence.contains('\n') && !sentence.contains("**"), "{name}, {heading}: {sentence}");
            }
        }
        assert_eq!(of_model("built-in fold model"), named("fold"));
        assert_eq!(of_model("/data/fold.safetensors"), None);
    }

    #[test]
    fn sentences_end_where_they_end() {
        assert_eq!(
            first_sentence("Pairs of X et al. 2013 and\n**so** on. Then `more`."),
            "Pairs of X et al. 2013 and so on."
        );
        assert_eq!(first_sentence("One"), "One");
    }
}
