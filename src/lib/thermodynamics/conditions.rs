//! What beside its letters decides how a sequence folds.

use std::sync::{Arc, LazyLock};

use super::constraints::Constraints;
use super::factors::Factors;
use super::parameters::EnergyParameters;

/// Most bases from the first to the last of a pair, both counted, where nothing else is asked for: the known structures, and
/// those that the model was trained on, are no longer.
pub const DEFAULT_SPAN: usize = 600;

/// The energies of loops at one temperature.
#[derive(Debug)]
pub struct EnergyModels {
    /// Turner 2004, in whole hundredths of kcal/mol.
    pub turner2004: EnergyParameters,
    /// Turner 2004 as Boltzmann factors.
    pub turner2004_factors: Factors,
    /// The set that the fold model folds with, as Boltzmann factors.
    pub trained_factors: Factors,
}

impl PartialEq for EnergyModels {
    /// There is one for each temperature.
    fn eq(&self, other: &Self) -> bool {
        self.turner2004 == other.turner2004
    }
}

impl EnergyModels {
    /// Those at 37 degrees Celsius.
    pub fn at_37() -> Arc<Self> {
        static MODELS: LazyLock<Arc<EnergyModels>> = LazyLock::new(|| {
            Arc::new(EnergyModels {
                turner2004: EnergyParameters::turner2004().clone(),
                turner2004_factors: Factors::turner2004().clone(),
                trained_factors: Factors::trained().clone(),
            })
        });
        MODELS.clone()
    }

    /// Those at another temperature, degrees Celsius.
    pub fn at(celsius: f64) -> Arc<Self> {
        let turner2004 = EnergyParameters::turner2004().at(celsius).in_hundredths();
        Arc::new(Self {
            turner2004_factors: Factors::new(&turner2004),
            turner2004,
            trained_factors: Factors::new(&EnergyParameters::trained().at(celsius)),
        })
    }
}

/// What beside its letters decides how a sequence folds.
#[derive(Clone, Debug, PartialEq)]
pub struct Conditions {
    /// The energies, at the temperature.
    pub models: Arc<EnergyModels>,
    /// Most bases from the first to the last of a pair, both counted. Time and memory grow with it.
    pub max_span: usize,
    /// What is known of the structure, for each base.
    pub constraints: Option<Arc<Constraints>>,
    /// What each base adds to the free energy of two stacked pairs that it is part of, kcal/mol.
    pub stacking: Option<Arc<Vec<f64>>>,
}

impl Default for Conditions {
    fn default() -> Self {
        Self::of_span(DEFAULT_SPAN)
    }
}

impl Conditions {
    /// Nothing but the longest span.
    pub fn of_span(max_span: usize) -> Self {
        Self { models: EnergyModels::at_37(), max_span, constraints: None, stacking: None }
    }

    /// Those without a limit to the span of pairs.
    pub fn any_span() -> Self {
        Self::of_span(usize::MAX)
    }

    /// Whether any pair within the longest span is not allowed.
    pub(super) fn restrict_pairs(&self) -> bool {
        self.constraints.is_some()
    }

    /// Whether the bases i < j are allowed to pair, whatever their letters.
    #[inline]
    pub fn allow(&self, i: usize, j: usize) -> bool {
        j - i < self.max_span && self.constraints.as_ref().is_none_or(|constraints| constraints.allow(i, j))
    }

    /// What the bases of two stacked pairs add to their free energy, the outer pair being (i, j), kcal/mol.
    #[inline]
    pub(super) fn of_stack(&self, i: usize, j: usize) -> f64 {
        self.stacking.as_ref().map_or(0.0, |stacking| stacking[i] + stacking[i + 1] + stacking[j - 1] + stacking[j])
    }
}
