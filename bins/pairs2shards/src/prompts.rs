//! Prompts that pairs name themselves.

use embtune_records::Pair;

/// What goes before each anchor of a shard: the flag's prompt, else the one that all pairs name, else the model's.
pub(crate) struct Prompts {
    /// What goes before the anchors of pairs that name nothing.
    own: String,
    /// Whether it is the flag's, so that pairs have no say.
    is_given: bool,
    /// What the first pair decided.
    decided: Option<String>,
    /// Pairs with another prompt than the flag's.
    pub(crate) overruled: u64,
}

impl Prompts {
    /// `own` is the flag's prompt (`is_given`) or the model's.
    pub(crate) fn new(own: &str, is_given: bool) -> Self {
        Self { own: own.to_owned(), is_given, decided: None, overruled: 0 }
    }

    /// Takes note of a pair; gives its prompt when that is to go before all anchors, in place of the model's.
    ///
    /// # Errors
    /// A pair whose prompt is not that of the pairs before it.
    pub(crate) fn take<'a>(&mut self, pair: &'a Pair) -> Result<Option<&'a str>, String> {
        let named = pair.query_prompt.as_deref().filter(|prompt| *prompt != self.own);
        if self.is_given {
            self.overruled += u64::from(named.is_some());
            return Ok(None);
        }
        let prompt = named.unwrap_or(&self.own);
        match &self.decided {
            None => {
                self.decided = Some(prompt.to_owned());
                Ok(named)
            }
            Some(decided) if decided == prompt => Ok(None),
            Some(decided) => Err(format!(
                "the query prompt is \"{prompt}\", but \"{decided}\" in the pairs before\n\
                 hint: a shard has one prompt: name it with --query-prompt, or make a shard for each"
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
    fn a_flag_overrules_them_all() {
        let mut prompts = Prompts::new("f: ", true);
        for prompt in [Some("x: "), None, Some("f: "), Some("y: ")] {
            assert_eq!(take(&mut prompts, prompt), Ok(None));
        }
        assert_eq!(prompts.overruled, 2);
    }
}
