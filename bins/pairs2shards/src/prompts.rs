//! Query prompts in the fields of pairs.

use embtune_records::Pair;

/// Chooses the prompt before the anchors of a shard: that of the flag, else the one that all pairs have, else the
/// model's.
pub(crate) struct Prompts {
    /// The prompt of pairs that have none.
    default: String,
    /// Whether it is the flag's, which takes precedence over the pairs'.
    is_flag: bool,
    /// The prompt of the first pair.
    first: Option<String>,
    /// Pairs with a different prompt than the flag's.
    pub(crate) overruled: u64,
}

impl Prompts {
    /// `default` is the prompt of the flag (`is_flag`) or of the model.
    pub(crate) fn new(default: &str, is_flag: bool) -> Self {
        Self { default: default.to_owned(), is_flag, first: None, overruled: 0 }
    }

    /// Checks the prompt of a pair. Returns it if it replaces the model's prompt from now on, which is so for the first
    /// pair only.
    ///
    /// # Errors
    /// A pair whose prompt differs from that of earlier pairs.
    pub(crate) fn take<'a>(&mut self, pair: &'a Pair) -> Result<Option<&'a str>, String> {
        let named = pair.query_prompt.as_deref().filter(|prompt| *prompt != self.default);
        if self.is_flag {
            self.overruled += u64::from(named.is_some());
            return Ok(None);
        }
        let prompt = named.unwrap_or(&self.default);
        match &self.first {
            None => {
                self.first = Some(prompt.to_owned());
                Ok(named)
            }
            Some(first) if first == prompt => Ok(None),
            Some(first) => Err(format!(
                "the query prompt is \"{prompt}\", but \"{first}\" in earlier pairs\n\
                 hint: a shard has one query prompt: set it with --query-prompt, or write a shard for each"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(prompts: &mut Prompts, prompt: Option<&str>) -> Result<Option<String>, String> {
        let pair = Pair { query_prompt: prompt.map(str::to_owned), ..Pair::default() };
        prompts.take(&pair).map(|prompt| prompt.map(str::to_owned))
    }

    #[test]
    fn the_first_pair_decides() {
        let mut prompts = Prompts::new("q: ", false);
        assert_eq!(take(&mut prompts, Some("x: ")), Ok(Some("x: ".into())));
        assert_eq!(take(&mut prompts, Some("x: ")), Ok(None));
        assert!(take(&mut prompts, Some("y: ")).unwrap_err().starts_with("the query prompt is \"y: \", but \"x: \""));
        assert!(take(&mut prompts, None).unwrap_err().starts_with("the query prompt is \"q: \", but \"x: \""));
        let mut prompts = Prompts::new("q: ", false);
        assert_eq!([take(&mut prompts, None), take(&mut prompts, Some("q: "))], [Ok(None), Ok(None)]);
        assert!(take(&mut prompts, Some("x: ")).is_err());
    }

    #[test]
    fn the_flag_takes_precedence() {
        let mut prompts = Prompts::new("f: ", true);
        for prompt in [Some("x: "), None, Some("f: "), Some("y: ")] {
            assert_eq!(take(&mut prompts, prompt), Ok(None));
        }
        assert_eq!(prompts.overruled, 2);
    }
}
