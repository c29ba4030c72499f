//! How far the network is believed, and how far the energies.
//!
//! The network knows families, the trained energies know physics. Each gives a probability to every pair; the RNA's pairs
//! have a weighted mean of both. The network's weight grows with what known structures say about the RNA: where none is
//! like it, the network has nothing to go by but what it learned of other families, and is surer than it should be. The
//! numbers are from records that the network was not trained on (`models/fold.md`).

use super::helix_pairs::Facts;

/// The network's weight where known structures were not looked at.
const NOT_SEARCHED: f32 = 0.8;

/// Its weight where they say nothing, and how likeness of the best one raises it to 1: the likeness halfway, and how steep.
const WITHOUT_EVIDENCE: f32 = 0.2;
const HALFWAY: f32 = 0.34;
const STEEPNESS: f32 = 20.0;

/// The network's weight in the pair probabilities of an RNA, 0 to 1.
pub fn network_weight(facts: &Facts) -> f32 {
    if !facts.searched {
        return NOT_SEARCHED;
    }
    let likeness =
        facts.homologs.first().map_or(0.0, |best| best.identity * best.aligned.min(best.covered) * best.kept);
    let known = 1.0 / (1.0 + (-STEEPNESS * (likeness - HALFWAY)).exp());
    WITHOUT_EVIDENCE + (1.0 - WITHOUT_EVIDENCE) * known
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::dot_bracket::parse_structure_line;
    use crate::homologs::KnownStructures;
    use crate::structure::Structure;
    use crate::thermodynamics::Conditions;

    #[test]
    fn the_network_is_believed_where_a_homolog_is_known() {
        let (sequence, brackets) = (b"AAGGCAGCUCUUCGGAGCUGCCAA", b"..((((((((....))))))))..");
        let partners = parse_structure_line(brackets).expect("brackets");
        let known = KnownStructures::new([Structure { id: "known".into(), sequence: sequence.to_vec(), partners }]);
        let weight = |sequence: &[u8], known: Option<&KnownStructures>| {
            network_weight(&Facts::new(sequence, known, Conditions::default()).expect("few pairs"))
        };
        assert!(weight(sequence, Some(&known)) > 0.99);
        assert!(weight(b"CAUACUAUCAUCAUCUACUUACAUU", Some(&known)) < 0.25);
        assert_eq!(weight(sequence, None), NOT_SEARCHED);
    }
}
