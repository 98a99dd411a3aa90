//! A model's tokenizer.

use embtune_model::{ModelError, TokenizerSpec};
use rayon::ThreadPool;
use rayon::prelude::*;
use tokenizers::{Model as _, ModelWrapper};

use crate::border::border;
use crate::frame::Frame;
use crate::guard::{guarded, probe};
use crate::pieces::{LONGEST_WORD, Pieces};

/// Why a tokenizer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenizeError {
    /// Its files cannot be read.
    #[error(transparent)]
    File(#[from] ModelError),
    /// Nothing of a text would be left.
    #[error(
        "texts are cut at {max_length} tokens, which leaves no room beside the {special} special tokens around each"
    )]
    NoRoom {
        /// Tokens at which texts are cut.
        max_length: usize,
        /// Special tokens around each text.
        special: usize,
    },
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
    word_limit: Option<WordLimit>,
}

/// How long a word may be that WordPiece divides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WordLimit {
    /// A word with more characters is one unknown token.
    pub(crate) characters: usize,
    /// Its id.
    pub(crate) unknown: u32,
}

/// More bytes of text than a token has: so many for each token that fits are looked at first.
const BYTES_A_TOKEN: usize = 16;
/// Bytes of a text that messages show.
const SHOWN_BYTES: usize = 60;
/// Tokens that are looked at after those that fit, to see whether what follows has an effect on them.
const SETTLED_TOKENS: usize = 64;
/// Longest token, in bytes, of a vocabulary in which that can be seen.
const MOST_TOKEN_BYTES: usize = 256;

impl Tokenizer {
    /// Builds the tokenizer that a directory describes, for a model with so many word embeddings (absent: nobody knows).
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
        let name = spec.file().display().to_string();
        let fail = |what: String| TokenizeError::Tokenizer { file: name.clone(), what };
        let content = spec.content()?;
        let inner = guarded(|| {
            let mut inner = tokenizers::Tokenizer::from_bytes(content)?;
            inner.with_padding(None).with_truncation(None)?;
            Ok(inner)
        });
        let inner = inner.map_err(fail)?;
        let frame = guarded(|| Frame::of(&inner).map_err(Into::into)).map_err(fail)?;
        probe(&inner).map_err(fail)?;
        let special = frame.len();
        if max_length <= special {
            return Err(TokenizeError::NoRoom { max_length, special });
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map_err(|error| fail(format!("cannot start {threads} threads: {error}")))?;
        let word_limit = match inner.get_model() {
            ModelWrapper::WordPiece(model) => model
                .token_to_id(&model.unk_token)
                .map(|unknown| WordLimit { characters: model.max_input_chars_per_word, unknown }),
            _ => None,
        };
        let tokenizer = Self {
            inner,
            name,
            cuts_left: spec.truncates_left(),
            pool,
            frame,
            room: max_length - special,
            word_embeddings: word_embeddings.unwrap_or(usize::MAX),
            word_limit,
        };
        tokenizer.check_embedded(&tokenizer.framed(&[]), || "the tokenizer puts it around every text".into())?;
        Ok(tokenizer)
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
        let enough = self.room.saturating_mul(BYTES_A_TOKEN);
        let most = enough.saturating_add(LONGEST_WORD);
        // Of a text that will lose its end, what follows the cut need not be tokenised.
        let beginning = border(&text[..text.floor_char_boundary(most)], enough).filter(|_| !self.cuts_left);
        for end in beginning.into_iter().chain([text.len()]).filter(|end| *end <= most) {
            let ids = self.bare(&text[..end])?;
            if ids.len() > self.room || end == text.len() {
                return self.cut(&ids, ids.len(), &text);
            }
        }
        self.encode_long(&text)
    }

    /// A text whose beginning is too long, or says too little, to be tokenised at once.
    fn encode_long(&self, text: &str) -> Result<Tokens, TokenizeError> {
        let mut pieces = Pieces::new(self, text, self.room.saturating_mul(BYTES_A_TOKEN));
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
        if pieces.divided && !self.is_settled(text, &ids, reach)? {
            let ids = self.bare(text)?;
            return self.cut(&ids, ids.len(), text);
        }
        self.cut(&ids, count, text)
    }

