//! What the batches of a training gave.

use serde::{Deserialize, Serialize};

/// The loss of the current epoch, and how many batches had anything to learn from.
///
/// A batch that has nothing to compare (a single pair, or pairs that are all masked) has a loss of 0 whatever the
/// weights: it says nothing about them, and does not count in the mean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Over the pairs of the epoch so far, each with its batch's loss.
    sum: f64,
    /// Pairs in it.
    pairs: u64,
    /// Batches of the whole training that had something to compare.
    pub(crate) compared: u64,
    /// Those that had nothing to compare.
    pub(crate) idle: u64,
}

impl Tally {
    /// Begins an epoch.
    pub(crate) fn begin_epoch(&mut self) {
        (self.sum, self.pairs) = (0.0, 0);
    }

    /// Adds a batch.
    pub(crate) fn add(&mut self, loss: f64, pairs: usize, compares: bool) {
        if compares {
            self.sum += loss * pairs as f64;
            self.pairs += pairs as u64;
            self.compared += 1;
        } else {
            self.idle += 1;
        }
    }

    /// The mean loss of the epoch's pairs; nothing where none was compared with anything.
    pub(crate) fn mean_loss(&self) -> Option<f64> {
        (self.pairs > 0).then(|| self.sum / self.pairs as f64)
    }

    /// The same for people.
    pub(crate) fn shown_loss(&self) -> String {
        self.mean_loss().map_or_else(|| "none".into(), |loss| format!("{loss:.4}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_is_the_epoch_s_mean_over_compared_pairs() {
        let mut tally = Tally::default();
        assert_eq!((tally.mean_loss(), tally.shown_loss().as_str()), (None, "none"));
        tally.add(0.0, 1, false);
        assert_eq!(tally.mean_loss(), None);
        for (loss, pairs, compares) in [(3.0, 16, true), (5.0, 16, true), (8.0, 8, true), (0.0, 1, false)] {
            tally.add(loss, pairs, compares);
        }
        assert_eq!(tally.mean_loss(), Some((3.0 * 16.0 + 5.0 * 16.0 + 8.0 * 8.0) / 40.0));
        tally.begin_epoch();
        tally.add(1.0, 4, true);
        assert_eq!(tally.mean_loss(), Some(1.0));
        assert_eq!((tally.compared, tally.idle), (4, 2), "of the whole training");
    }
}
