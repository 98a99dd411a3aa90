//! The limits on ranks and scores of candidates.

use anyhow::ensure;

use crate::drop_reason::DropReason;

/// How many times as many candidates are considered if a limit drops the best ones, as in sentence-transformers.
const OVERSAMPLING: usize = 10;

/// The limits as the user gives them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct LimitSettings {
    /// How many of the best candidates are skipped.
    pub(crate) range_min: usize,
    /// How many candidates are considered; derived from the others if absent.
    pub(crate) range_max: Option<usize>,
    pub(crate) max_score: Option<f32>,
    pub(crate) min_score: Option<f32>,
    /// How far below the positive's score a candidate must be.
    pub(crate) absolute_margin: Option<f32>,
    /// The same as a share of the positive's score.
    pub(crate) relative_margin: Option<f32>,
}

/// The limits of a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Limits {
    settings: LimitSettings,
    /// The end of the range if it is derived, without the positives.
    default_max: usize,
}

impl Limits {
    /// Checks that the range can hold `num_negatives`.
    ///
    /// # Errors
    /// A range that is too small.
    pub(crate) fn new(settings: LimitSettings, num_negatives: usize) -> anyhow::Result<Self> {
        let LimitSettings { range_min, range_max, max_score, absolute_margin, relative_margin, .. } = settings;
        if let Some(range_max) = range_max {
            ensure!(
                range_max.checked_sub(range_min).is_some_and(|width| width >= num_negatives),
                "the range from {range_min} to {range_max} cannot hold {num_negatives} negatives\n\
                 hint: raise --range-max, or lower --range-min or --num-negatives"
            );
        }
        let drops_the_best = max_score.or(absolute_margin).or(relative_margin).is_some();
        let considered = num_negatives.saturating_mul(if drops_the_best { OVERSAMPLING } else { 1 });
        Ok(Self { settings, default_max: range_min.saturating_add(considered) })
    }

    /// How many of the best candidates are skipped.
    pub(crate) fn range_min(&self) -> usize {
        self.settings.range_min
    }

    /// How many candidates may pass the limits, given the largest number of positives of a query.
    pub(crate) fn range_max(&self, max_positives: usize) -> usize {
        self.settings.range_max.unwrap_or(self.default_max.saturating_add(max_positives))
    }

    /// Why a candidate with this score is dropped, if it is, where the positive has the score `positive`.
    ///
    /// The relative margin is a share of the positive score's magnitude, so that it works on negative scores too.
    pub(crate) fn check(&self, score: f32, positive: f32) -> Option<DropReason> {
        let LimitSettings { max_score, min_score, absolute_margin, relative_margin, .. } = self.settings;
        if absolute_margin.is_some_and(|margin| score + margin > positive) {
            Some(DropReason::AbsoluteMargin)
        } else if relative_margin.is_some_and(|margin| score > positive - positive.abs() * margin) {
            Some(DropReason::RelativeMargin)
        } else if max_score.is_some_and(|max| score > max) {
            Some(DropReason::MaxScore)
        } else if min_score.is_some_and(|min| score < min) {
            Some(DropReason::MinScore)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> LimitSettings {
        LimitSettings::default()
    }

    #[test]
    fn the_range_follows_the_limits() {
        let range = |settings, num_negatives| {
            let limits = Limits::new(settings, num_negatives).unwrap();
            (limits.range_min(), limits.range_max(2))
        };
        assert_eq!(range(settings(), 3), (0, 5));
        assert_eq!(range(LimitSettings { range_min: 10, ..settings() }, 5), (10, 17));
        assert_eq!(range(LimitSettings { range_min: 10, min_score: Some(0.1), ..settings() }, 5), (10, 17));
        assert_eq!(range(LimitSettings { range_min: 10, relative_margin: Some(0.05), ..settings() }, 5), (10, 62));
        assert_eq!(range(LimitSettings { max_score: Some(0.9), range_max: Some(7), ..settings() }, 5), (0, 7));
    }

    #[test]
    fn ranges_that_are_too_small_are_refused() {
        for (num_negatives, range_min, range_max) in [(5, 0, 4), (3, 5, 5), (3, 9, 5)] {
            let settings = LimitSettings { range_min, range_max: Some(range_max), ..settings() };
            let error = Limits::new(settings, num_negatives).unwrap_err().to_string();
            assert!(error.contains("cannot hold"), "{error}");
        }
    }

    #[test]
    fn a_score_equal_to_a_limit_passes() {
        let settings =
            LimitSettings { absolute_margin: Some(0.25), min_score: Some(0.125), max_score: Some(0.75), ..settings() };
        let limits = Limits::new(settings, 3).unwrap();
        assert_eq!(limits.check(0.5, 0.75), None);
        assert_eq!(limits.check(0.51, 0.75), Some(DropReason::AbsoluteMargin));
        assert_eq!(limits.check(0.75, 1.0), None);
        assert_eq!(limits.check(0.76, 1.5), Some(DropReason::MaxScore));
        assert_eq!(limits.check(0.125, 1.0), None);
        assert_eq!(limits.check(0.12, 1.0), Some(DropReason::MinScore));
    }

    #[test]
    fn a_relative_margin_works_on_both_sides_of_zero() {
        let limits = Limits::new(LimitSettings { relative_margin: Some(0.5), ..settings() }, 3).unwrap();
        assert_eq!(limits.check(0.5, 1.0), None);
        assert_eq!(limits.check(0.51, 1.0), Some(DropReason::RelativeMargin));
        assert_eq!(limits.check(-1.5, -1.0), None);
        assert_eq!(limits.check(-1.4, -1.0), Some(DropReason::RelativeMargin));
    }
}
