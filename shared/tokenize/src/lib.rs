//! Text to token ids, and rows of tokens to batches.

mod batch;
mod tokenizer;

pub use batch::{longest_first, pack, pack_equal};
pub use tokenizer::{TokenizeError, Tokenizer, Tokens};
