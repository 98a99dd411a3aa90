//! Which candidates remain, by score.

use anyhow::ensure;

use crate::choice::reason::Reason;
use crate::cli::ChoiceArgs;

/// With a limit that drops the best candidates, this many times as many are looked at (as sentence-transformers does).
const MORE_CANDIDATES: usize = 10;

/// The limits of a run, checked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Limits {
    pub(crate) range_min: usize,
    range_max: RangeMax,
    max_score: Option<f32>,
    min_score: Option<f32>,
    absolute_margin: Option<f32>,
    relative_margin: Option<f32>,
}

/// Where the range ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RangeMax {
    Given(usize),
    /// So many, and as many more as the query with the most positives has.
    Without(usize),
}

impl Limits {
    /// Takes the limits from the flags.
    ///
    /// # Errors
    /// A range that cannot hold the negatives, a limit that is not a number.
    pub(crate) fn new(choice: &ChoiceArgs) -> anyhow::Result<Self> {
        let ChoiceArgs { range_min, max_score, min_score, absolute_margin, relative_margin, .. } = *choice;
        for (flag, value) in [
            ("max-score", max_score),
            ("min-score", min_score),
            ("absolute-margin", absolute_margin),
            ("relative-margin", relative_margin),
        ] {
            ensure!(value.is_none_or(f32::is_finite), "--{flag}: expected a number");
        }
        let wanted = choice.num_negatives.get();
        let drops_the_best = max_score.or(absolute_margin).or(relative_margin).is_some();
        let looked_at = wanted.saturating_mul(if drops_the_best { MORE_CANDIDATES } else { 1 });
        if let Some(range_max) = choice.range_max {
            ensure!(
                range_max.checked_sub(range_min).is_some_and(|width| width >= wanted),
                "the range from {range_min} to {range_max} cannot hold {wanted} negatives\n\
                 hint: raise --range-max, or lower --range-min or --num-negatives"
            );
        }
        let range_max =
            choice.range_max.map_or(RangeMax::Without(range_min.saturating_add(looked_at)), RangeMax::Given);
        Ok(Self { range_min, range_max, max_score, min_score, absolute_margin, relative_margin })
    }

    /// The most candidates that are left by the limits, where a query has `most_positives` at most.
    pub(crate) fn range_max(&self, most_positives: usize) -> usize {
        match self.range_max {
            RangeMax::Given(most) => most,
            RangeMax::Without(most) => most.saturating_add(most_positives),
        }
    }

    /// Why a candidate of this score is dropped, if it is, where the positive has the score `positive`.
    ///
    /// The relative margin is a share of the score's size, so that it works on negative scores too.
    pub(crate) fn refuse(&self, score: f32, positive: f32) -> Option<Reason> {
        if self.absolute_margin.is_some_and(|margin| score + margin > positive) {
            Some(Reason::AbsoluteMargin)
        } else if self.relative_margin.is_some_and(|margin| score > positive - positive.abs() * margin) {
            Some(Reason::RelativeMargin)
        } else if self.max_score.is_some_and(|max| score > max) {
            Some(Reason::MaxScore)
        } else if self.min_score.is_some_and(|min| score < min) {
            Some(Reason::MinScore)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::Cli;

    fn limits(flags: &str) -> anyhow::Result<Limits> {
        let fixed = "mine-negatives --queries q --corpus c --texts t";
        let cli = Cli::try_parse_from(format!("{fixed} {flags}").split_whitespace())?;
        Limits::new(&cli.choice)
    }

    #[test]
    fn the_range_follows_the_limits() {
        let range = |flags: &str| limits(flags).map(|limits| (limits.range_min, limits.range_max(2))).unwrap();
        assert_eq!(range(""), (0, 5));
        assert_eq!(range("-n 5 --range-min 10"), (10, 17));
        assert_eq!(range("-n 5 --range-min 10 --min-score 0.1"), (10, 17));
        assert_eq!(range("-n 5 --range-min 10 --relative-margin 0.05"), (10, 62));
        assert_eq!(range("-n 5 --max-score 0.9 --range-max 7"), (0, 7));
    }

    #[test]
    fn ranges_that_cannot_be_are_refused() {
        for flags in ["-n 5 --range-max 4", "--range-min 5 --range-max 5", "--range-min 9 --range-max 5"] {
            assert!(limits(flags).unwrap_err().to_string().contains("cannot hold"), "{flags}");
        }
        assert!(limits("-n 0").is_err());
        assert!(limits("--max-score NaN").is_err());
    }

    #[test]
    fn equality_keeps() {
        let limits = limits("--absolute-margin 0.25 --min-score 0.125 --max-score 0.75").unwrap();
        assert_eq!(limits.refuse(0.5, 0.75), None);
        assert_eq!(limits.refuse(0.51, 0.75), Some(Reason::AbsoluteMargin));
        assert_eq!(limits.refuse(0.75, 1.0), None);
        assert_eq!(limits.refuse(0.76, 1.5), Some(Reason::MaxScore));
        assert_eq!(limits.refuse(0.125, 1.0), None);
        assert_eq!(limits.refuse(0.12, 1.0), Some(Reason::MinScore));
    }

    #[test]
    fn a_relative_margin_works_on_both_sides_of_zero() {
        let limits = limits("--relative-margin 0.5").unwrap();
        assert_eq!(limits.refuse(0.5, 1.0), None);
        assert_eq!(limits.refuse(0.51, 1.0), Some(Reason::RelativeMargin));
        assert_eq!(limits.refuse(-1.5, -1.0), None);
        assert_eq!(limits.refuse(-1.4, -1.0), Some(Reason::RelativeMargin));
    }
}
