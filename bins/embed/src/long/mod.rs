//! Texts that are longer than the model takes at once.

pub(crate) mod chunk;

use std::ops::Range;

use embtune_encode::{EncodeError, TextTokenizer};
use embtune_tokenize::{Parts, Tokens};
use serde::{Deserialize, Serialize};

use crate::cli::{Chunks, LongArgs, OnLong};
use crate::input::fields::Text;
use crate::kept::answer::{Answer, Origin};
use crate::sink::shape::normalize;

/// What becomes of texts that do not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Long {
    /// They are cut.
    Truncate,
    /// They are refused.
    Error,
    /// They get the mean of the vectors of their chunks, which overlap by so many tokens.
    Mean(usize),
    /// Each of their chunks gets a vector; chunks overlap by so many tokens.
    Separate(usize),
}

/// The rows of tokens that a text became, without the tokens.
pub(crate) struct Division {
    /// One for each row; none when the text is refused.
    pieces: Vec<Piece>,
    tokens: u32,
    truncated: bool,
}

/// What a row holds of a text.
struct Piece {
    /// Tokens that are neither special nor repeated in each row.
    own: usize,
    /// Bytes of the field that was divided.
    span: Range<usize>,
}

impl Long {
    pub(crate) fn new(args: &LongArgs, front: &TextTokenizer) -> anyhow::Result<Self> {
        let overlap = || args.overlap(front.tokenizer().room(), front.tokenizer().most_overlap());
        Ok(match (args.on_long, args.chunks()) {
            (OnLong::Truncate, _) => Self::Truncate,
            (OnLong::Error, _) => Self::Error,
            (OnLong::Chunk, Chunks::Mean) => Self::Mean(overlap()?),
            (OnLong::Chunk, Chunks::Separate) => Self::Separate(overlap()?),
        })
    }

    /// Tokenises texts: the rows of all, one text's behind the other's, and how each was divided, in the texts' order.
    pub(crate) fn tokenize(
        self,
        texts: &[Text<'_>],
        front: &TextTokenizer,
    ) -> Result<(Vec<Tokens>, Vec<Division>), EncodeError> {
        let overlap = match self {
            Self::Truncate => {
                let rows = front.tokenize(&texts.iter().map(Text::whole).collect::<Vec<_>>())?;
                let divisions = rows.iter().map(Division::of_one).collect();
                return Ok((rows, divisions));
            }
            Self::Error => 0,
            Self::Mean(overlap) | Self::Separate(overlap) => overlap,
        };
        let heads: Vec<String> = texts.iter().map(|text| format!("{}{}", front.prompt(), text.before)).collect();
        let parts = heads.iter().zip(texts).map(|(head, text)| Parts { head, body: text.divided });
        let mut rows = Vec::with_capacity(texts.len());
        let mut divisions = Vec::with_capacity(texts.len());
        for text in front.tokenizer().windows(&parts.collect::<Vec<_>>(), overlap)? {
            let fits = text.windows.len() == 1 && !text.head_truncated;
            if self == Self::Error && !fits {
                divisions.push(Division { pieces: Vec::new(), tokens: text.tokens as u32, truncated: false });
                continue;
            }
            let tokens = text.windows.iter().map(|window| window.ids.len() as u32).sum();
            let pieces = text.windows.into_iter().map(|window| {
                rows.push(Tokens { ids: window.ids, truncated: false });
                Piece { own: window.own, span: window.span }
            });
            divisions.push(Division { pieces: pieces.collect(), tokens, truncated: text.head_truncated });
        }
        Ok((rows, divisions))
    }
}

impl Division {
    /// A text that is one row, whole or cut.
    fn of_one(row: &Tokens) -> Self {
        let piece = Piece { own: row.ids.len(), span: 0..0 };
        Self { pieces: vec![piece], tokens: row.ids.len() as u32, truncated: row.truncated }
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.pieces.len()
    }

    /// The answer that the vectors of the rows make, `[rows, dim]`.
    pub(crate) fn answer(self, vectors: &[f32], dim: usize, long: Long, normalized: bool) -> Answer {
        let Self { pieces, tokens, truncated } = self;
        let chunks = pieces.len() as u32;
        let (vectors, spans) = match long {
            Long::Separate(_) if chunks > 1 => (vectors.to_vec(), pieces.into_iter().map(|piece| piece.span).collect()),
            _ if chunks > 1 => (mean(vectors, dim, &pieces, normalized), Vec::new()),
            _ => (vectors.to_vec(), Vec::new()),
        };
        Answer { vectors, spans, chunks, tokens, truncated, origin: Origin::Model }
    }
}

/// The mean of chunks' vectors, each weighted with its number of own tokens.
fn mean(vectors: &[f32], dim: usize, pieces: &[Piece], normalized: bool) -> Vec<f32> {
    let all: usize = pieces.iter().map(|piece| piece.own).sum();
    let mut sum = vec![0.0_f64; dim];
    for (vector, piece) in vectors.chunks_exact(dim).zip(pieces) {
        let weight = piece.own as f64 / all.max(1) as f64;
        sum.iter_mut().zip(vector).for_each(|(sum, x)| *sum += weight * f64::from(*x));
    }
    let mut mean: Vec<f32> = sum.into_iter().map(|x| x as f32).collect();
    if normalized {
        normalize(&mut mean);
    }
    mean
}
