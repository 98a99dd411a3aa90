//! A model's tokenizer.

use embtune_model::{ModelError, TokenizerSpec};
use rayon::ThreadPool;
use rayon::prelude::*;

use crate::border::border;
use crate::frame::Frame;

/// Why a tokenizer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenizeError {
    /// Its files cannot be read.
    #[error(transparent)]
    File(#[from] ModelError),
    /// It does not do what is asked of it.
    #[error("{file}: {what}")]
    Tokenizer {
        /// The tokenizer's file.
        file: String,
        /// Why.
        what: String,
    },
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
    cuts_left: bool,
    pool: ThreadPool,
    frame: Frame,
    room: usize,
    word_embeddings: usize,
}

/// More bytes of text than a token has: so many for each token that fits are looked at first.
const BYTES_A_TOKEN: usize = 16;
/// Bytes of a text that messages show.
const SHOWN_BYTES: usize = 60;

impl Tokenizer {
    /// Builds the tokenizer that a directory describes, for a model with so many word embeddings (absent: nobody knows).
    ///
    /// Truncation and padding that the file asks for are replaced, as sentence-transformers does: texts are cut at
    /// `max_length` tokens, on the side that the directory names.
    ///
    /// # Errors
    /// A file that is missing or damaged, a `max_length` that leaves no room beside the special tokens.
    pub fn open(
        spec: &TokenizerSpec,
        max_length: usize,
        word_embeddings: Option<usize>,
        threads: usize,
    ) -> Result<Self, TokenizeError> {
        let name = spec.file().display().to_string();
        let fail = |what: String| TokenizeError::Tokenizer { file: name.clone(), what };
        let content = spec.content()?;
        let mut inner = tokenizers::Tokenizer::from_bytes(content).map_err(|error| fail(error.to_string()))?;
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
        Ok(Self {
            inner,
            name,
            cuts_left: spec.truncates_left(),
            pool,
            frame,
            room: max_length - special,
            word_embeddings: word_embeddings.unwrap_or(usize::MAX),
        })
    }

    /// Tokens of a text that fit beside the special tokens.
    pub fn room(&self) -> usize {
        self.room
    }

    /// Whether anything of a text is left after a prompt, when texts are cut at their end: if not, all rows are the same.
    ///
    /// # Errors
    /// A prompt that the tokenizer cannot take.
    pub fn leaves_room_after(&self, prompt: &str) -> Result<bool, TokenizeError> {
        let alone = self.encode_one("", prompt)?.ids.len() - self.frame.len();
        Ok(prompt.is_empty() || self.cuts_left || alone < self.room)
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
        // Of a text that will lose its end, what follows the cut need not be tokenised.
        let mut enough = if self.cuts_left { text.len() } else { self.room.saturating_mul(BYTES_A_TOKEN) };
        loop {
            let end = border(&text, enough).unwrap_or(text.len());
            let encoding = self.inner.encode_fast(&text[..end], false).map_err(|error| self.fail(error.to_string()))?;
            let ids = encoding.get_ids();
            let truncated = ids.len() > self.room;
            if truncated || end == text.len() {
                let kept = self.room.min(ids.len());
                let kept = if self.cuts_left { &ids[ids.len() - kept..] } else { &ids[..kept] };
                self.check_embedded(kept, &text)?;
                return Ok(Tokens { ids: self.framed(kept), truncated });
            }
            enough = end.saturating_mul(2);
        }
    }

    /// Refuses ids of a text that go past the word embeddings: a vocabulary may be larger than they are, as long as
    /// nobody writes those tokens.
    fn check_embedded(&self, ids: &[u32], text: &str) -> Result<(), TokenizeError> {
        let Some(id) = ids.iter().find(|id| **id as usize >= self.word_embeddings) else { return Ok(()) };
        let token = self.inner.id_to_token(*id).unwrap_or_default();
        let begin = &text[..text.floor_char_boundary(SHOWN_BYTES)];
        let more = if begin.len() < text.len() { "..." } else { "" };
        Err(self.fail(format!(
            "token \"{token}\" has the id {id}, but the model has {} word embeddings; it is in the text \"{begin}{more}\"",
            self.word_embeddings
        )))
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
        let encoding = self.inner.encode(text, false).map_err(|error| self.fail(error.to_string()))?;
        self.check_embedded(encoding.get_ids(), text)?;
        let tokens = encoding.get_ids().iter().zip(encoding.get_offsets());
        Ok(tokens.map(|(id, (start, end))| Token { id: *id, start: *start, end: *end }).collect())
    }

    fn fail(&self, what: String) -> TokenizeError {
        TokenizeError::Tokenizer { file: self.name.clone(), what }
    }
}

/// A token and the bytes of the text that it stands for.
pub(crate) struct Token {
    pub(crate) id: u32,
    pub(crate) start: usize,
    pub(crate) end: usize,
}
