//! What a run has cost so far, in words.

use super::budget::{Budget, Usd};

/// The text behind the progress bar: what is spent, of what may be, and what all of it will probably cost.
///
/// `done` is the share of the documents to be asked about that is written, where that is known.
pub(crate) fn spending(budget: &Budget, done: Option<f64>) -> String {
    let spent = budget.spent();
    let caps = budget.caps();
    let mut text = format!("{} tokens", spent.tokens.total());
    if let Some(most) = caps.tokens {
        text.push_str(&format!(" of {most}"));
    }
    if budget.has_price() {
        text.push_str(&format!(", {}", spent.usd));
        if let Some(most) = caps.usd {
            text.push_str(&format!(" of {most}"));
        }
        // The first documents say little.
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
    use crate::llm::budget::{Caps, Price, Spent, Tokens};

    #[tokio::test]
    async fn spending_is_told() {
        let caps = Caps { usd: Some(Usd::new(5.0)), tokens: None };
        let budget = Arc::new(Budget::new(Some(Price::new(1.0, 2.0)), caps, Spent::default()));
        budget.reserve(Tokens::default()).await.unwrap().used(Tokens { input: 100_000, output: 50_000 });
        assert_eq!(spending(&budget, Some(0.25)), "150000 tokens, $0.2000 of $5.00, about $0.8000 in the end");
        assert_eq!(spending(&budget, None), "150000 tokens, $0.2000 of $5.00");
        let free = Budget::new(None, Caps { usd: None, tokens: Some(9) }, Spent::default());
        assert_eq!(spending(&free, Some(0.5)), "0 tokens of 9");
    }
}
