//! Counts of a run, for the summary at the end.

use embtune_cli::counted;

use crate::drop_reason::DropReason;

/// Counts of pairs, negatives and dropped documents.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) pairs: u64,
    pub(crate) negatives: u64,
    /// Pairs with fewer negatives than requested.
    pub(crate) short: u64,
    /// Pairs of held-out documents, which get no negatives.
    pub(crate) held_out: u64,
    /// Pairs that --keep-rank dropped.
    pub(crate) below_rank: u64,
    /// Documents that were considered but not taken, by reason.
    dropped: [u64; DropReason::ALL.len()],
}

impl Counts {
    pub(crate) fn drop(&mut self, reason: DropReason) {
        self.dropped[reason as usize] += 1;
    }

    /// The summary, which leaves out what did not occur.
    pub(crate) fn summary(&self, num_negatives: usize) -> String {
        let pairs = |count| counted(count, "pair", "pairs");
        let mut text = format!("{}, {}", pairs(self.pairs), counted(self.negatives, "negative", "negatives"));
        for (count, what) in [
            (self.short, format!("with fewer than {num_negatives}")),
            (self.held_out, "held out, without negatives".into()),
            (self.below_rank, "dropped by --keep-rank".into()),
        ] {
            if count > 0 {
                text.push_str(&format!(", {} {what}", pairs(count)));
            }
        }
        let dropped: Vec<String> = DropReason::ALL
            .into_iter()
            .map(|reason| (self.dropped[reason as usize], reason))
            .filter(|(count, _)| *count > 0)
            .map(|(count, reason)| format!("{count} {}", reason.description(count)))
            .collect();
        if !dropped.is_empty() {
            text.push_str(&format!("; documents skipped: {}", dropped.join(", ")));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_leaves_out_what_did_not_occur() {
        let mut counts = Counts { pairs: 2, negatives: 6, ..Counts::default() };
        assert_eq!(counts.summary(3), "2 pairs, 6 negatives");
        counts.short = 1;
        counts.drop(DropReason::MaxScore);
        counts.drop(DropReason::RangeMin);
        assert_eq!(
            counts.summary(3),
            "2 pairs, 6 negatives, 1 pair with fewer than 3; documents skipped: 1 by --max-score, 1 by --range-min"
        );
    }

    #[test]
    fn reasons_are_listed_in_the_order_of_their_declaration() {
        for (index, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index, "{}", reason.name());
        }
    }
}
