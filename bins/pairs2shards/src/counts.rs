//! What happened, for the notice at the end.

use crate::cleaner::Reason;
use crate::holdout::HeldOut;
use crate::input::negatives::Fault;

/// Counts over a run.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Rows of pairs: a record has one for each of its positives.
    pub(crate) read: u64,
    /// Rows whose negatives went to an earlier one of the same pair.
    pub(crate) merged: u64,
    pub(crate) written: u64,
    pub(crate) shards: usize,
    pub(crate) held_out: HeldOut,
    /// Negatives that are held out.
    pub(crate) leaked: u64,
    dropped: [u64; Reason::ALL.len()],
    /// Negatives that were dropped.
    pub(crate) faults: [u64; Fault::ALL.len()],
    /// Texts that were cut, by column.
    pub(crate) cut: [u64; 3],
}

impl Counts {
    pub(crate) fn drop(&mut self, reason: Reason) {
        self.dropped[reason as usize] += 1;
    }

    /// The notice; of what is dropped and cut, only what occurred.
    pub(crate) fn summary(&self, lengths: [usize; 2]) -> String {
        let Self { read, written, shards, .. } = self;
        let mut text = format!("{read} pairs read, {written} written to {shards} shard(s)");
        let parts = |parts: Vec<(u64, String)>| {
            let parts = parts.into_iter().filter(|(count, _)| *count > 0);
            parts.map(|(count, what)| format!("{count} {what}")).collect::<Vec<_>>().join(", ")
        };
        let words = |reason: Reason| (self.dropped[reason as usize], reason.words().to_owned());
        let fault = |fault: Fault| (self.faults[fault as usize], fault.words().to_owned());
        let [query, document] = lengths;
        let [anchors, positives, negatives] = self.cut;
        let HeldOut { pairs, queries: _, known_queries, known_documents } = self.held_out;
        for (what, parts) in [
            ("; merged: ", parts(vec![(self.merged, "with an earlier row of their pair, for their negatives".into())])),
            (
                "; held out: ",
                parts(vec![
                    (pairs, "pairs".into()),
                    (known_queries[0], "queries left out, because training pairs have them too".into()),
                    (known_queries[1], "queries left out, because training pairs have nearly the same".into()),
                    (known_documents[0], "pairs left out, because training pairs have their text too".into()),
                    (known_documents[1], "pairs left out, because training pairs have nearly their text".into()),
                    (self.leaked, "negatives taken out".into()),
                ]),
            ),
            ("; dropped: ", parts(Reason::ALL.map(words).into())),
            ("; negatives dropped: ", parts(Fault::ALL.map(fault).into())),
            (
                "; too long and cut: ",
                parts(vec![
                    (anchors, format!("anchors at {query} tokens")),
                    (positives, format!("positives at {document}")),
                    (negatives, format!("negatives at {document}")),
                ]),
            ),
        ] {
            if !parts.is_empty() {
                text.push_str(what);
                text.push_str(&parts);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_occurred_is_said() {
        let mut counts = Counts { read: 9, written: 4, shards: 1, ..Counts::default() };
        assert_eq!(counts.summary([64, 256]), "9 pairs read, 4 written to 1 shard(s)");
        (counts.held_out.pairs, counts.leaked, counts.cut) = (2, 1, [0, 3, 0]);
        counts.drop(Reason::Blank);
        counts.drop(Reason::NearEvaluation);
        (counts.merged, counts.faults) = (5, [2, 0, 1]);
        assert_eq!(
            counts.summary([64, 256]),
            "9 pairs read, 4 written to 1 shard(s); merged: 5 with an earlier row of their pair, for their negatives; \
             held out: 2 pairs, 1 negatives taken out; dropped: 1 blank, 1 with nearly a query of --exclude-queries; \
             negatives dropped: 2 blank, 1 repeated; too long and cut: 3 positives at 256"
        );
    }

    #[test]
    fn every_reason_has_its_place() {
        assert!(Reason::ALL.into_iter().enumerate().all(|(place, reason)| reason as usize == place));
    }
}
