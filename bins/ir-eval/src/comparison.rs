//! How a system differs from another one.

use embtune_metrics::{
    Interval, Randomisation, TTest, Tally, Wilcoxon, bootstrap_interval, effect_size, holm, mean, paired_t_test,
    randomisation_test, wilcoxon_test,
};

use crate::measure::Evaluation;

/// The p-value below which a difference is called significant.
pub(crate) const SIGNIFICANCE: f64 = 0.05;

/// The confidence level of the interval of the mean difference.
pub(crate) const CONFIDENCE: f64 = 0.95;

/// How many sign flips and resamples are drawn. The standard error of a p-value near 0.05 is then 0.002.
const SAMPLES: usize = 10_000;

/// How a system differs from the first one, by one metric.
pub(crate) struct Comparison {
    pub(crate) difference: f64,
    pub(crate) interval: Interval,
    pub(crate) randomisation: Randomisation,
    /// The p-value of the randomisation test, corrected for the number of metrics.
    pub(crate) holm: f64,
    /// Absent if there is only one query.
    pub(crate) t_test: Option<TTest>,
    pub(crate) wilcoxon: Wilcoxon,
    /// Absent if all differences are the same.
    pub(crate) effect_size: Option<f64>,
    pub(crate) tally: Tally,
}

/// The conclusion of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Better,
    Worse,
    NotSignificant,
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

    pub(crate) fn verdict(&self) -> Verdict {
        match (self.is_significant(), self.difference > 0.0) {
            (true, true) => Verdict::Better,
            (true, false) => Verdict::Worse,
            (false, _) => Verdict::NotSignificant,
        }
    }

    pub(crate) fn is_significant(&self) -> bool {
        self.randomisation.p < SIGNIFICANCE
    }

    /// Whether the difference is significant even when corrected for the number of metrics.
    pub(crate) fn is_significant_when_corrected(&self) -> bool {
        self.holm < SIGNIFICANCE
    }

    /// The asterisks that a report puts beside the p-value.
    pub(crate) fn significance_mark(&self) -> &'static str {
        match (self.is_significant(), self.is_significant_when_corrected()) {
            (true, true) => "**",
            (true, false) => "*",
            (false, _) => "",
        }
    }
}

/// Compares `system` with `first` by every metric.
pub(crate) fn compare(system: &Evaluation, first: &Evaluation, seed: u64) -> Vec<Comparison> {
    let pairs = system.values.iter().zip(&first.values);
    let mut comparisons: Vec<Comparison> = pairs.map(|(ours, theirs)| Comparison::new(ours, theirs, seed)).collect();
    let p_values: Vec<f64> = comparisons.iter().map(|comparison| comparison.randomisation.p).collect();
    for (comparison, corrected) in comparisons.iter_mut().zip(holm(&p_values)) {
        comparison.holm = corrected;
    }
    comparisons
}
