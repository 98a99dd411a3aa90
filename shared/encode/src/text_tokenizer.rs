//! Turns texts into rows of tokens.

use embtune_model::AnyModelDir;
use embtune_tokenize::{Tokenizer, Tokens};

use crate::error::EncodeError;
use crate::options::EncoderOptions;

/// A model's tokenizer, with the prompt that is put before each text and the length at which texts are cut.
pub struct TextTokenizer {
    tokenizer: Tokenizer,
    prompt: String,
    skip: usize,
    max_seq_length: usize,
}

impl TextTokenizer {
    pub(crate) fn load(model: &AnyModelDir, options: &EncoderOptions<'_>) -> Result<Self, EncodeError> {
        let limit = model.encoder().max_length();
        let max_seq_length = match options.max_seq_length {
            Some(requested) if requested > limit => return Err(EncodeError::TooLong { requested, limit }),
            Some(requested) => requested,
            None => model.max_seq_length(),
        };
        if max_seq_length == usize::MAX {
            return Err(EncodeError::NoMaxLength { directory: model.root().display().to_string() });
        }
        let vocab_size = model.encoder().vocab_size();
        let tokenizer = Tokenizer::open(model.tokenizer(), max_seq_length, vocab_size, options.threads)?;
        if !tokenizer.leaves_room_after(options.prompt)? {
            return Err(EncodeError::LongPrompt { max_seq_length });
        }
        let skip = if model.includes_prompt() { 0 } else { tokenizer.prompt_tokens(options.prompt)? };
        Ok(Self { tokenizer, prompt: options.prompt.to_owned(), skip, max_seq_length })
    }

    /// The tokenizer itself, for callers that do not want long texts cut.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The text that is put before each text.
    pub fn prompt(&self) -> &str {
        &self.prompt
    }

    /// Number of tokens at the beginning of each row that the pooling leaves out.
    pub(crate) fn skip(&self) -> usize {
        self.skip
    }

    /// The length at which texts are cut, in tokens.
    pub fn max_seq_length(&self) -> usize {
        self.max_seq_length
    }

    /// Tokenises texts in parallel; the rows come in the order of the texts.
    ///
    /// # Errors
    /// If the tokenizer refuses a text.
    pub fn tokenize(&self, texts: &[impl AsRef<str> + Sync]) -> Result<Vec<Tokens>, EncodeError> {
        Ok(self.tokenizer.encode(texts, &self.prompt)?)
    }
}
