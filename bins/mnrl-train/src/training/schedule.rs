//! The learning rate over the steps.

use std::f64::consts::PI;

use clap::Args;
use embtune_cli::{parse_not_negative, parse_share};
use serde::Serialize;

/// How the learning rate changes after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Decay {
    /// Falls linearly to 0
    Linear,
    /// Falls to 0 along half a cosine
    Cosine,
    /// Does not change
    Constant,
}

/// The flags of the schedule.
#[derive(Debug, Clone, Args, Serialize)]
#[command(next_help_heading = "Optimizer")]
pub(crate) struct ScheduleArgs {
    /// Highest learning rate
    #[arg(
        long,
        value_name = "RATE",
        default_value = "2e-5",
        value_parser = parse_not_negative,
        help_heading = "Training"
    )]
    pub(crate) learning_rate: f64,

    /// How the learning rate changes after the warm-up
    #[arg(long, value_name = "SHAPE", value_enum, default_value_t = Decay::Linear, hide_short_help = true)]
    pub(crate) schedule: Decay,

    /// Steps in which the learning rate rises from 0
    #[arg(long, value_name = "NUM", default_value_t = 100, conflicts_with = "warmup_ratio", hide_short_help = true)]
    pub(crate) warmup_steps: u64,

    /// Length of the warm-up as a share of all steps, below 1
    #[arg(long, value_name = "SHARE", value_parser = parse_share, hide_short_help = true)]
    pub(crate) warmup_ratio: Option<f64>,
}

/// Rises linearly from 0, then decays.
///
/// As in `get_linear_schedule_with_warmup` and its siblings in transformers' `optimization.py`: step `t`, from 0, has
/// the factor `t / warmup` before `warmup`, so that the first update of a warm-up has a rate of 0.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    pub(crate) peak: f64,
    pub(crate) decay: Decay,
    pub(crate) warmup: u64,
    pub(crate) total: u64,
}

impl Schedule {
    /// The schedule of a training of `total` steps.
    pub(crate) fn new(args: &ScheduleArgs, total: u64) -> Self {
        let share = |share: f64| (share * total as f64).ceil() as u64;
        let warmup = args.warmup_ratio.map_or(args.warmup_steps, share);
        Self { peak: args.learning_rate, decay: args.schedule, warmup, total }
    }

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

    /// The values of transformers 5.23, `get_*_schedule_with_warmup(optimizer, 4, 10)` at 1.0.
    #[test]
    fn the_rates_agree_with_transformers() {
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
        let args =
            ScheduleArgs { learning_rate: 1.0, schedule: Decay::Linear, warmup_steps: 100, warmup_ratio: Some(0.25) };
        assert_eq!(Schedule::new(&args, 10).warmup, 3);
    }
}
