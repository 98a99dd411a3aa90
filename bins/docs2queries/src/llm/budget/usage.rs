//! The token counts of a reply, in the notations of many servers.

use serde_json::Value;

use super::tokens::Tokens;

// The names of OpenAI, Anthropic and Google.
const INPUT: [&str; 3] = ["prompt_tokens", "input_tokens", "promptTokenCount"];
const OUTPUT: [&str; 3] = ["completion_tokens", "output_tokens", "candidatesTokenCount"];
const TOTAL: [&str; 2] = ["total_tokens", "totalTokenCount"];
const REASONING: [&str; 4] = [
    "/completion_tokens_details/reasoning_tokens",
    "/output_tokens_details/reasoning_tokens",
    "/reasoning_tokens",
    "/thoughtsTokenCount",
];
/// Anthropic does not include these in `input_tokens`.
const CACHED: [&str; 2] = ["cache_creation_input_tokens", "cache_read_input_tokens"];

impl Tokens {
    /// Reads a reply's field `usage`; `has_content` says whether there is a completion that must have cost something.
    ///
    /// Reasoning is paid for. Most servers count it as part of the completion; xAI and Google count it separately, so
    /// that only the total contains it. If the counts contradict each other, the highest wins. None if there are no
    /// counts, or if they claim that the prompt or a completion has no tokens at all.
    pub(in crate::llm) fn of_usage(usage: &Value, has_content: bool) -> Option<Self> {
        let first = |names: &[&str]| names.iter().find_map(|name| count(&usage[name]));
        let (input, output, total) = (first(&INPUT), first(&OUTPUT), first(&TOTAL));
        let reasoning = REASONING.iter().find_map(|place| count(usage.pointer(place)?)).unwrap_or_default();
        let is_anthropic = usage["prompt_tokens"].is_null() && !usage["input_tokens"].is_null();
        let cached = CACHED.iter().filter(|_| is_anthropic).filter_map(|name| count(&usage[name])).sum::<u64>();
        let input = input.map(|input| input.saturating_add(cached));
        // Reasoning that is longer than the completion cannot be a part of it.
        let output = output.map(|output| if reasoning > output { output.saturating_add(reasoning) } else { output });
        let tokens = match (input, output, total) {
            (Some(input), Some(output), total) => {
                Self { input, output: output.max(total.unwrap_or_default().saturating_sub(input)) }
            }
            (Some(input), None, Some(total)) => Self { input, output: total.saturating_sub(input) },
            (None, Some(output), Some(total)) => Self { input: total.saturating_sub(output), output },
            // Tokens of the completion are the more expensive ones.
            (None, None, Some(total)) => return Some(Self { input: 0, output: total }).filter(|_| total > 0),
            _ => return None,
        };
        Some(tokens).filter(|tokens| tokens.input > 0 && (tokens.output > 0 || !has_content))
    }
}

/// A count, which some servers write as a string or with a fraction.
fn count(value: &Value) -> Option<u64> {
    let number = match value {
        Value::Number(number) => number.as_u64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => text.trim().parse().ok().or_else(|| whole(text.trim().parse().ok()?)),
        _ => None,
    };
    number.filter(|number| *number <= MOST)
}

/// No reply takes more tokens; a larger number is an error.
const MOST: u64 = 1 << 40;

fn whole(number: f64) -> Option<u64> {
    (number >= 0.0 && number <= MOST as f64).then(|| number.ceil() as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(usage: Value) -> Option<(u64, u64)> {
        Tokens::of_usage(&usage, true).map(|tokens| (tokens.input, tokens.output))
    }

    #[test]
    fn reasoning_is_counted_wherever_it_is() {
        let details = json!({"reasoning_tokens": 572});
        // OpenAI counts it in the completion, xAI and Google in the total only, and others not even there.
        for (usage, output) in [
            (
                json!({"prompt_tokens": 20, "completion_tokens": 996, "total_tokens": 1016, "completion_tokens_details": details}),
                996,
            ),
            (
                json!({"prompt_tokens": 20, "completion_tokens": 424, "total_tokens": 1016, "completion_tokens_details": details}),
                996,
            ),
            (json!({"prompt_tokens": 20, "completion_tokens": 424, "total_tokens": 1016}), 996),
            (
                json!({"prompt_tokens": 20, "completion_tokens": 424, "total_tokens": 444, "completion_tokens_details": details}),
                996,
            ),
            (json!({"prompt_tokens": 20, "completion_tokens": 424, "completion_tokens_details": details}), 996),
            (
                json!({"promptTokenCount": 20, "candidatesTokenCount": 424, "thoughtsTokenCount": 572, "totalTokenCount": 1016}),
                996,
            ),
            (json!({"prompt_tokens": 20, "completion_tokens": 424, "total_tokens": 30}), 424),
        ] {
            assert_eq!(read(usage.clone()), Some((20, output)), "{usage}");
        }
    }

    #[test]
    fn counts_have_many_names_and_forms() {
        for usage in [
            json!({"prompt_tokens": 100, "completion_tokens": 20}),
            json!({"input_tokens": 100, "output_tokens": 20}),
            json!({"input_tokens": 10, "cache_creation_input_tokens": 60, "cache_read_input_tokens": 30, "output_tokens": 20}),
            json!({"prompt_tokens": 100, "cache_read_input_tokens": 30, "completion_tokens": 20}),
            json!({"prompt_tokens": "100", "completion_tokens": " 20 ", "total_tokens": "120"}),
            json!({"prompt_tokens": 100.0, "completion_tokens": 19.5}),
            json!({"prompt_tokens": 100, "completion_tokens": null, "total_tokens": 120}),
            json!({"completion_tokens": 20, "total_tokens": 120}),
            json!({"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": null, "completion_tokens_details": null}),
        ] {
            assert_eq!(read(usage.clone()), Some((100, 20)), "{usage}");
        }
        assert_eq!(read(json!({"total_tokens": 120})), Some((0, 120)));
    }

    #[test]
    fn missing_or_contradictory_counts_are_ignored() {
        for usage in [
            json!(null),
            json!({}),
            json!(3),
            json!([]),
            json!({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}),
            json!({"prompt_tokens": 0, "completion_tokens": 20, "total_tokens": 20}),
            json!({"prompt_tokens": 100, "completion_tokens": 0, "total_tokens": 100}),
            json!({"prompt_tokens": 100}),
            json!({"prompt_tokens": -1, "completion_tokens": -1}),
            json!({"prompt_tokens": "many", "completion_tokens": true}),
            json!({"prompt_tokens": 1e300, "completion_tokens": 18_446_744_073_709_551_615_u64}),
            json!({"total_tokens": 0}),
        ] {
            assert_eq!(read(usage.clone()), None, "{usage}");
        }
        let refused = json!({"prompt_tokens": 100, "completion_tokens": 0, "total_tokens": 100});
        assert_eq!(Tokens::of_usage(&refused, false), Some(Tokens { input: 100, output: 0 }));
    }
}
