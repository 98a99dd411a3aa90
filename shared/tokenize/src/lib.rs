//! Text to token ids, and rows of tokens to batches.

mod batch;
mod border;
mod frame;
mod guard;
mod pieces;
mod tokenizer;
mod windows;

pub use batch::{longest_first, pack, pack_equal};
pub use tokenizer::{TokenizeError, Tokenizer, Tokens};
pub use windows::{Parts, Window, Windows};
