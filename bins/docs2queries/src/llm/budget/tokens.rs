//! Counts of tokens, and estimates before the server counts them.

use std::ops::{Add, AddAssign};

use serde_json::Value;

/// Tokens of prompts and of completions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tokens {
    pub(crate) input: u64,
    pub(crate) output: u64,
}

/// How many tokens a request may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Estimate {
    /// The probable number.
    pub(crate) expected: Tokens,
    /// The highest possible number.
    pub(crate) upper_bound: Tokens,
}

impl Estimate {
    /// The estimate for a request whose reply probably has `expected_output` tokens, and no more than `longest_reply`,
    /// if that is known.
    pub(crate) fn of(request: &Value, expected_output: u64, longest_reply: Option<u64>) -> Self {
        let expected_output = expected_output.min(longest_reply.unwrap_or(u64::MAX));
        Self {
            expected: Tokens { input: expected_input(request), output: expected_output },
            upper_bound: Tokens { input: max_input(request), output: longest_reply.unwrap_or_default() },
        }
    }
}

impl Tokens {
    /// The sum of both.
    pub(crate) fn total(self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

impl Add for Tokens {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { input: self.input.saturating_add(other.input), output: self.output.saturating_add(other.output) }
    }
}

impl AddAssign for Tokens {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// The most tokens that a request's prompt can have.
///
/// A token has at least one byte in every byte-level vocabulary, and what the server's chat template adds to the
/// messages is shorter than what JSON adds.
fn max_input(request: &Value) -> u64 {
    request.to_string().len() as u64
}

/// The number of tokens that a request's prompt probably has.
///
/// In current vocabularies, a token has about four letters of an alphabet, or one character of a script without one.
fn expected_input(request: &Value) -> u64 {
    let contents =
        request["messages"].as_array().into_iter().flatten().filter_map(|message| message["content"].as_str());
    let quarters: u64 = contents.flat_map(str::chars).map(|c| if u32::from(c) < 0x2e80 { 1 } else { 4 }).sum();
    quarters.div_ceil(4) + 10
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn estimates_are_below_bounds() {
        let request = |text: &str| json!({"messages": [{"role": "user", "content": text}]});
        assert_eq!(expected_input(&request("eight of")), 12);
        assert_eq!(expected_input(&request("什么是租约")), 15);
        for text in ["", "a", "什么是租约", "\n\n\"\u{1}"] {
            assert!(max_input(&request(text)) as usize > text.len() + 20, "{text}");
            assert!(expected_input(&request(text)) <= max_input(&request(text)), "{text}");
        }
    }
}
