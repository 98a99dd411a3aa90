//! What happened, for the notice at the end.

use crate::choice::reason::Reason;

/// Counts over a run.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) pairs: u64,
    pub(crate) negatives: u64,
    /// Pairs with fewer negatives than asked for.
    pub(crate) short: u64,
    /// Pairs of held-out documents, which get no negatives.
    pub(crate) held_out: u64,
    /// Pairs that --keep-rank dropped.
    pub(crate) below_rank: u64,
    /// Documents that were looked at and not taken, by reason.
    dropped: [u64; Reason::ALL.len()],
}

impl Counts {
    pub(crate) fn drop(&mut self, reason: Reason) {
        self.dropped[reason as usize] += 1;
    }

    /// The notice: what was found, and of the rest only what occurred.
    pub(crate) fn summary(&self, wanted: usize) -> String {
        let mut text = format!("{} pairs, {} negatives", self.pairs, self.negatives);
        for (count, what) in [
            (self.short, format!("pairs with fewer than {wanted}")),
            (self.held_out, "pairs held out, without negatives".into()),
            (self.below_rank, "pairs dropped by --keep-rank".into()),
        ] {
            if count > 0 {
                text.push_str(&format!(", {count} {what}"));
            }
        }
        let dropped: Vec<String> = Reason::ALL
            .into_iter()
            .map(|reason| (self.dropped[reason as usize], reason.words()))
            .filter(|(count, _)| *count > 0)
            .map(|(count, reason)| format!("{count} {reason}"))
            .collect();
        if !dropped.is_empty() {
            text.push_str(&format!("; documents passed over: {}", dropped.join(", ")));
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
        counts.drop(Reason::RangeMin);
        assert_eq!(
            counts.summary(3),
            "2 pairs, 6 negatives, 1 pairs with fewer than 3; documents passed over: 1 by --max-score, 1 by --range-min"
        );
    }

    #[test]
    fn every_reason_has_its_place() {
        for (place, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place, "{}", reason.name());
        }
    }
}
