//! The scores on the dev set so far: which one is the best, and when to stop for lack of a better one.

use std::num::NonZero;

use serde::{Deserialize, Serialize};

/// A score on the dev set.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Evaluation {
    /// Number of steps that the weights had been trained for.
    pub(crate) step: u64,
    /// Higher is better, as with every metric.
    pub(crate) score: f64,
}

/// All evaluations so far, in the order of their steps. The best one and early stopping follow from them alone, so a
/// checkpoint stores nothing else. The first one is that of the base model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Evaluations(pub(crate) Vec<Evaluation>);

impl Evaluations {
    /// Adds an evaluation, and returns whether it is the best so far. One that only equals the best is not: fewer steps
    /// do as well.
    pub(crate) fn push(&mut self, evaluation: Evaluation) -> bool {
        let is_best = self.best().is_none_or(|best| evaluation.score > best.score);
        self.0.push(evaluation);
        is_best
    }

    /// The best evaluation, the first one of several.
    pub(crate) fn best(&self) -> Option<Evaluation> {
        self.best_index().map(|index| self.0[index])
    }

    /// Whether the last `patience` evaluations were no better than the best one before them.
    pub(crate) fn is_out_of_patience(&self, patience: Option<NonZero<u32>>) -> bool {
        let since_best = self.best_index().map_or(0, |best| self.0.len() - 1 - best);
        patience.is_some_and(|patience| since_best >= patience.get() as usize)
    }

    fn best_index(&self) -> Option<usize> {
        let better = |best: usize, next: usize| if self.0[next].score > self.0[best].score { next } else { best };
        (0..self.0.len()).reduce(better)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equals_is_the_best() {
        let mut evaluations = Evaluations::default();
        assert_eq!(evaluations.best(), None);
        let scores = [0.5, 0.7, 0.7, 0.6];
        let bests = scores.map(|score| evaluations.push(Evaluation { step: (score * 10.0) as u64, score }));
        assert_eq!(bests, [true, true, false, false]);
        assert_eq!(evaluations.best(), Some(Evaluation { step: 7, score: 0.7 }));
        assert!(!evaluations.is_out_of_patience(None));
    }

    #[test]
    fn patience_counts_evaluations_in_a_row() {
        let mut evaluations = Evaluations::default();
        let stops = (1..).zip([0.1, 0.05, 0.2, 0.2, 0.19]).map(|(step, score)| {
            evaluations.push(Evaluation { step, score });
            evaluations.is_out_of_patience(NonZero::new(2))
        });
        assert_eq!(stops.collect::<Vec<_>>(), [false, false, false, false, true]);
        assert_eq!(evaluations.best().unwrap().step, 3);
    }
}
