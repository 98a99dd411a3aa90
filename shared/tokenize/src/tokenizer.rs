//! A model's tokenizer.

use embtune_model::TokenizerSpec;
use rayon::ThreadPool;
use rayon::prelude::*;

use crate::library::{Library, SpecialTokens, TokenizeError, shown};
use crate::pieces::{LONGEST_WORD, Pieces};

/// A text as token ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Token ids, special tokens included.
    pub ids: Vec<u32>,
    /// Whether the text was longer and was cut.
    pub truncated: bool,
}

/// Turns texts into token ids, special tokens included, cut at a number of tokens; no padding.
pub struct Tokenizer {
    library: Library,
    special_tokens: SpecialTokens,
    /// Whether a long text loses its beginning instead of its end.
    cuts_left: bool,
    /// Tokens of a text that fit beside the special tokens.
    room: usize,
    word_embeddings: usize,
    pool: ThreadPool,
}

/// More bytes than tokens usually have: of a long text, this many are tokenised first for each token that fits.
const BYTES_A_TOKEN: usize = 16;
/// Tokens after those that fit, which show whether the text that follows has an effect on them.
const SETTLED_TOKENS: usize = 64;
/// Longest token, in bytes, of a vocabulary for which that is checked.
const MOST_TOKEN_BYTES: usize = 256;

