//! Prices of tokens.

use anyhow::bail;

use super::tokens::Tokens;
use super::usd::Usd;
use crate::llm::address::Host;

/// The price of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Price {
    input: Usd,
    output: Usd,
}

/// An entry of the price list.
struct ListedModel {
    name: &'static str,
    /// Dollars for a million tokens of the prompt.
    input: f64,
    /// Dollars for a million tokens of the completion.
    output: f64,
    /// The longest completion, in tokens.
    longest: u64,
    surcharge: Surcharge,
}

/// Surcharges on a model's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Surcharge {
    None,
    /// A tenth at regional addresses: models released since 5 March 2026
    /// (<https://developers.openai.com/api/docs/guides/data-residency>).
    Regional,
    /// As above, plus a quarter for the tokens that the server caches without being asked to: models since GPT-5.6.
    RegionalAndCacheWrites,
}

/// OpenAI's standard prices, from <https://developers.openai.com/api/docs/pricing> and the models' own pages in October
/// and November 2026. For GPT-5.6 Sol it is the price before a promotion that was announced to end on 21 November. A
/// prompt of more than 272,000 tokens costs more than this.
const PRICE_LIST: [ListedModel; 26] = [
    listed("gpt-6.2-astra", 8.00, 40.00, 128_000, Surcharge::RegionalAndCacheWrites),
    listed("gpt-6.2-sol", 2.00, 10.00, 128_000, Surcharge::RegionalAndCacheWrites),
    listed("gpt-6.1-sol", 2.00, 10.00, 128_000, Surcharge::RegionalAndCacheWrites),
    listed("gpt-6.1-terra", 1.00, 5.00, 128_000, Surcharge::RegionalAndCacheWrites),
    listed("gpt-6-astra", 10.00, 50.00, 128_000, Surcharge::RegionalAndCacheWrites),
    listed("gpt-6-sol", 2.00, 10.00, 128_000, Surcharge::RegionalAndCacheWrites),
    listed("gpt-6-luna", 0.10, 0.50, 128_000, Surcharge::RegionalAndCacheWrites),
    listed("gpt-5.6-sol", 5.00, 30.00, 128_000, Surcharge::RegionalAndCacheWrites),
    listed("gpt-5.6-terra", 2.00, 12.00, 128_000, Surcharge::RegionalAndCacheWrites),
    listed("gpt-5.6-luna", 0.20, 1.20, 128_000, Surcharge::RegionalAndCacheWrites),
    listed("gpt-5.5", 5.00, 30.00, 128_000, Surcharge::Regional),
    listed("gpt-5.4", 2.50, 15.00, 128_000, Surcharge::Regional),
    listed("gpt-5.4-mini", 0.75, 4.50, 128_000, Surcharge::Regional),
    listed("gpt-5.4-nano", 0.20, 1.25, 128_000, Surcharge::Regional),
    listed("gpt-5.2", 1.75, 14.00, 128_000, Surcharge::None),
    listed("gpt-5.1", 1.25, 10.00, 128_000, Surcharge::None),
    listed("gpt-5", 1.25, 10.00, 128_000, Surcharge::None),
    listed("gpt-5-mini", 0.25, 2.00, 128_000, Surcharge::None),
    listed("gpt-5-nano", 0.05, 0.40, 128_000, Surcharge::None),
    listed("gpt-4.1", 2.00, 8.00, 32_768, Surcharge::None),
    listed("gpt-4.1-mini", 0.40, 1.60, 32_768, Surcharge::None),
    listed("gpt-4.1-nano", 0.10, 0.40, 32_768, Surcharge::None),
    // The first release of GPT-4o costs more than the later ones.
    listed("gpt-4o-2024-05-13", 5.00, 15.00, 4096, Surcharge::None),
    listed("gpt-4o", 2.50, 10.00, 16_384, Surcharge::None),
    listed("gpt-4o-mini", 0.15, 0.60, 16_384, Surcharge::None),
    listed("o4-mini", 1.10, 4.40, 100_000, Surcharge::None),
];

const fn listed(name: &'static str, input: f64, output: f64, longest: u64, surcharge: Surcharge) -> ListedModel {
    ListedModel { name, input, output, longest, surcharge }
}

impl Price {
    /// Dollars for a million tokens of the prompt and of the completion.
    pub(crate) fn new(input: f64, output: f64) -> Self {
        Self { input: Usd::new(input / 1e6), output: Usd::new(output / 1e6) }
    }

