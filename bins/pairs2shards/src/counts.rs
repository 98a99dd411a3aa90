//! The counts of the notice at the end.

use embtune_cli::counted;

use crate::cleaner::DropReason;
use crate::holdout::HeldOut;
use crate::input::negatives::Fault;

/// Counts over a run.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Rows: a record has one for each of its positives.
    pub(crate) read: u64,
    /// Rows whose negatives were added to an earlier row of the same pair.
    pub(crate) merged: u64,
    pub(crate) written: u64,
    pub(crate) shards: usize,
    pub(crate) held_out: HeldOut,
    /// Negatives that belong to the held-out documents, and were removed.
    pub(crate) leaked: u64,
    dropped: [u64; DropReason::ALL.len()],
    /// Negatives that were dropped.
    pub(crate) faults: [u64; Fault::ALL.len()],
    /// Texts that were cut, by column.
    pub(crate) cut: [u64; 3],
}

impl Counts {
    pub(crate) fn drop(&mut self, reason: DropReason) {
        self.dropped[reason as usize] += 1;
    }

    /// The notice, with the counts that are not 0. Anchors and documents are cut at `max_lengths` tokens.
    pub(crate) fn summary(&self, max_lengths: [usize; 2]) -> String {
        let ([query, document], HeldOut { pairs, known_queries, known_documents, .. }) = (max_lengths, self.held_out);
        let has = |noun: &str, count: u64, text: &str| {
            let number = if noun == "query" { counted(count, "query", "queries") } else { nouns(count, noun) };
            (count, format!("{number} left out because training pairs have {text}"))
        };
        let merged = (self.merged, format!("{} into an earlier row of the pair", nouns(self.merged, "row")));
        let held_out = [
            (pairs, nouns(pairs, "pair")),
            has("query", known_queries[0], "the same"),
            has("query", known_queries[1], "nearly the same"),
            has("pair", known_documents[0], "the same text"),
            has("pair", known_documents[1], "nearly the same text"),
            (self.leaked, format!("{} removed", nouns(self.leaked, "negative"))),
        ];
        let words = |count: u64, words: &str| (count, format!("{count} {words}"));
        let dropped = DropReason::ALL.map(|reason| words(self.dropped[reason as usize], reason.words()));
        let faults = Fault::ALL.map(|fault| words(self.faults[fault as usize], fault.words()));
        let [anchors, positives, negatives] = self.cut;
        let cut = [(anchors, "anchor", query), (positives, "positive", document), (negatives, "negative", document)]
            .map(|(count, noun, limit)| (count, format!("{} at {limit} tokens", nouns(count, noun))));

        let (read, shards) = (nouns(self.read, "pair"), nouns(self.shards as u64, "shard"));
        let mut text = format!("{read} read, {} written to {shards}", self.written);
        for (title, parts) in [
            ("merged", &[merged][..]),
            ("held out", &held_out),
            ("dropped", &dropped),
            ("negatives dropped", &faults),
            ("too long and cut", &cut),
        ] {
            let parts: Vec<&str> =
                parts.iter().filter(|(count, _)| *count > 0).map(|(_, part)| part.as_str()).collect();
            if !parts.is_empty() {
                text.push_str(&format!("; {title}: {}", parts.join(", ")));
            }
        }
        text
    }
}

/// A number with a noun whose plural is regular.
fn nouns(count: u64, noun: &str) -> String {
    counted(count, noun, &format!("{noun}s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notice_has_the_counts_that_are_not_zero() {
        let mut counts = Counts { read: 9, written: 4, shards: 1, ..Counts::default() };
        assert_eq!(counts.summary([64, 256]), "9 pairs read, 4 written to 1 shard");
        (counts.held_out.pairs, counts.leaked, counts.cut) = (2, 1, [0, 3, 0]);
        counts.drop(DropReason::Blank);
        counts.drop(DropReason::NearEvaluationQuery);
        (counts.merged, counts.faults) = (5, [2, 0, 1]);
        assert_eq!(
            counts.summary([64, 256]),
            "9 pairs read, 4 written to 1 shard; merged: 5 rows into an earlier row of the pair; held out: 2 pairs, 1 \
             negative removed; dropped: 1 blank, 1 with nearly a query of --exclude-queries; negatives dropped: 2 \
             blank, 1 repeated; too long and cut: 3 positives at 256 tokens"
        );
    }

    #[test]
    fn reasons_index_their_counts() {
        assert!(DropReason::ALL.into_iter().enumerate().all(|(place, reason)| reason as usize == place));
    }
}
