//! All requests of a run, without sending them.

use std::collections::HashSet;
use std::io::Write as _;

use embtune_cli::{Outcome, Skipper, counted};

use super::Run;
use super::queries::expected_output;
use crate::documents::{Census, passages, readable};
use crate::llm::{BatchRequest, Estimate, Journal, Key, RequestSource, Spent, Tokens, report_resent, request_lines};

/// Counts from making the requests.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestCounts {
    pub(super) census: Census,
    /// Passages whose reply is in the journal.
    pub(super) journaled: u64,
    /// Requests that are sent once more because the journal's reply is useless.
    pub(super) resent: u64,
    /// Whether bad records were skipped.
    pub(super) outcome: Outcome,
}

impl Run<'_> {
    /// Calls `take` with each distinct request that `journal` has no reply to, in the order of the input; without a
    /// journal, with all requests.
    ///
    /// # Errors
    /// If the input cannot be read, the prompt cannot be rendered, or `take` fails.
    pub(super) fn for_each_request(
        &self,
        journal: Option<&Journal>,
        longest_reply: Option<u64>,
        mut take: impl FnMut(BatchRequest) -> anyhow::Result<()>,
    ) -> anyhow::Result<RequestCounts> {
        let skipper = Skipper::new(self.settings.output.on_error, self.session);
        let expected_output = expected_output(self.prompt.queries());
        let (mut census, mut journaled, mut resent) = (Census::default(), 0, 0);
        let mut seen = HashSet::new();
        for document in self.documents()? {
            self.session.interrupt().check()?;
            let Some(document) = readable(document, |error| skipper.bad(error))? else { continue };
            census.documents += 1;
            for passage in passages(document, self.settings.passage_chars) {
                census.passages += 1;
                let body = self.prompt.request(&passage)?;
                let key = Key::of(&body);
                if journal.is_some_and(|journal| journal.has(key)) {
                    journaled += 1;
                } else if seen.insert(key) {
                    resent += u64::from(journal.is_some_and(|journal| journal.tries(key) > 0));
                    let estimate = Estimate::of(&body, expected_output, longest_reply);
                    take(BatchRequest { key, body, estimate })?;
                }
            }
        }
        Ok(RequestCounts { census, journaled, resent, outcome: skipper.outcome() })
    }
}

impl RequestSource for Run<'_> {
    fn for_each(
        &self,
        journal: Option<&Journal>,
        longest_reply: Option<u64>,
        take: &mut dyn FnMut(BatchRequest) -> anyhow::Result<()>,
    ) -> anyhow::Result<u64> {
        Ok(self.for_each_request(journal, longest_reply, take)?.resent)
    }
}

/// Writes the requests that the journal has no reply to, in the form of the Batch API.
pub(super) fn write(run: &Run<'_>) -> anyhow::Result<Outcome> {
    let mut out = run.session.output(run.settings.output.path.as_deref())?;
    let to_line = request_lines(&run.model);
    let mut requests = 0_u64;
    let counts = run.for_each_request(run.journal.as_deref(), None, |request| {
        requests += 1;
        Ok(out.write_all(to_line(&request).as_bytes())?)
    })?;
    out.finish()?;
    let journaled =
        if counts.journaled > 0 { format!(", in the journal: {}", counts.journaled) } else { String::new() };
    run.session.notice(format!("documents: {}, requests: {requests}{journaled}", counts.census.documents));
    report_resent(counts.resent, run.session);
    Ok(counts.outcome)
}

/// Prints the number of requests, their tokens and their cost.
pub(super) fn dry_run(run: &Run<'_>) -> anyhow::Result<Outcome> {
    let journal = run.journal.as_deref();
    let (budget, longest_reply) = run.model.budget(journal, run.session)?;
    let (mut requests, mut expected, mut most) = (0_u64, Tokens::default(), Tokens::default());
    let counts = run.for_each_request(journal, longest_reply, |request| {
        requests += 1;
        expected += request.estimate.expected;
        most += request.estimate.upper_bound;
        Ok(())
    })?;
    let mut out = run.session.output(None)?;
    let mut line = |name: &str, value: String| writeln!(out, "{name:16}{value}");
    line("documents", counts.census.documents.to_string())?;
    line("passages", counts.census.passages.to_string())?;
    line("queries", format!("{} a passage", run.prompt.queries()))?;
    line("in the journal", counts.journaled.to_string())?;
    let again = if counts.resent > 0 { format!(", {} of them again", counts.resent) } else { String::new() };
    line("requests", format!("{requests}{again}"))?;
    line("tokens in", format!("about {}, at most {}", expected.input, most.input))?;
    let is_bounded = longest_reply.is_some();
    let bound =
        if is_bounded { format!("at most {}", most.output) } else { "no limit without --max-completion-tokens".into() };
    line("tokens out", format!("about {}, {bound}", expected.output))?;
    let cost = match (budget.price.is_some(), is_bounded) {
        (false, _) => "unknown: --price-in and --price-out".into(),
        (true, false) => format!("about {}", budget.cost(expected).usd),
        (true, true) => format!("about {}, at most {}", budget.cost(expected).usd, budget.cost(most).usd),
    };
    line("cost", cost)?;
    if let Some(journal) = journal {
        let amount = |spent: Spent| format!("{} tokens, {}", spent.tokens.total(), spent.usd);
        line("spent before", amount(journal.paid(budget.price)))?;
        let (open, count) = journal.unanswered(budget.price, longest_reply.unwrap_or_default());
        if count > 0 {
            line("without reply", format!("{}, at most {}", counted(count, "request", "requests"), amount(open)))?;
        }
    }
    out.finish()?;
    Ok(counts.outcome)
}
