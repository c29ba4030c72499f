//! Chemical probing: how reactive a base is says how likely it is in no pair.

/// How reactivities become free energies (Deigan et al., PNAS 106:97, 2009): each base of two stacked pairs adds
/// slope ln(reactivity + 1) + intercept, kcal/mol.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PseudoEnergy {
    /// kcal/mol.
    pub slope: f64,
    /// kcal/mol.
    pub intercept: f64,
}

impl Default for PseudoEnergy {
    /// What RNAfold has.
    fn default() -> Self {
        Self { slope: 1.8, intercept: -0.6 }
    }
}

impl PseudoEnergy {
    /// Of a base of this reactivity; nothing where it is not known (not a number), and, as in ViennaRNA, where it is below zero.
    pub fn of(&self, reactivity: f64) -> f64 {
        match reactivity >= 0.0 {
            true => self.slope * (reactivity + 1.0).ln() + self.intercept,
            false => 0.0,
        }
    }
}
