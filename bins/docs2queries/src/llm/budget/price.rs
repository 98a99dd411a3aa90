//! What tokens cost.

use anyhow::bail;

use super::tokens::Tokens;
use super::usd::Usd;

/// What a token costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Price {
    input: Usd,
    output: Usd,
}

/// OpenAI's standard prices, in dollars for a million tokens of the prompt and of the completion, and the longest
/// completion, in tokens: <https://developers.openai.com/api/docs/pricing>, as of June 2026; models that are no longer
/// on that page (gpt-5.2 and older) as of March 2026.
const TABLE: [(&str, f64, f64, u64); 14] = [
    ("gpt-5.5", 5.00, 30.00, 128_000),
    ("gpt-5.4", 2.50, 15.00, 128_000),
    ("gpt-5.4-mini", 0.75, 4.50, 128_000),
    ("gpt-5.4-nano", 0.20, 1.25, 128_000),
    ("gpt-5.2", 1.75, 14.00, 128_000),
    ("gpt-5.1", 1.25, 10.00, 128_000),
    ("gpt-5", 1.25, 10.00, 128_000),
    ("gpt-5-mini", 0.25, 2.00, 128_000),
    ("gpt-5-nano", 0.05, 0.40, 128_000),
    ("gpt-4.1", 2.00, 8.00, 32_768),
    ("gpt-4.1-mini", 0.40, 1.60, 32_768),
    ("gpt-4.1-nano", 0.10, 0.40, 32_768),
    ("gpt-4o", 2.50, 10.00, 16_384),
    ("gpt-4o-mini", 0.15, 0.60, 16_384),
];

impl Price {
    /// Dollars for a million tokens of the prompt and of the completion.
    pub(crate) fn new(input: f64, output: f64) -> Self {
        Self { input: Usd::new(input / 1e6), output: Usd::new(output / 1e6) }
    }

    /// The user's prices, else those of the table, which holds at OpenAI itself only.
    ///
    /// # Errors
    /// One price of two.
    pub(crate) fn find(given: (Option<f64>, Option<f64>), llm: &str, is_openai: bool) -> anyhow::Result<Option<Self>> {
        match given {
            (Some(input), Some(output)) => Ok(Some(Self::new(input, output))),
            (None, None) if is_openai => Ok(listed(llm).map(|(_, input, output, _)| Self::new(*input, *output))),
            (None, None) => Ok(None),
            _ => bail!("--price-in and --price-out go together"),
        }
    }

    /// The price of the Batch API, which is half of it.
    #[must_use]
    pub(crate) fn of_batches(self) -> Self {
        let half = |price: Usd| Usd::new(price.dollars() / 2.0);
        Self { input: half(self.input), output: half(self.output) }
    }

    /// What so many tokens cost.
    pub(crate) fn of(self, tokens: Tokens) -> Usd {
        self.input.times(tokens.input) + self.output.times(tokens.output)
    }
}

/// The longest completion of a model of OpenAI's, in tokens.
pub(crate) fn longest_completion(llm: &str, is_openai: bool) -> Option<u64> {
    listed(llm).filter(|_| is_openai).map(|(_, _, _, longest)| *longest)
}

/// The table's line of a model: its name, or that and a date (`gpt-4o-mini-2024-07-18`).
fn listed(llm: &str) -> Option<&'static (&'static str, f64, f64, u64)> {
    TABLE.iter().find(|(name, ..)| {
        llm.strip_prefix(name).is_some_and(|rest| {
            rest.is_empty()
                || rest.strip_prefix("-20").is_some_and(|date| date.chars().all(|c| c.is_ascii_digit() || c == '-'))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_given_or_listed() {
        let find = |given, llm, is_openai| Price::find(given, llm, is_openai).unwrap();
        let mini = Price::new(0.15, 0.6);
        assert_eq!(find((None, None), "gpt-4o-mini", true), Some(mini));
        assert_eq!(find((None, None), "gpt-4o-mini-2024-07-18", true), Some(mini));
        assert_eq!(find((None, None), "gpt-4o", true), Some(Price::new(2.5, 10.0)));
        for unknown in ["gpt-4o-mini-audio", "gpt-4", "qwen3", ""] {
            assert_eq!(find((None, None), unknown, true), None, "{unknown}");
        }
        assert_eq!(find((None, None), "gpt-4o-mini", false), None, "another server has prices of its own");
        assert_eq!(find((Some(0.0), Some(0.0)), "qwen3", false), Some(Price::new(0.0, 0.0)));
        assert!(Price::find((Some(1.0), None), "gpt-4o", true).is_err());
        assert_eq!(longest_completion("gpt-4.1-mini", true), Some(32_768));
    }

    #[test]
    fn tokens_cost_what_the_table_says() {
        let tokens = Tokens { input: 1_000_000, output: 2_000_000 };
        assert_eq!(Price::new(0.15, 0.6).of(tokens), Usd::new(1.35));
        assert_eq!(Price::new(0.05, 0.4).of_batches().of(tokens), Usd::new(0.425));
    }
}
