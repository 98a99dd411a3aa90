//! Texts to token ids, and rows of tokens to batches.

mod batch;
mod library;
mod pieces;
mod tokenizer;
mod windows;

pub use batch::{longest_first, pack, pack_equal};
pub use library::TokenizeError;
pub use tokenizer::{Tokenizer, Tokens};
pub use windows::{Parts, Window, Windows};