impl Tokenizer {
    /// Builds the tokenizer that a directory describes, for a model with this number of word embeddings (`None` where
    /// it is not known).
    ///
    /// Truncation and padding that the file asks for are replaced, as sentence-transformers does: texts are cut at
    /// `max_length` tokens, on the side that the directory names.
    ///
    /// # Errors
    /// A file that is missing or damaged, or that its library cannot use; a `max_length` that leaves no room beside the
    /// special tokens; a special token without a word embedding.
    pub fn open(
        spec: &TokenizerSpec,
        max_length: usize,
        word_embeddings: Option<usize>,
        threads: usize,
    ) -> Result<Self, TokenizeError> {
        let library = Library::load(spec.content()?, spec.file().display().to_string())?;
        let special_tokens = library.special_tokens()?;
        let special = special_tokens.len();
        if max_length <= special {
            return Err(TokenizeError::NoRoom { max_length, special });
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map_err(|error| library.error(format!("cannot start {threads} threads: {error}")))?;
        let tokenizer = Self {
            library,
            special_tokens,
            cuts_left: spec.truncates_left(),
            room: max_length - special,
            word_embeddings: word_embeddings.unwrap_or(usize::MAX),
            pool,
        };
        tokenizer.check_embedded(&tokenizer.framed(&[]), || "the tokenizer puts it around every text".into())?;
        Ok(tokenizer)
    }

    /// Tokens of a text that fit beside the special tokens.
    pub fn room(&self) -> usize {
        self.room
    }

    /// Whether anything of a text is left after a prompt when texts are cut at their end. If not, all texts become the
    /// same row.
    ///
    /// # Errors
    /// A prompt that the tokenizer cannot take.
    pub fn leaves_room_after(&self, prompt: &str) -> Result<bool, TokenizeError> {
        let alone = self.encode_one("", prompt)?.ids.len() - self.special_tokens.len();
        Ok(prompt.is_empty() || self.cuts_left || alone < self.room)
    }

    /// Number of tokens that a prompt takes at the beginning of each row, special tokens before it included.
    ///
    /// As sentence-transformers counts them: those of the prompt alone, without one special token behind it.
    ///
    /// # Errors
    /// A prompt that the tokenizer cannot take.
    pub fn prompt_tokens(&self, prompt: &str) -> Result<usize, TokenizeError> {
        if prompt.is_empty() {
            return Ok(0);
        }
        let alone = self.encode_one("", prompt)?.ids.len();
        Ok(alone - self.special_tokens.after.len().min(1))
    }

    /// Tokenises texts in parallel; the results are in the texts' order. `prompt` is put before each text.
    ///
    /// # Errors
    /// A text that the tokenizer cannot take (its own rules), or that holds a token without a word embedding.
    pub fn encode(&self, texts: &[impl AsRef<str> + Sync], prompt: &str) -> Result<Vec<Tokens>, TokenizeError> {
        self.map(texts, |text| self.encode_one(text.as_ref(), prompt))
    }

    fn encode_one(&self, text: &str, prompt: &str) -> Result<Tokens, TokenizeError> {
        let text = format!("{prompt}{text}");
        let enough = self.room.saturating_mul(BYTES_A_TOKEN);
        let most = enough.saturating_add(LONGEST_WORD);
        // A text that is cut at its end need not be tokenised beyond the cut.
        let beginning = word_boundary(&text[..text.floor_char_boundary(most)], enough).filter(|_| !self.cuts_left);
        for end in beginning.into_iter().chain([text.len()]).filter(|end| *end <= most) {
            let ids = self.library.ids(&text[..end])?;
            if ids.len() > self.room || end == text.len() {
                return self.cut(&ids, ids.len(), &text);
            }
        }
        self.encode_long(&text)
    }

    /// Encodes a text that is too long to be tokenised at once, and whose beginning does not have enough tokens.
    fn encode_long(&self, text: &str) -> Result<Tokens, TokenizeError> {
        let mut pieces = Pieces::new(&self.library, text, self.room.saturating_mul(BYTES_A_TOKEN));
        let (mut ids, mut count, mut reach) = (Vec::new(), 0, None);
        while let Some(tokens) = pieces.next()? {
            reach = reach.or_else(|| {
                let after = (self.room + SETTLED_TOKENS).checked_sub(count)?;
                tokens.get(after).map(|token| token.end)
            });
            count += tokens.len();
            ids.extend(tokens.iter().map(|token| token.id));
            if !self.cuts_left && count > self.room {
                break;
            }
            if self.cuts_left && ids.len() > self.room {
                ids.drain(..ids.len() - self.room);
            }
        }
        if pieces.has_split_word && !self.is_settled(text, &ids, reach)? {
            let ids = self.library.ids(text)?;
            return self.cut(&ids, ids.len(), text);
        }
        self.cut(&ids, count, text)
    }

    /// Whether the first tokens of a text in which a word was split are those of the whole text.
    ///
    /// Unigram takes the best of all ways to divide a word, which may depend on its end: of "haha...ha" it may take the
    /// first "ha" or the last. But every way has the end of a token within any stretch as long as the longest token. If
    /// all prefixes of the text that end in such a stretch, from `reach` on, have the same first tokens, so has the
    /// whole text.
    fn is_settled(&self, text: &str, ids: &[u32], reach: Option<usize>) -> Result<bool, TokenizeError> {
        let Some(longest) = self.library.longest_unigram() else { return Ok(true) };
        let Some(reach) = reach.filter(|_| !self.cuts_left && longest <= MOST_TOKEN_BYTES) else { return Ok(false) };
        let first = &ids[..self.room.min(ids.len())];
        // Twice as long, because normalisation may shorten a text before it is divided.
        let stretch = reach..reach.saturating_add(2 * longest).min(text.len());
        for end in stretch.filter(|end| text.is_char_boundary(*end)) {
            if !self.library.ids(&text[..end])?.starts_with(first) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Cuts a text of `count` tokens to those that fit, which are among `ids`.
    fn cut(&self, ids: &[u32], count: usize, text: &str) -> Result<Tokens, TokenizeError> {
        let kept = self.room.min(ids.len());
        let kept = if self.cuts_left { &ids[ids.len() - kept..] } else { &ids[..kept] };
        self.check_embedded(kept, || format!("it is in the text {}", shown(text)))?;
        Ok(Tokens { ids: self.framed(kept), truncated: count > self.room })
    }

    /// Refuses ids that have no word embedding. A vocabulary may be larger than the embeddings as long as no text has
    /// those tokens.
    pub(crate) fn check_embedded(&self, ids: &[u32], location: impl FnOnce() -> String) -> Result<(), TokenizeError> {
        let Some(id) = ids.iter().find(|id| **id as usize >= self.word_embeddings) else { return Ok(()) };
        let token = self.library.token_text(*id);
        Err(self.library.error(format!(
            "token \"{token}\" has the id {id}, but the model has {} word embeddings; {}",
            self.word_embeddings,
            location()
        )))
    }

    /// Applies a function to texts in parallel; the results are in the texts' order.
    pub(crate) fn map<T: Sync, R: Send>(
        &self,
        texts: &[T],
        one: impl Fn(&T) -> Result<R, TokenizeError> + Sync + Send,
    ) -> Result<Vec<R>, TokenizeError> {
        self.pool.install(|| texts.par_iter().map(one).collect())
    }

    /// Ids with the special tokens around them.
    pub(crate) fn framed(&self, ids: &[u32]) -> Vec<u32> {
        [&self.special_tokens.before, ids, &self.special_tokens.after].concat()
    }

    pub(crate) fn library(&self) -> &Library {
        &self.library
    }
}

/// The first position, `from` bytes into the text or later, at which the text can be divided without changing the
/// tokens on either side.
///
/// That is before a space between two letters or digits: tokenizers divide words there before anything else, and the
/// space belongs to the word after it, if to any.
fn word_boundary(text: &str, from: usize) -> Option<usize> {
    let from = text.ceil_char_boundary(from);
    let blanks = text[from..].match_indices(' ').map(|(at, _)| from + at);
    let word = |character: Option<char>| character.is_some_and(char::is_alphanumeric);
    blanks.filter(|at| *at > 0).find(|at| word(text[..*at].chars().next_back()) && word(text[at + 1..].chars().next()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn word_boundaries_are_spaces_between_words() {
        let text = "aa, bb cc\u{301} dd  ee ff";
        let boundaries: Vec<&str> =
            (0..text.len()).filter_map(|from| Some(&text[word_boundary(text, from)?..])).collect();
        assert_eq!(boundaries.first(), Some(&" cc\u{301} dd  ee ff"));
        assert_eq!(boundaries.last(), Some(&" ff"));
        assert_eq!(word_boundary(text, 100), None);
        assert_eq!(word_boundary("\u{96e8}\u{96e8} a", 1), Some(6), "inside a character");
    }
}
