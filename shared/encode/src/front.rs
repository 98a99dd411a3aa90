//! Texts to rows of tokens, as the model wants them.

use embtune_model::AnyModelDir;
use embtune_tokenize::{Tokenizer, Tokens};

use crate::encoder::{EncodeError, EncoderOptions};

/// A model's tokenizer, the text that goes before each text, and the length at which texts are cut.
pub struct Front {
    tokenizer: Tokenizer,
    prompt: String,
    max_seq_length: usize,
}

impl Front {
    pub(crate) fn load(model: &AnyModelDir, options: &EncoderOptions<'_>) -> Result<Self, EncodeError> {
        let most = model.encoder().max_length();
        let max_seq_length = match options.max_seq_length {
            Some(asked) if asked > most => return Err(EncodeError::TooLong { asked, most }),
            Some(asked) => asked,
            None => model.max_seq_length(),
        };
        if max_seq_length == usize::MAX {
            return Err(EncodeError::Endless { directory: model.root().display().to_string() });
        }
        let words = model.encoder().vocab_size();
        let tokenizer = Tokenizer::open(model.tokenizer(), max_seq_length, words, options.threads)?;
        if !tokenizer.leaves_room_after(options.prompt)? {
            return Err(EncodeError::LongPrompt { max_seq_length });
        }
        Ok(Self { tokenizer, prompt: options.prompt.to_owned(), max_seq_length })
    }

    /// The tokenizer, for texts that are not just to be cut.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The text that goes before each text.
    pub fn prompt(&self) -> &str {
        &self.prompt
    }

    /// Tokens at which a text is cut.
    pub fn max_seq_length(&self) -> usize {
        self.max_seq_length
    }

    /// Tokenises texts in parallel, in the texts' order.
    ///
    /// # Errors
    /// A text that the tokenizer cannot take (its own rules).
    pub fn tokenize(&self, texts: &[impl AsRef<str> + Sync]) -> Result<Vec<Tokens>, EncodeError> {
        Ok(self.tokenizer.encode(texts, &self.prompt)?)
    }
}
