//! A model's tokenizer.

use std::path::Path;

use rayon::ThreadPool;
use rayon::prelude::*;

use crate::border::border;
use crate::frame::Frame;

/// Why a tokenizer cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {what}")]
pub struct TokenizeError {
    file: String,
    what: String,
}

/// A text as token ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Token ids, special tokens included.
    pub ids: Vec<u32>,
    /// Whether the text was longer.
    pub truncated: bool,
}

/// Turns texts into token ids, special tokens included, cut at a number of tokens; no padding.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    name: String,
    lower_case: bool,
    pool: ThreadPool,
    frame: Frame,
    room: usize,
}

/// More bytes of text than a token has: so many for each token that fits are looked at first.
const BYTES_A_TOKEN: usize = 16;

impl Tokenizer {
    /// Reads a `tokenizer.json`.
    ///
    /// Truncation and padding that the file asks for are replaced, as sentence-transformers does: texts are cut on
    /// the right at `max_length` tokens.
    ///
    /// # Errors
    /// A file that is missing or damaged, a `max_length` that leaves no room beside the special tokens.
    pub fn open(file: &Path, max_length: usize, lower_case: bool, threads: usize) -> Result<Self, TokenizeError> {
        let name = file.display().to_string();
        let fail = |what: String| TokenizeError { file: name.clone(), what };
        let mut inner = tokenizers::Tokenizer::from_file(file).map_err(|error| fail(error.to_string()))?;
        inner.with_padding(None).with_truncation(None).map_err(|error| fail(error.to_string()))?;
        let frame = Frame::of(&inner).map_err(fail)?;
        let special = frame.len();
        if max_length <= special {
            return Err(fail(format!(
                "a length of {max_length} tokens leaves no room beside {special} special tokens"
            )));
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map_err(|error| fail(format!("cannot start {threads} threads: {error}")))?;
        Ok(Self { inner, name, lower_case, pool, frame, room: max_length - special })
    }

    /// Tokens of a text that fit beside the special tokens.
    pub fn room(&self) -> usize {
        self.room
    }

    /// Refuses a tokenizer whose ids go past a model's word embeddings.
    ///
    /// # Errors
    /// More tokens than `word_embeddings`.
    pub fn check_vocabulary(&self, word_embeddings: usize) -> Result<(), TokenizeError> {
        let tokens = self.inner.get_vocab_size(true);
        if tokens > word_embeddings {
            return Err(self.fail(format!("has {tokens} tokens, but the model has {word_embeddings} word embeddings")));
        }
        Ok(())
    }

    /// Tokenises texts in parallel; the results are in the texts' order. `prompt` is put before each text.
    ///
    /// # Errors
    /// A text that the tokenizer cannot take (its own rules).
    pub fn encode(&self, texts: &[impl AsRef<str> + Sync], prompt: &str) -> Result<Vec<Tokens>, TokenizeError> {
        self.map(texts, |text| self.encode_one(text.as_ref(), prompt))
    }

    fn encode_one(&self, text: &str, prompt: &str) -> Result<Tokens, TokenizeError> {
        let mut text = format!("{prompt}{text}");
        if self.lower_case {
            text = text.to_lowercase();
        }
        // Of a text that will be cut, what is behind the cut need not be tokenised.
        let mut enough = self.room.saturating_mul(BYTES_A_TOKEN);
        loop {
            let end = border(&text, enough).unwrap_or(text.len());
            let encoding = self.inner.encode_fast(&text[..end], false).map_err(|error| self.fail(error.to_string()))?;
            let ids = encoding.get_ids();
            let truncated = ids.len() > self.room;
            if truncated || end == text.len() {
                return Ok(Tokens { ids: self.framed(&ids[..ids.len().min(self.room)]), truncated });
            }
            enough = end.saturating_mul(2);
        }
    }

    /// Works on texts in parallel; the results are in the texts' order.
    pub(crate) fn map<T: Sync, R: Send>(
        &self,
        texts: &[T],
        one: impl Fn(&T) -> Result<R, TokenizeError> + Sync + Send,
    ) -> Result<Vec<R>, TokenizeError> {
        self.pool.install(|| texts.par_iter().map(one).collect())
    }

    /// Tokens between the special tokens.
    pub(crate) fn framed(&self, ids: &[u32]) -> Vec<u32> {
        [&self.frame.before, ids, &self.frame.after].concat()
    }

    /// Token ids and where in `text` each stands, in bytes; no special tokens.
    pub(crate) fn place(&self, text: &str) -> Result<Vec<Token>, TokenizeError> {
        let lowered = self.lower_case.then(|| lower(text));
        let seen = lowered.as_ref().map_or(text, |(lowered, _)| lowered);
        let encoding = self.inner.encode(seen, false).map_err(|error| self.fail(error.to_string()))?;
        let tokens = encoding.get_ids().iter().zip(encoding.get_offsets()).map(|(id, (start, end))| Token {
            id: *id,
            start: *start,
            end: *end,
        });
        Ok(match &lowered {
            None => tokens.collect(),
            Some((_, origin)) => tokens.map(|token| token.before_lowering(text, origin)).collect(),
        })
    }

    fn fail(&self, what: String) -> TokenizeError {
        TokenizeError { file: self.name.clone(), what }
    }
}

/// A token and the bytes of the text that it stands for.
pub(crate) struct Token {
    pub(crate) id: u32,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Token {
    /// Where the token stands in the text that was put into lower case; see [`lower`].
    fn before_lowering(self, text: &str, origin: &[usize]) -> Self {
        let end =
            if self.end > self.start { text.ceil_char_boundary(origin[self.end - 1] + 1) } else { origin[self.end] };
        Self { id: self.id, start: origin[self.start], end }
    }
}

/// A text in lower case, and from which byte of the text each of its bytes, and its end, comes.
fn lower(text: &str) -> (String, Vec<usize>) {
    let lowered = text.to_lowercase();
    let mut origin = Vec::with_capacity(lowered.len() + 1);
    for (at, character) in text.char_indices() {
        let bytes = character.to_lowercase().map(char::len_utf8).sum();
        origin.extend(std::iter::repeat_n(at, bytes));
    }
    origin.resize(lowered.len() + 1, text.len());
    (lowered, origin)
}
