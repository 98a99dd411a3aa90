//! The costs in journal lines, some of which are not known yet.

use serde_json::{Value, json};

use crate::llm::budget::{Budget, Price, Spent, Tokens, Usd};

/// The cost of a request, or the most that it can cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) input: u64,
    /// None if the length of the reply had no known limit, which is possible only without a cap.
    pub(crate) output: Option<u64>,
    /// None if the price was not known.
    pub(crate) usd: Option<Usd>,
}

impl Cost {
    /// No cost, or a cost about which nothing is known.
    pub(crate) const NOTHING: Self = Self { input: 0, output: Some(0), usd: None };

    /// The cost of `tokens` at the budget's price.
    pub(crate) fn of(tokens: Tokens, budget: &Budget) -> Self {
        let usd = budget.price.map(|price| price.of(tokens));
        Self { input: tokens.input, output: Some(tokens.output), usd }
    }

    /// The same for a reply without a known limit on its length.
    #[must_use]
    pub(crate) fn without_limit(self) -> Self {
        Self { output: None, usd: None, ..self }
    }

    /// The rest after `tokens` have been subtracted, at the budget's price.
    #[must_use]
    pub(crate) fn minus(self, tokens: Tokens, budget: &Budget) -> Self {
        let input = self.input.saturating_sub(tokens.input);
        let output = self.output.map(|output| output.saturating_sub(tokens.output));
        let rest = Self::of(Tokens { input, output: output.unwrap_or_default() }, budget);
        if output.is_some() { rest } else { rest.without_limit() }
    }

    /// The amount to take from a budget. A cost without a known price counts at the budget's.
    pub(crate) fn spent(self, budget: &Budget) -> Spent {
        let tokens = Tokens { input: self.input, output: self.output.unwrap_or_default() };
        Spent { tokens, usd: self.usd.unwrap_or(budget.cost(tokens).usd) }
    }

    /// The cost in a line; missing fields are unknown costs.
    pub(super) fn read(line: &Value) -> Self {
        let tokens = &line["tokens"];
        Self {
            input: tokens[0].as_u64().unwrap_or_default(),
            output: if tokens.is_array() { tokens[1].as_u64() } else { Some(0) },
            usd: line["usd"].as_f64().map(Usd::new),
        }
    }

    /// The fields `tokens` and `usd`.
    pub(super) fn fields(self) -> (Value, Value) {
        (json!([self.input, self.output]), json!(self.usd.map(Usd::dollars)))
    }
}

/// A sum of costs, some of which are not known yet.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Costs {
    known: Spent,
    /// Tokens without a known price.
    unpriced: Tokens,
    /// Replies without a known limit.
    unlimited: u64,
}

impl Costs {
    pub(super) fn add(&mut self, cost: Cost) {
        let tokens = Tokens { input: cost.input, output: cost.output.unwrap_or_default() };
        self.known += Spent { tokens, usd: cost.usd.unwrap_or_default() };
        if cost.usd.is_none() {
            self.unpriced += tokens;
        }
        self.unlimited += u64::from(cost.output.is_none());
    }

    /// The sum at a price, where a reply without a limit counts as `longest_reply` tokens.
    pub(super) fn at(self, price: Option<Price>, longest_reply: u64) -> Spent {
        let unlimited = Tokens { input: 0, output: self.unlimited.saturating_mul(longest_reply) };
        let usd = price.map(|price| price.of(self.unpriced + unlimited)).unwrap_or_default();
        self.known + Spent { tokens: unlimited, usd }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_costs_are_counted_at_todays_price() {
        let mut costs = Costs::default();
        let dollar = Usd::new(1.0);
        costs.add(Cost { input: 1, output: Some(2), usd: Some(dollar) });
        costs.add(Cost { input: 10, output: Some(20), usd: None });
        costs.add(Cost { input: 100, output: None, usd: None });
        let price = Price::new(1e6, 2e6);
        let tokens = Tokens { input: 111, output: 22 + 5 };
        assert_eq!(costs.at(Some(price), 5), Spent { tokens, usd: dollar.times(1 + 110 + 2 * 25) });
        assert_eq!(costs.at(None, 5), Spent { tokens, usd: dollar });
    }

    #[test]
    fn a_cost_is_read_as_it_is_written() {
        for usd in [None, Some(Usd::new(0.25e-6))] {
            for output in [None, Some(0), Some(7)] {
                let cost = Cost { input: 3, output, usd };
                let (tokens, usd) = cost.fields();
                assert_eq!(Cost::read(&json!({"tokens": tokens, "usd": usd})), cost);
            }
        }
        // The first versions wrote no costs.
        assert_eq!(Cost::read(&json!({})), Cost { input: 0, output: Some(0), usd: None });
    }
}
