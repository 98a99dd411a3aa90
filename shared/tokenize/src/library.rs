//! The tokenizers library, which trusts its files and its texts: its panics become errors here.

use embtune_cli::catch_panic;
use embtune_model::ModelError;
use tokenizers::{Model as _, ModelWrapper, Tokenizer};

/// The beginning of Oniguruma's panic when a match has been retried ten million times.
const RETRY_LIMIT: &str = "Onig: Regex search error: retry-limit";

/// Characters whose long runs, followed by something else, show an expression with nested repetitions: it tries every
/// way to divide them.
const RUNS: [&str; 6] = ["a", "aA", "1", " ", "!", "\u{96e8}"];
const RUN_LENGTH: usize = 64;

/// Any text that becomes tokens will do to find the special tokens.
const PROBES: [&str; 5] = ["a", "A", "1", ".", "\u{96e8}"];

/// Bytes of a text that messages show.
const SHOWN_BYTES: usize = 60;

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
        /// Tokens at which a text is cut.
        max_length: usize,
        /// Special tokens around each text.
        special: usize,
    },
    /// It cannot tokenise.
    #[error("{file}: {what}")]
    Tokenizer {
        /// The tokenizer's file.
        file: String,
        /// Why.
        what: String,
    },
}

/// A token and the bytes of the text that it encodes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token {
    pub(crate) id: u32,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A token, and the index of the word that it belongs to, as the tokenizer divides the text into words.
pub(crate) struct WordToken {
    pub(crate) token: Token,
    pub(crate) word: Option<u32>,
}

/// How long a word may be that WordPiece divides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WordLimit {
    /// A word with more characters is one unknown token.
    pub(crate) characters: usize,
    /// Its id.
    pub(crate) unknown: u32,
}

/// A tokenizer of the library, without truncation and padding.
pub(crate) struct Library {
    tokenizer: Tokenizer,
    /// The tokenizer's file, for messages.
    name: String,
}

impl Library {
    /// Builds a tokenizer from the content of `tokenizer.json`.
    ///
    /// # Errors
    /// Content that the library cannot use, or with which some usual texts take too long.
    pub(crate) fn load(content: Vec<u8>, name: String) -> Result<Self, TokenizeError> {
        let load = || {
            let mut tokenizer = Tokenizer::from_bytes(content)?;
            tokenizer.with_padding(None).with_truncation(None)?;
            Ok(tokenizer)
        };
        let library = match guarded(load) {
            Ok(tokenizer) => Self { tokenizer, name },
            Err(what) => return Err(TokenizeError::Tokenizer { file: name, what }),
        };
        library.probe().map_err(|what| library.error(what))?;
        Ok(library)
    }

    /// Refuses a tokenizer for which some usual texts are too much. A text that it has no tokens for is not one of
    /// them: that is reported when such a text is tokenised.
    fn probe(&self) -> Result<(), String> {
        RUNS.iter().try_for_each(|run| {
            let text = format!("{}.", run.repeat(RUN_LENGTH));
            guarded(|| {
                let _ = self.tokenizer.encode_fast(text, false);
                Ok(())
            })
        })
    }

    /// The special tokens that the tokenizer puts around each text.
    ///
    /// # Errors
    /// A tokenizer that puts them anywhere else.
    pub(crate) fn special_tokens(&self) -> Result<SpecialTokens, TokenizeError> {
        guarded(|| SpecialTokens::of(&self.tokenizer).map_err(Into::into)).map_err(|what| self.error(what))
    }

    /// Token ids of a text, without special tokens.
    pub(crate) fn ids(&self, text: &str) -> Result<Vec<u32>, TokenizeError> {
        let encoding =
            guarded(|| self.tokenizer.encode_fast(text, false)).map_err(|what| self.text_error(what, text))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Tokens of a text with their positions in it, without special tokens.
    pub(crate) fn tokens(&self, text: &str) -> Result<Vec<WordToken>, TokenizeError> {
        let encoding = guarded(|| self.tokenizer.encode(text, false)).map_err(|what| self.text_error(what, text))?;
        let ids = encoding.get_ids().iter().zip(encoding.get_offsets()).zip(encoding.get_word_ids());
        let tokens = ids.map(|((id, (start, end)), word)| WordToken {
            token: Token { id: *id, start: *start, end: *end },
            word: *word,
        });
        Ok(tokens.collect())
    }

    /// The text of a token.
    pub(crate) fn token_text(&self, id: u32) -> String {
        self.tokenizer.id_to_token(id).unwrap_or_default()
    }

    /// WordPiece's limit on the length of a word; other models have none.
    pub(crate) fn word_limit(&self) -> Option<WordLimit> {
        let ModelWrapper::WordPiece(model) = self.tokenizer.get_model() else { return None };
        let unknown = model.token_to_id(&model.unk_token)?;
        Some(WordLimit { characters: model.max_input_chars_per_word, unknown })
    }

    /// Bytes of the longest token of a Unigram model; other models divide a word without looking at its end.
    pub(crate) fn longest_unigram(&self) -> Option<usize> {
        let ModelWrapper::Unigram(model) = self.tokenizer.get_model() else { return None };
        Some(model.iter().map(|(token, _)| token.len()).max().unwrap_or(0))
    }

    pub(crate) fn error(&self, what: String) -> TokenizeError {
        TokenizeError::Tokenizer { file: self.name.clone(), what }
    }

    fn text_error(&self, what: String, text: &str) -> TokenizeError {
        self.error(format!("{what}; the text is {}", shown(text)))
    }
}

/// Runs code of the library, whose panics become errors.
fn guarded<T>(code: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    match catch_panic(code) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) if panic.starts_with(RETRY_LIMIT) => {
            Err("one of its regular expressions takes too long: it tries too many ways to divide a text".into())
        }
        Err(panic) => {
            Err(format!("the tokenizers library cannot use it: {}", panic.lines().next().unwrap_or_default()))
        }
    }
}

/// Token ids that a tokenizer puts before and after each text.
pub(crate) struct SpecialTokens {
    pub(crate) before: Vec<u32>,
    pub(crate) after: Vec<u32>,
}

impl SpecialTokens {
    fn of(tokenizer: &Tokenizer) -> Result<Self, String> {
        let encode = |text, special| tokenizer.encode_fast(text, special).map_err(|error| error.to_string());
        for probe in PROBES {
            let bare = encode(probe, false)?;
            if bare.is_empty() {
                continue;
            }
            let whole = encode(probe, true)?;
            let is_special = |mask: &&u32| **mask == 1;
            let mask = whole.get_special_tokens_mask();
            let before = mask.iter().take_while(is_special).count();
            let after = mask[before..].iter().rev().take_while(is_special).count();
            let (before, rest) = whole.get_ids().split_at(before);
            let (text, after) = rest.split_at(rest.len() - after);
            if text != bare.get_ids() {
                return Err("puts special tokens inside texts, or leaves parts of texts out".into());
            }
            return Ok(Self { before: before.to_vec(), after: after.to_vec() });
        }
        Err(format!("makes no tokens from any of {}", PROBES.map(|probe| format!("\"{probe}\"")).join(", ")))
    }

    pub(crate) fn len(&self) -> usize {
        self.before.len() + self.after.len()
    }
}

/// The beginning of a text, for messages.
pub(crate) fn shown(text: &str) -> String {
    let begin = &text[..text.floor_char_boundary(SHOWN_BYTES)];
    let more = if begin.len() < text.len() { "..." } else { "" };
    format!("\"{begin}{more}\"")
}