    /// The user's prices for a million tokens of prompts and completions, else those of the price list, which hold at
    /// OpenAI itself only.
    ///
    /// If tokens of one kind have several prices, this is the highest, so that caps hold.
    ///
    /// # Errors
    /// Only one of the user's two prices.
    pub(crate) fn find(
        (input, output): (Option<f64>, Option<f64>),
        model: &str,
        host: Host,
    ) -> anyhow::Result<Option<Self>> {
        match (input, output) {
            (Some(input), Some(output)) => Ok(Some(Self::new(input, output))),
            (None, None) => Ok(find(model).and_then(|model| model.at(host))),
            _ => bail!("--price-in and --price-out go together"),
        }
    }

    /// The price of the Batch API, which is half the standard price.
    #[must_use]
    pub(crate) fn for_batches(self) -> Self {
        let half = |price: Usd| Usd::new(price.dollars() / 2.0);
        Self { input: half(self.input), output: half(self.output) }
    }

    /// The cost of `tokens`.
    pub(crate) fn of(self, tokens: Tokens) -> Usd {
        self.input.times(tokens.input) + self.output.times(tokens.output)
    }
}

impl ListedModel {
    fn at(&self, host: Host) -> Option<Price> {
        let regional = match host {
            Host::OpenAi => 1.0,
            Host::OpenAiRegion if self.surcharge == Surcharge::None => 1.0,
            Host::OpenAiRegion => 1.1,
            Host::Azure | Host::GitHub | Host::Other => return None,
        };
        let cache_writes = if self.surcharge == Surcharge::RegionalAndCacheWrites { 1.25 } else { 1.0 };
        Some(Price::new(self.input * cache_writes * regional, self.output * regional))
    }
}

/// The longest completion of a model at OpenAI, in tokens.
pub(crate) fn longest_completion(model: &str, host: Host) -> Option<u64> {
    find(model).filter(|_| host.is_openai()).map(|model| model.longest)
}

/// The entry of a model, whose name may have a date at its end (`gpt-4o-mini-2024-07-18`).
fn find(name: &str) -> Option<&'static ListedModel> {
    PRICE_LIST.iter().find(|model| {
        name.strip_prefix(model.name).is_some_and(|rest| {
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
        let find = |given, llm, host| Price::find(given, llm, host).unwrap();
        let at_openai = |llm| find((None, None), llm, Host::OpenAi);
        let mini = Price::new(0.15, 0.6);
        assert_eq!(at_openai("gpt-4o-mini"), Some(mini));
        assert_eq!(at_openai("gpt-4o-mini-2024-07-18"), Some(mini));
        assert_eq!(at_openai("gpt-4o"), Some(Price::new(2.5, 10.0)));
        assert_eq!(at_openai("gpt-4o-2024-08-06"), Some(Price::new(2.5, 10.0)));
        assert_eq!(at_openai("gpt-4o-2024-05-13"), Some(Price::new(5.0, 15.0)), "this release has its own price");
        assert_eq!(at_openai("gpt-6-luna"), Some(Price::new(0.125, 0.5)), "cache writes cost a quarter more");
        for unknown in ["gpt-4o-mini-audio", "gpt-4", "gpt-6", "qwen3", ""] {
            assert_eq!(at_openai(unknown), None, "{unknown}");
        }
        for host in [Host::Azure, Host::GitHub, Host::Other] {
            assert_eq!(find((None, None), "gpt-4o-mini", host), None, "other servers have other prices");
        }
        assert_eq!(find((Some(0.0), Some(0.0)), "qwen3", Host::Other), Some(Price::new(0.0, 0.0)));
        assert!(Price::find((Some(1.0), None), "gpt-4o", Host::OpenAi).is_err());
        assert_eq!(longest_completion("gpt-4.1-mini", Host::OpenAiRegion), Some(32_768));
        assert_eq!(longest_completion("gpt-4.1-mini", Host::Azure), None);
    }

    #[test]
    fn a_region_costs_a_tenth_more_for_newer_models() {
        let at = |llm| Price::find((None, None), llm, Host::OpenAiRegion).unwrap();
        assert_eq!(at("gpt-4o-mini"), Some(Price::new(0.15, 0.6)));
        assert_eq!(at("gpt-5.4"), Some(Price::new(2.75, 16.5)));
        assert_eq!(at("gpt-6.2-sol"), Some(Price::new(2.75, 11.0)));
    }

    #[test]
    fn tokens_are_multiplied_by_their_price() {
        let tokens = Tokens { input: 1_000_000, output: 2_000_000 };
        assert_eq!(Price::new(0.15, 0.6).of(tokens), Usd::new(1.35));
        assert_eq!(Price::new(0.05, 0.4).for_batches().of(tokens), Usd::new(0.425));
    }
}
