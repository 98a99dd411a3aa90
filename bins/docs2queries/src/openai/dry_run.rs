//! What a run would take, without sending anything.

use std::io::Write as _;

use embtune_cli::Outcome;

use super::Run;
use crate::llm::{Spent, Tokens};

/// Prints the number of requests, their tokens and their cost.
pub(super) fn print(run: &Run<'_>) -> anyhow::Result<Outcome> {
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
    let cost = match (budget.has_price(), is_bounded) {
        (false, _) => "unknown: --price-in and --price-out".into(),
        (true, false) => format!("about {}", budget.cost(expected).usd),
        (true, true) => format!("about {}, at most {}", budget.cost(expected).usd, budget.cost(most).usd),
    };
    line("cost", cost)?;
    if let Some(journal) = journal {
        let amount = |spent: Spent| format!("{} tokens, {}", spent.tokens.total(), spent.usd);
        line("spent before", amount(journal.paid(budget.price())))?;
        let (open, count) = journal.unanswered(budget.price(), longest_reply.unwrap_or_default());
        if count > 0 {
            let plural = if count == 1 { "" } else { "s" };
            line("without reply", format!("{count} request{plural}, at most {}", amount(open)))?;
        }
    }
    out.finish()?;
    Ok(counts.outcome)
}
