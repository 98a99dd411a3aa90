//! What happened, for the notice at the end.

use crate::limits::Reason;

/// Counts over a run.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) pairs: u64,
    pub(crate) negatives: u64,
    /// Pairs with fewer negatives than asked for.
    pub(crate) short: u64,
    pub(crate) same_document: u64,
    pub(crate) same_text: u64,
    absolute_margin: u64,
    relative_margin: u64,
    max_score: u64,
    min_score: u64,
}

impl Counts {
    pub(crate) fn drop(&mut self, reason: Reason) {
        match reason {
            Reason::AbsoluteMargin => self.absolute_margin += 1,
            Reason::RelativeMargin => self.relative_margin += 1,
            Reason::MaxScore => self.max_score += 1,
            Reason::MinScore => self.min_score += 1,
        }
    }

    /// The notice: what was found, and of what was dropped only the reasons that occurred.
    pub(crate) fn summary(&self, wanted: usize) -> String {
        let mut text = format!("{} pairs, {} negatives", self.pairs, self.negatives);
        if self.short > 0 {
            text.push_str(&format!(", {} pairs with fewer than {wanted}", self.short));
        }
        let dropped: Vec<String> = [
            (self.same_document, "of a positive's document or group"),
            (self.same_text, "with a text that was there"),
            (self.absolute_margin, "by --absolute-margin"),
            (self.relative_margin, "by --relative-margin"),
            (self.max_score, "by --max-score"),
            (self.min_score, "by --min-score"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, reason)| format!("{count} {reason}"))
        .collect();
        if !dropped.is_empty() {
            text.push_str(&format!("; candidates dropped: {}", dropped.join(", ")));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_occurred_is_said() {
        let mut counts = Counts { pairs: 2, negatives: 6, ..Counts::default() };
        assert_eq!(counts.summary(3), "2 pairs, 6 negatives");
        counts.short = 1;
        counts.drop(Reason::MaxScore);
        assert_eq!(
            counts.summary(3),
            "2 pairs, 6 negatives, 1 pairs with fewer than 3; candidates dropped: 1 by --max-score"
        );
    }
}
