//! Long texts, tokenised in pieces.

use std::mem;

use crate::library::{Library, Token, TokenizeError, WordLimit, WordToken};

/// Bytes of a text that are tokenised at once; the library needs about 200 bytes of memory for each of them.
const PIECE: usize = 64 << 10;
/// Bytes around a piece that are tokenised with it, so that its words are those of the whole text.
const CONTEXT: usize = 1 << 10;
/// Longest word that is tokenised in one piece, in bytes, if it is not known how much of it is needed.
pub(crate) const LONGEST_WORD: usize = 4 * PIECE;

/// The tokens of a text, a piece at a time; memory does not grow with the text.
///
/// A piece ends where a word ends, as the tokenizer itself divides the text into words, because no token crosses the
/// end of a word. To find that place, the text is tokenised in windows that extend beyond the piece on both sides, so
/// that two consecutive windows both contain it. A word that is longer than WordPiece allows is one unknown token,
/// however long it is. For the other models, a word of more than `longest` bytes is split after that many bytes, which
/// may split a token.
pub(crate) struct Pieces<'a> {
    library: &'a Library,
    word_limit: Option<WordLimit>,
    text: &'a str,
    longest: usize,
    /// The byte up to which all tokens have been returned.
    at: usize,
    state: State,
    /// Whether a word was split.
    pub(crate) has_split_word: bool,
}

/// The state of the text at [`Pieces::at`].
enum State {
    /// The text begins there, or is treated as if it did.
    Begin,
    /// A word begins there.
    Word,
    /// No token of the window ends after it, so anything may follow.
    Nothing,
    /// It is inside a word that is one unknown token, which has not been returned yet.
    Unknown(Token),
    /// All tokens have been returned.
    End,
}

impl<'a> Pieces<'a> {
    pub(crate) fn new(library: &'a Library, text: &'a str, longest: usize) -> Self {
        let (word_limit, longest) = (library.word_limit(), longest.max(LONGEST_WORD));
        Self { library, word_limit, text, longest, at: 0, state: State::Begin, has_split_word: false }
    }

    /// The tokens of the next piece, with their positions in the text; `None` after the last one.
    ///
    /// # Errors
    /// A text that the tokenizer cannot take.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<Token>>, TokenizeError> {
        let mut size = PIECE;
        loop {
            let start = match self.state {
                State::End => return Ok(None),
                State::Begin => self.at,
                _ => self.text.floor_char_boundary(self.at.saturating_sub(CONTEXT)),
            };
            let end = self.text.floor_char_boundary(self.at.saturating_add(size));
            if let Some(tokens) = self.take(start, end, size >= self.longest)? {
                return Ok(Some(tokens));
            }
            size = self.longest;
        }
    }

    /// The tokens of a window, as far as they are certain; `None` when the window is too small.
    fn take(&mut self, start: usize, end: usize, is_largest: bool) -> Result<Option<Vec<Token>>, TokenizeError> {
        let is_last = end == self.text.len();
        let mut tokens = self.library.tokens(&self.text[start..end])?;
        for WordToken { token, .. } in &mut tokens {
            token.start += start;
            token.end += start;
        }
        // Close to the end of the window, tokens may still change with the text that follows.
        let certain = self.text.floor_char_boundary(if is_last { end } else { end.saturating_sub(CONTEXT) });
        let begins = |index: usize| index == 0 || tokens[index].word != tokens[index - 1].word;
        let word_from = |at: usize| (0..tokens.len()).find(|index| tokens[*index].token.start >= at && begins(*index));
        let mut known = None;
        let first = match &self.state {
            State::Begin => 0,
            State::Nothing => word_from(self.at).unwrap_or(tokens.len()),
            State::Word => match word_from(self.at) {
                Some(first) if tokens[first].token.start == self.at => first,
                // The division into words depends on more of the text than the window has.
                _ => return self.rest_at_once().map(Some),
            },
            State::Unknown(unknown) => {
                let after = (0..tokens.len()).find(|index| *index > 0 && begins(*index)).unwrap_or(tokens.len());
                let end = tokens[..after].last().map_or(self.at, |last| last.token.end);
                known = Some(Token { end, ..*unknown });
                after
            }
            State::End => return Ok(None),
        };
        let finish = |tokens: Vec<WordToken>, range: std::ops::Range<usize>, known: Option<Token>| {
            let own = tokens.into_iter().skip(range.start).take(range.len()).map(|token| token.token);
            known.into_iter().chain(own).collect::<Vec<_>>()
        };
        if is_last {
            self.state = State::End;
            let all = first..tokens.len();
            return Ok(Some(finish(tokens, all, known)));
        }
        // Several tokens may encode one character: a position that two of them share does not separate them.
        let is_border = |index: usize| begins(index) && tokens[index].token.start > tokens[index - 1].token.start;
        let last =
            (first + 1..tokens.len()).rev().find(|index| is_border(*index) && tokens[*index].token.start <= certain);
        if let Some(last) = last {
            (self.at, self.state) = (tokens[last].token.start, State::Word);
            return Ok(Some(finish(tokens, first..last, known)));
        }
        let Some(word) = tokens.get(first).map(|token| token.token) else {
            // The window has no other token.
            return Ok(Some(match known {
                Some(unknown) if unknown.end > certain => {
                    (self.at, self.state) = (end, State::Unknown(unknown));
                    Vec::new()
                }
                known => {
                    (self.at, self.state) = (certain, State::Nothing);
                    known.into_iter().collect()
                }
            }));
        };
        if known.is_some() || word.start > certain {
            (self.at, self.state) = (word.start, State::Word);
            return Ok(Some(known.into_iter().collect()));
        }
        // One word that continues to the end of the text that is certain, or that no token follows.
        let is_one_token = first + 1 == tokens.len();
        if is_one_token && word.end <= certain {
            (self.at, self.state) = (certain, State::Nothing);
            return Ok(Some(vec![word]));
        }
        if is_one_token && self.is_unknown(&word) {
            (self.at, self.state) = (end, State::Unknown(word));
            return Ok(Some(Vec::new()));
        }
        if !is_largest {
            return Ok(None);
        }
        // The next piece has no context: it is tokenised as if the text began there.
        (self.at, self.state) = (end, State::Begin);
        self.has_split_word = true;
        let all = first..tokens.len();
        Ok(Some(finish(tokens, all, None)))
    }

    /// Whether a word that begins with this one token stays one, however long it is.
    fn is_unknown(&self, token: &Token) -> bool {
        self.word_limit.is_some_and(|limit| {
            token.id == limit.unknown && self.text[token.start..token.end].chars().nth(limit.characters).is_some()
        })
    }

    /// All remaining tokens, from tokenising the whole text.
    fn rest_at_once(&mut self) -> Result<Vec<Token>, TokenizeError> {
        let tokens = self.library.tokens(self.text)?.into_iter().map(|token| token.token);
        let at = mem::replace(&mut self.at, self.text.len());
        self.state = State::End;
        Ok(tokens.skip_while(|token| token.start < at).collect())
    }
}
