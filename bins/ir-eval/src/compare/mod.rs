//! One system against another.

use embtune_metrics::{
    Interval, Randomisation, TTest, Tally, Wilcoxon, bootstrap_interval, effect_size, holm, mean, paired_t_test,
    randomisation_test, wilcoxon_test,
};

use crate::measure::Evaluation;

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
    /// The p-value of the randomisation test, corrected for the number of metrics.
    pub(crate) holm: f64,
    /// Absent when a single query was measured.
    pub(crate) t_test: Option<TTest>,
    pub(crate) wilcoxon: Wilcoxon,
    /// Absent when all differences are the same.
    pub(crate) effect_size: Option<f64>,
    pub(crate) tally: Tally,
}

impl Comparison {
    fn new(ours: &[f64], theirs: &[f64], seed: u64) -> Self {
        let differences: Vec<f64> = ours.iter().zip(theirs).map(|(ours, theirs)| ours - theirs).collect();
        let difference = mean(&differences);
        let point = Interval { low: difference, high: difference };
        let randomisation = randomisation_test(&differences, SAMPLES, seed);
        Self {
            difference,
            interval: bootstrap_interval(&differences, CONFIDENCE, SAMPLES, seed).unwrap_or(point),
            holm: randomisation.p,
            randomisation,
            t_test: paired_t_test(&differences),
            wilcoxon: wilcoxon_test(&differences),
            effect_size: effect_size(&differences),
            tally: Tally::of(&differences),
        }
    }

    pub(crate) fn is_significant(&self) -> bool {
        self.randomisation.p < SIGNIFICANCE
    }

    /// Whether the difference would also be significant if any of the metrics had been picked afterwards.
    pub(crate) fn withstands_holm(&self) -> bool {
        self.holm < SIGNIFICANCE
    }
}

/// Compares `system` with `first` on every metric.
pub(crate) fn compare(system: &Evaluation, first: &Evaluation, seed: u64) -> Vec<Comparison> {
    let pairs = system.values.iter().zip(&first.values);
    let mut comparisons: Vec<Comparison> = pairs.map(|(ours, theirs)| Comparison::new(ours, theirs, seed)).collect();
    let p_values: Vec<f64> = comparisons.iter().map(|comparison| comparison.randomisation.p).collect();
    for (comparison, corrected) in comparisons.iter_mut().zip(holm(&p_values)) {
        comparison.holm = corrected;
    }
    comparisons
}
