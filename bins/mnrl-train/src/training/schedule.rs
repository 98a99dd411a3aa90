//! The learning rate over the steps.

use std::f64::consts::PI;

/// What the learning rate does after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Decay {
    /// Falls to 0 in a line.
    Linear,
    /// Falls to 0 in half a cosine.
    Cosine,
    /// Stays.
    Constant,
}

/// Rises from 0 in a line, then decays.
///
/// transformers `optimization.py`, `get_linear_schedule_with_warmup` and its like: step `t`, from 0, has the factor
/// `t / warmup` before `warmup`; the first update of a warm-up has a rate of 0.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    pub(crate) peak: f64,
    pub(crate) decay: Decay,
    pub(crate) warmup: u64,
    pub(crate) total: u64,
}

impl Schedule {
    /// The learning rate of step `t`, counted from 0.
    pub(crate) fn rate(&self, t: u64) -> f64 {
        if t < self.warmup {
            return self.peak * t as f64 / self.warmup as f64;
        }
        let rest = self.total.saturating_sub(self.warmup).max(1) as f64;
        let left = self.total.saturating_sub(t) as f64 / rest;
        self.peak
            * match self.decay {
                Decay::Linear => left,
                Decay::Cosine => 0.5 * (1.0 + (PI * (1.0 - left)).cos()),
                Decay::Constant => 1.0,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_rates(decay: Decay, expected: [f64; 10]) {
        let schedule = Schedule { peak: 1.0, decay, warmup: 4, total: 10 };
        for (t, expected) in expected.into_iter().enumerate() {
            assert!((schedule.rate(t as u64) - expected).abs() < 1e-12, "{decay:?}, step {t}");
        }
    }

    /// Figures of transformers 5.23, `get_*_schedule_with_warmup(optimizer, 4, 10)` at 1.0.
    #[test]
    fn the_rates_are_those_of_transformers() {
        let third = |n: f64| n / 6.0;
        assert_rates(
            Decay::Linear,
            [0.0, 0.25, 0.5, 0.75, 1.0, third(5.0), third(4.0), third(3.0), third(2.0), third(1.0)],
        );
        let cosine = [1.0, 0.9330127018922194, 0.75, 0.5, 0.25, 0.06698729810778065];
        assert_rates(
            Decay::Cosine,
            [0.0, 0.25, 0.5, 0.75, cosine[0], cosine[1], cosine[2], cosine[3], cosine[4], cosine[5]],
        );
        assert_rates(Decay::Constant, [0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
        let empty = Schedule { peak: 1.0, decay: Decay::Linear, warmup: 0, total: 0 };
        assert_eq!(empty.rate(0), 0.0);
    }
}
