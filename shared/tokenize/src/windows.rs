//! Long texts as several overlapping windows of tokens.

use std::ops::Range;

use crate::library::{Token, TokenizeError, shown};
use crate::pieces::Pieces;
use crate::tokenizer::Tokenizer;

/// A text in two parts: a head that is repeated before each window, and a body that is divided.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// Repeated before each window, such as a prompt or a title.
    pub head: &'a str,
    /// Divided into windows.
    pub body: &'a str,
}

/// A part of a text that fits into the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Token ids, special tokens and head included.
    pub ids: Vec<u32>,
    /// Number of ids that belong to the body.
    pub own: usize,
    /// The bytes of the body that they encode.
    pub span: Range<usize>,
}

/// All windows of a text; there is at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windows {
    /// In the order of the text.
    pub windows: Vec<Window>,
    /// Tokens of the whole text in one row, special tokens and head included.
    pub tokens: usize,
    /// Whether the head was cut, because it took more than half of a window.
    pub head_truncated: bool,
}

impl Tokenizer {
    /// The largest overlap of two windows: less than half of what fits, so that there is room for a head.
    pub fn most_overlap(&self) -> usize {
        (self.room() - 1) / 2
    }

    /// Divides texts, in parallel, into windows of the tokenizer's length, each of which begins with the last `overlap`
    /// tokens of the previous one; the results are in the texts' order.
    ///
    /// A text that fits is one window, with the ids that [`encode`](Self::encode) gives it. Windows end where tokens
    /// end. A long text goes through the tokenizer in pieces, so that only its ids are held in memory.
    ///
    /// # Errors
    /// A text that the tokenizer cannot take (its own rules).
    ///
    /// # Panics
    /// When `overlap` is more than [`most_overlap`](Self::most_overlap).
    pub fn windows(&self, texts: &[Parts<'_>], overlap: usize) -> Result<Vec<Windows>, TokenizeError> {
        assert!(overlap <= self.most_overlap(), "windows overlap by {overlap} tokens");
        self.map(texts, |text| self.divide(*text, overlap))
    }

    fn divide(&self, text: Parts<'_>, overlap: usize) -> Result<Windows, TokenizeError> {
        let Parts { head, body } = text;
        let whole = format!("{head}{body}");
        let mut pieces = Pieces::new(self.library(), &whole, 0);
        let mut first: Vec<Token> = Vec::new();
        let mut next = pieces.next()?;
        while let Some(tokens) = next.take() {
            first.extend(tokens);
            next = pieces.next()?;
            if first.last().is_some_and(|token| token.end > head.len()) {
                break;
            }
        }
        let content =
            first.split_off(first.iter().take_while(|token| token.end <= head.len() && !head.is_empty()).count());
        let mut head_ids: Vec<u32> = first.iter().map(|token| token.id).collect();
        let head_tokens = head_ids.len();
        let fits = next.is_none() && head_tokens + content.len() <= self.room();
        let head_truncated = !fits && head_tokens > self.room() / 2;
        if head_truncated {
            head_ids.truncate(self.room() / 2);
        }
        let mut cutter =
            Cutter { tokenizer: self, head: head_ids, overlap, pending: Vec::new(), count: 0, windows: Vec::new() };
        cutter.extend(content, head.len());
        while let Some(tokens) = next {
            cutter.extend(tokens, head.len());
            next = pieces.next()?;
        }
        let tokens = self.framed(&[]).len() + head_tokens + cutter.count;
        let mut windows = cutter.finish();
        for window in &windows {
            self.check_embedded(&window.ids, || format!("it is in the text {}", shown(body)))?;
        }
        for Window { span, .. } in &mut windows {
            *span = body.floor_char_boundary(span.start)..body.ceil_char_boundary(span.end.max(span.start));
        }
        Ok(Windows { windows, tokens, head_truncated })
    }
}

/// Cuts a sequence of tokens into windows.
struct Cutter<'a> {
    tokenizer: &'a Tokenizer,
    head: Vec<u32>,
    overlap: usize,
    /// Tokens of the current window.
    pending: Vec<Token>,
    /// Tokens so far.
    count: usize,
    windows: Vec<Window>,
}

impl Cutter<'_> {
    /// Adds tokens, whose positions are counted from `before` bytes before the body.
    fn extend(&mut self, tokens: Vec<Token>, before: usize) {
        let room = self.tokenizer.room() - self.head.len();
        self.count += tokens.len();
        for Token { id, start, end } in tokens {
            if self.pending.len() == room {
                self.cut();
                self.pending.drain(..room - self.overlap);
            }
            self.pending.push(Token { id, start: start.saturating_sub(before), end: end.saturating_sub(before) });
        }
    }

    fn cut(&mut self) {
        let own = self.pending.iter().map(|token| token.id);
        let ids: Vec<u32> = self.head.iter().copied().chain(own).collect();
        let span = match (self.pending.first(), self.pending.last()) {
            (Some(first), Some(last)) => first.start..last.end,
            _ => 0..0,
        };
        self.windows.push(Window { ids: self.tokenizer.framed(&ids), own: self.pending.len(), span });
    }

    fn finish(mut self) -> Vec<Window> {
        self.cut();
        self.windows
    }
}
