//! Counting tokens before the server does.

use std::ops::{Add, AddAssign};

use serde_json::Value;

/// Tokens of prompts and of completions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tokens {
    pub(crate) input: u64,
    pub(crate) output: u64,
}

impl Tokens {
    /// Both together.
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
/// A token is at least one byte, in every vocabulary that begins with the bytes; what the server adds around the
/// messages is less than what JSON adds.
pub(crate) fn most_of_prompt(request: &Value) -> u64 {
    request.to_string().len() as u64
}

/// About how many tokens a request's prompt has.
///
/// Four letters of an alphabet, and one character of a script without one, come near to what current vocabularies do.
pub(crate) fn about_of_prompt(request: &Value) -> u64 {
    let contents =
        request["messages"].as_array().into_iter().flatten().filter_map(|message| message["content"].as_str());
    let quarters: u64 = contents.flat_map(str::chars).map(|c| if u32::from(c) < 0x2e80 { 1 } else { 4 }).sum();
    quarters.div_ceil(4) + 10
}

/// About how many tokens a reply with so many queries has: a query of twelve words, and the JSON around it.
pub(crate) fn about_of_reply(queries: usize) -> u64 {
    10 + 20 * queries as u64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn estimates_are_below_bounds() {
        let request = |text: &str| json!({"messages": [{"role": "user", "content": text}]});
        assert_eq!(about_of_prompt(&request("eight of")), 12);
        assert_eq!(about_of_prompt(&request("什么是租约")), 15);
        for text in ["", "a", "什么是租约", "\n\n\"\u{1}"] {
            assert!(most_of_prompt(&request(text)) as usize > text.len() + 20, "{text}");
            assert!(about_of_prompt(&request(text)) <= most_of_prompt(&request(text)), "{text}");
        }
    }
}