    /// Whether the first tokens of a text in which a word was divided are those of the whole text.
    ///
    /// Unigram takes the best of all ways to divide a word, which may depend on its end: of "haha...ha" it may take the
    /// first "ha" or the last. But each way has a token's end within any stretch as long as the longest token. If all
    /// beginnings of the text that end in such a stretch, at `reach`, have the same first tokens, so has the whole text.
    fn is_settled(&self, text: &str, ids: &[u32], reach: Option<usize>) -> Result<bool, TokenizeError> {
        let ModelWrapper::Unigram(model) = self.inner.get_model() else { return Ok(true) };
        let longest = model.iter().map(|(token, _)| token.len()).max().unwrap_or(0);
        let Some(reach) = reach.filter(|_| !self.cuts_left && longest <= MOST_TOKEN_BYTES) else { return Ok(false) };
        let first = &ids[..self.room.min(ids.len())];
        // Twice as long, because a text may become shorter before it is divided.
        let stretch = reach..reach.saturating_add(2 * longest).min(text.len());
        for end in stretch.filter(|end| text.is_char_boundary(*end)) {
            if !self.bare(&text[..end])?.starts_with(first) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Token ids of a text, without special tokens.
    fn bare(&self, text: &str) -> Result<Vec<u32>, TokenizeError> {
        let encoding = guarded(|| self.inner.encode_fast(text, false)).map_err(|what| self.fail_at(what, text))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The ids that fit of a text with `count` tokens, of which `ids` are at least those.
    fn cut(&self, ids: &[u32], count: usize, text: &str) -> Result<Tokens, TokenizeError> {
        let kept = self.room.min(ids.len());
        let kept = if self.cuts_left { &ids[ids.len() - kept..] } else { &ids[..kept] };
        self.check_embedded(kept, || format!("it is in the text {}", shown(text)))?;
        Ok(Tokens { ids: self.framed(kept), truncated: count > self.room })
    }

    /// Refuses ids that go past the word embeddings: a vocabulary may be larger than they are, as long as nobody writes
    /// those tokens.
    pub(crate) fn check_embedded(&self, ids: &[u32], place: impl FnOnce() -> String) -> Result<(), TokenizeError> {
        let Some(id) = ids.iter().find(|id| **id as usize >= self.word_embeddings) else { return Ok(()) };
        let token = self.inner.id_to_token(*id).unwrap_or_default();
        Err(self.fail(format!(
            "token \"{token}\" has the id {id}, but the model has {} word embeddings; {}",
            self.word_embeddings,
            place()
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

    /// Tokens of a text, with their places in it; no special tokens.
    pub(crate) fn place(&self, text: &str) -> Result<Vec<Placed>, TokenizeError> {
        let encoding = guarded(|| self.inner.encode(text, false)).map_err(|what| self.fail_at(what, text))?;
        let ids = encoding.get_ids().iter().zip(encoding.get_offsets()).zip(encoding.get_word_ids());
        let placed = ids.map(|((id, (start, end)), word)| Placed {
            token: Token { id: *id, start: *start, end: *end },
            word: *word,
        });
        Ok(placed.collect())
    }

    pub(crate) fn word_limit(&self) -> Option<WordLimit> {
        self.word_limit
    }

    fn fail(&self, what: String) -> TokenizeError {
        TokenizeError::Tokenizer { file: self.name.clone(), what }
    }

    fn fail_at(&self, what: String, text: &str) -> TokenizeError {
        self.fail(format!("{what}; the text is {}", shown(text)))
    }
}

/// The beginning of a text.
pub(crate) fn shown(text: &str) -> String {
    let begin = &text[..text.floor_char_boundary(SHOWN_BYTES)];
    let more = if begin.len() < text.len() { "..." } else { "" };
    format!("\"{begin}{more}\"")
}

/// A token and the bytes of the text that it stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token {
    pub(crate) id: u32,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A token, and which word of the text it belongs to, as the tokenizer divides it.
pub(crate) struct Placed {
    pub(crate) token: Token,
    pub(crate) word: Option<u32>,
}
