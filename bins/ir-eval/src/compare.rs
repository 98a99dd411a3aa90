//! One system against another.

use embtune_metrics::{
    Interval, Randomisation, TTest, Tally, bootstrap_interval, mean, paired_t_test, randomisation_test,
};

use crate::evaluate::Evaluation;

/// The level below which a difference is called significant.
pub(crate) const SIGNIFICANCE: f64 = 0.05;

/// The probability with which the interval holds the true difference.
pub(crate) const CONFIDENCE: f64 = 0.95;

/// Sign flips and resamples that are drawn: p-values near 0.05 then have a standard error of 0.002.
const SAMPLES: usize = 10_000;

/// How a system differs from the first one, on one metric.
pub(crate) struct Comparison {
    pub(crate) difference: f64,
    pub(crate) interval: Interval,
    pub(crate) randomisation: Randomisation,
    /// Absent when a single query was measured.
    pub(crate) t_test: Option<TTest>,
    pub(crate) tally: Tally,
}

impl Comparison {
    fn new(ours: &[f64], theirs: &[f64], seed: u64) -> Self {
        let differences: Vec<f64> = ours.iter().zip(theirs).map(|(ours, theirs)| ours - theirs).collect();
        let difference = mean(&differences);
        let point = Interval { low: difference, high: difference };
        Self {
            difference,
            interval: bootstrap_interval(&differences, CONFIDENCE, SAMPLES, seed).unwrap_or(point),
            randomisation: randomisation_test(&differences, SAMPLES, seed),
            t_test: paired_t_test(&differences),
            tally: Tally::of(&differences),
        }
    }

    pub(crate) fn is_significant(&self) -> bool {
        self.randomisation.p < SIGNIFICANCE
    }
}

/// Compares `system` with `first` on every metric.
pub(crate) fn compare(system: &Evaluation, first: &Evaluation, seed: u64) -> Vec<Comparison> {
    system.values.iter().zip(&first.values).map(|(ours, theirs)| Comparison::new(ours, theirs, seed)).collect()
}
