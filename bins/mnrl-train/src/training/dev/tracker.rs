//! Which evaluation was the best, and when waiting for a better one has lasted long enough.

use std::num::NonZero;

use serde::{Deserialize, Serialize};

/// A figure of the dev set.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Evaluation {
    /// Steps that the weights had been trained for.
    pub(crate) step: u64,
    /// Higher is better, as with every metric.
    pub(crate) score: f64,
}

/// All evaluations so far. What it says follows from them alone, so that a checkpoint needs to keep nothing else.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tracker {
    patience: Option<NonZero<u32>>,
    history: Vec<Evaluation>,
}

impl Tracker {
    /// Goes on behind `history`, in the order of steps; empty at the start.
    pub(crate) fn new(patience: Option<NonZero<u32>>, history: Vec<Evaluation>) -> Self {
        Self { patience, history }
    }

    /// Adds an evaluation, and says whether it is the best so far. An equal figure later is none: less training does as
    /// well.
    pub(crate) fn record(&mut self, evaluation: Evaluation) -> bool {
        let is_best = self.best().is_none_or(|best| evaluation.score > best.score);
        self.history.push(evaluation);
        is_best
    }

    /// The first of the best.
    pub(crate) fn best(&self) -> Option<Evaluation> {
        self.best_index().map(|index| self.history[index])
    }

    /// Whether so many evaluations in a row as patience allows were not better than the best in front of them.
    pub(crate) fn is_out_of_patience(&self) -> bool {
        let since_best = self.best_index().map_or(0, |best| self.history.len() - 1 - best);
        self.patience.is_some_and(|patience| since_best >= patience.get() as usize)
    }

    /// Every evaluation, in the order of steps.
    pub(crate) fn history(&self) -> &[Evaluation] {
        &self.history
    }

    fn best_index(&self) -> Option<usize> {
        let better =
            |best: usize, next: usize| if self.history[next].score > self.history[best].score { next } else { best };
        (0..self.history.len()).reduce(better)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_best_is_the_best() {
        let mut tracker = Tracker::new(None, Vec::new());
        assert_eq!(tracker.best(), None);
        let scores = [0.5, 0.7, 0.7, 0.6];
        let bests = scores.map(|score| tracker.record(Evaluation { step: (score * 10.0) as u64, score }));
        assert_eq!(bests, [true, true, false, false]);
        assert_eq!(tracker.best(), Some(Evaluation { step: 7, score: 0.7 }));
        assert!(!tracker.is_out_of_patience(), "nobody asked to stop");
    }

    #[test]
    fn patience_counts_evaluations_in_a_row() {
        // Whether it goes on without a break or from a checkpoint.
        for resumes in [false, true] {
            let mut tracker = Tracker::new(NonZero::new(2), Vec::new());
            let mut stops = Vec::new();
            for (step, score) in (1..).zip([0.1, 0.05, 0.2, 0.2, 0.19]) {
                if resumes {
                    tracker = Tracker::new(NonZero::new(2), tracker.history().to_vec());
                }
                tracker.record(Evaluation { step, score });
                stops.push(tracker.is_out_of_patience());
            }
            assert_eq!(stops, [false, false, false, false, true]);
            assert_eq!(tracker.best().unwrap().step, 3);
        }
    }
}
