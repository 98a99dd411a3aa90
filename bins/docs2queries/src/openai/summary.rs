//! Reports of a run: its spending while it runs, its counts at the end.

use std::collections::BTreeMap;

use embtune_cli::{Outcome, Session};

use super::queries::kind_name;
use crate::filters::Filters;
use crate::llm::{Budget, FailureKind, Requester, Spent, Usd};
use crate::pairs::PairWriter;

/// The reason for which a query is lost when its reply was cut off.
pub(super) const CUT_OFF: &str = "cut off";
/// The reason for which queries are lost when a reply has more than were requested.
pub(super) const SURPLUS: &str = "beyond the number asked for";

/// The counts of a run.
#[derive(Default)]
pub(super) struct Summary {
    documents: u64,
    /// Documents whose replies were all in the journal.
    known_documents: u64,
    /// Replies without token counts.
    pub(super) without_usage: u64,
    pub(super) from_journal: u64,
    /// Replies with U+FFFD, most likely in place of characters that the server did not send whole.
    pub(super) mended: u64,
    /// Passages whose request was not sent.
    pub(super) not_sent: u64,
    /// Passages without queries, by the reason.
    failures: BTreeMap<FailureKind, u64>,
    pub(super) cut_off: u64,
    pub(super) surplus: u64,
}

impl Summary {
    /// Counts a passage without queries.
    pub(super) fn count_failure(&mut self, kind: FailureKind) {
        *self.failures.entry(kind).or_default() += 1;
    }

    /// Counts a document that is done; `is_known` says that its replies were all in the journal.
    pub(super) fn count_document(&mut self, is_known: bool) {
        self.documents += 1;
        self.known_documents += u64::from(is_known);
    }

    /// The share of the documents that is done, of those that must be asked about: replies in the journal cost nothing,
    /// and so do not predict the cost of the others.
    pub(super) fn share_done(&self, total: u64) -> Option<f64> {
        let (done, total) = (self.documents - self.known_documents, total.saturating_sub(self.known_documents));
        (total > 0).then(|| done as f64 / total as f64)
    }

    /// Completes the output and reports the counts.
    pub(super) fn finish(
        self,
        writer: PairWriter<'_>,
        requester: &Requester,
        filters: &Filters,
        session: &Session,
    ) -> anyhow::Result<Outcome> {
        let mut counts: Vec<(&str, String)> = Vec::new();
        let mut count = |name, count: u64| {
            if count > 0 {
                counts.push((name, count.to_string()));
            }
        };
        let usage = requester.usage();
        if let Some((budget, requests)) = usage {
            let Spent { tokens, .. } = budget.spent();
            count("requests", requests);
            count("tokens in", tokens.input);
            count("tokens out", tokens.output);
            count("replies without usage", self.without_usage);
        }
        count("replies from the journal", self.from_journal);
        if let Some((budget, _)) = usage.filter(|(budget, _)| budget.price.is_some()) {
            counts.push(("cost", budget.spent().usd.to_string()));
        }
        let by_parser = [(CUT_OFF, self.cut_off), (SURPLUS, self.surplus)].into_iter().filter(|(_, count)| *count > 0);
        let by_filters = filters.dropped().map(|(reason, count)| (reason.description(), count));
        let dropped: Vec<String> =
            by_parser.chain(by_filters).map(|(reason, count)| format!("{count} {reason}")).collect();
        let outcome = writer.finish(&counts)?;
        if !dropped.is_empty() {
            session.notice(format!("queries dropped: {}", dropped.join(", ")));
        }
        if !self.failures.is_empty() {
            let failures: Vec<String> =
                self.failures.iter().map(|(kind, count)| format!("{count} {}", kind_name(*kind))).collect();
            session.notice(format!("passages without queries: {}", failures.join(", ")));
        }
        if self.mended > 0 {
            session.warn(format!("replies with invalid characters, read as U+FFFD: {}", self.mended));
        }
        if self.not_sent == 0 {
            return Ok(outcome);
        }
        let (reason, hint) = match usage {
            Some(_) => (
                "because a cap is reached",
                "raise --max-usd or --max-tokens; with --journal, the same command continues from here",
            ),
            None => (
                "because they have no reply yet",
                "without --ingest-batch or --batch, the same command asks for them one by one",
            ),
        };
        session.warn(format!("passages left out {reason}: {}\nhint: {hint}", self.not_sent));
        Ok(Outcome::Incomplete)
    }
}

/// The text after the progress bar: what is spent, of what may be, and what the whole run will probably cost. `done` is
/// the share of the documents to be asked about that is written, if it is known.
pub(super) fn spending(budget: &Budget, done: Option<f64>) -> String {
    let spent = budget.spent();
    let mut text = format!("{} tokens", spent.tokens.total());
    if let Some(most) = budget.caps.tokens {
        text.push_str(&format!(" of {most}"));
    }
    if budget.price.is_some() {
        text.push_str(&format!(", {}", spent.usd));
        if let Some(most) = budget.caps.usd {
            text.push_str(&format!(" of {most}"));
        }
        // The first documents say little about the rest.
        if let Some(share) = done.filter(|share| *share >= 0.01 && *share < 1.0) {
            text.push_str(&format!(", about {} in the end", Usd::new(spent.usd.dollars() / share)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::llm::{Caps, Price, Tokens};

    #[tokio::test]
    async fn spending_is_extrapolated() {
        let caps = Caps { usd: Some(Usd::new(5.0)), tokens: None };
        let budget = Arc::new(Budget::new(Some(Price::new(1.0, 2.0)), caps, Spent::default()));
        budget.reserve(Tokens::default()).await.unwrap().used(Tokens { input: 100_000, output: 50_000 });
        assert_eq!(spending(&budget, Some(0.25)), "150000 tokens, $0.2000 of $5.00, about $0.8000 in the end");
        assert_eq!(spending(&budget, None), "150000 tokens, $0.2000 of $5.00");
        let free = Budget::new(None, Caps { usd: None, tokens: Some(9) }, Spent::default());
        assert_eq!(spending(&free, Some(0.5)), "0 tokens of 9");
    }
}
