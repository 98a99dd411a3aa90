//! What a run would take, without anything being sent.

use std::io::Write as _;

use embtune_cli::Outcome;

use super::Run;
use super::budget::{Spent, Tokens};

/// Prints requests, tokens and cost.
///
/// # Errors
/// Those of reading the input, and of writing.
pub(super) fn print(run: &Run<'_>) -> anyhow::Result<Outcome> {
    let (budget, longest_reply) = run.budget()?;
    let (mut requests, mut about, mut most) = (0_u64, Tokens::default(), Tokens::default());
    let found = run.requests(longest_reply, |request| {
        requests += 1;
        about += request.estimate.about;
        most += request.estimate.most;
        Ok(())
    })?;
    let mut out = run.session.output(None)?;
    let mut line = |name: &str, value: String| writeln!(out, "{name:16}{value}");
    line("documents", found.census.documents.to_string())?;
    line("passages", found.census.passages.to_string())?;
    line("queries", format!("{} a passage", run.prompt_parameters.queries))?;
    line("in the journal", found.in_journal.to_string())?;
    let again = if found.again > 0 { format!(", {} of them again", found.again) } else { String::new() };
    line("requests", format!("{requests}{again}"))?;
    line("tokens in", format!("about {}, at most {}", about.input, most.input))?;
    let is_bounded = longest_reply.is_some();
    let bound =
        if is_bounded { format!("at most {}", most.output) } else { "no limit without --max-completion-tokens".into() };
    line("tokens out", format!("about {}, {bound}", about.output))?;
    let cost = match (budget.has_price(), is_bounded) {
        (false, _) => "unknown: --price-in and --price-out".into(),
        (true, false) => format!("about {}", budget.cost(about).usd),
        (true, true) => format!("about {}, at most {}", budget.cost(about).usd, budget.cost(most).usd),
    };
    line("cost", cost)?;
    if let Some(journal) = &run.journal {
        let said = |spent: Spent| format!("{} tokens, {}", spent.tokens.total(), spent.usd);
        line("spent before", said(journal.paid(budget.price())))?;
        let (open, count) = journal.unanswered(budget.price(), longest_reply.unwrap_or_default());
        if count > 0 {
            line("without answer", format!("{count} requests, at most {}", said(open)))?;
        }
    }
    out.finish()?;
    Ok(found.outcome)
}
