//! A model's tokenizer.

use std::path::Path;

use rayon::ThreadPool;
use rayon::prelude::*;
use tokenizers::{TruncationParams, TruncationStrategy};

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
}

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
        inner.with_padding(None);
        let truncation =
            TruncationParams { max_length, strategy: TruncationStrategy::LongestFirst, ..TruncationParams::default() };
        inner.with_truncation(Some(truncation)).map_err(|error| fail(error.to_string()))?;
        let special = inner.encode_fast("", true).map_err(|error| fail(error.to_string()))?.len();
        if max_length <= special {
            return Err(fail(format!(
                "a length of {max_length} tokens leaves no room beside {special} special tokens"
            )));
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map_err(|error| fail(format!("cannot start {threads} threads: {error}")))?;
        Ok(Self { inner, name, lower_case, pool })
    }

    /// Refuses a tokenizer whose ids go past a model's word embeddings.
    ///
    /// # Errors
    /// More tokens than `word_embeddings`.
    pub fn check_vocabulary(&self, word_embeddings: usize) -> Result<(), TokenizeError> {
        let tokens = self.inner.get_vocab_size(true);
        if tokens > word_embeddings {
            let what = format!("has {tokens} tokens, but the model has {word_embeddings} word embeddings");
            return Err(TokenizeError { file: self.name.clone(), what });
        }
        Ok(())
    }

    /// Tokenises texts in parallel; the results are in the texts' order. `prompt` is put before each text.
    ///
    /// # Errors
    /// A text that the tokenizer cannot take (its own rules).
    pub fn encode(&self, texts: &[impl AsRef<str> + Sync], prompt: &str) -> Result<Vec<Tokens>, TokenizeError> {
        self.pool.install(|| texts.par_iter().map(|text| self.encode_one(text.as_ref(), prompt)).collect())
    }

    fn encode_one(&self, text: &str, prompt: &str) -> Result<Tokens, TokenizeError> {
        let mut text = format!("{prompt}{text}");
        if self.lower_case {
            text = text.to_lowercase();
        }
        let encoding = self
            .inner
            .encode_fast(text, true)
            .map_err(|error| TokenizeError { file: self.name.clone(), what: error.to_string() })?;
        Ok(Tokens { ids: encoding.get_ids().to_vec(), truncated: !encoding.get_overflowing().is_empty() })
    }
}
