//! Texts with more tokens than the model takes at once.

use std::ops::Range;

use clap::ValueEnum;
use embtune_encode::{EncodeError, TextTokenizer};
use embtune_tokenize::{Parts, Tokens};
use serde::{Deserialize, Serialize};

use crate::embedding::{Origin, RecordEmbedding};
use crate::input::fields::Text;
use crate::vectors::normalize;

/// The policy on texts that are too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnLong {
    /// Embed its beginning
    Truncate,
    /// Treat the record as unusable, see --on-error
    Error,
    /// Divide it into chunks
    Chunk,
}

/// The output for a text that was divided into chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ChunkOutput {
    /// One vector, the mean of the chunks' vectors
    Mean,
    /// A record for each chunk
    Separate,
}

/// The user's choices for long texts.
pub(crate) struct LongTextSettings {
    pub(crate) on_long: OnLong,
    pub(crate) chunks: ChunkOutput,
    /// Number of tokens that a chunk shares with the one before; `None` takes an eighth of those that fit.
    pub(crate) chunk_overlap: Option<usize>,
}

/// How long texts are embedded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LongTextPolicy {
    /// They are cut.
    Truncate,
    /// They are refused.
    Error,
    /// Their vector is the mean of the vectors of their chunks, which overlap by this many tokens.
    Mean(usize),
    /// Each of their chunks has its own vector; chunks overlap by this many tokens.
    Separate(usize),
}

/// How a text was divided into rows of tokens.
pub(crate) struct ChunkedText {
    /// One for each row; none if the text was refused.
    chunks: Vec<Chunk>,
    tokens: u32,
    truncated: bool,
}

struct Chunk {
    /// Number of tokens of the text itself, without special tokens and the part that is repeated in each chunk.
    own_tokens: usize,
    /// Position in the field that was divided, in bytes.
    span: Range<usize>,
}

impl LongTextPolicy {
    /// # Errors
    /// The chunks would overlap too much for this tokenizer.
    pub(crate) fn new(settings: &LongTextSettings, tokenizer: &TextTokenizer) -> anyhow::Result<Self> {
        let overlap = || -> anyhow::Result<usize> {
            let (room, most) = (tokenizer.tokenizer().room(), tokenizer.tokenizer().most_overlap());
            let overlap = settings.chunk_overlap.unwrap_or(room / 8);
            anyhow::ensure!(
                overlap <= most,
                "--chunk-overlap {overlap} is too much: {room} tokens fit into a chunk, and at most {most} may overlap"
            );
            Ok(overlap)
        };
        Ok(match (settings.on_long, settings.chunks) {
            (OnLong::Truncate, _) => Self::Truncate,
            (OnLong::Error, _) => Self::Error,
            (OnLong::Chunk, ChunkOutput::Mean) => Self::Mean(overlap()?),
            (OnLong::Chunk, ChunkOutput::Separate) => Self::Separate(overlap()?),
        })
    }

    /// Tokenises texts. Returns the rows of all texts, concatenated, and how each text was divided into them, in the
    /// order of the texts.
    ///
    /// # Errors
    /// The tokenizer refuses a text.
    pub(crate) fn tokenize(
        self,
        texts: &[Text<'_>],
        tokenizer: &TextTokenizer,
    ) -> Result<(Vec<Tokens>, Vec<ChunkedText>), EncodeError> {
        let overlap = match self {
            Self::Truncate => {
                let rows = tokenizer.tokenize(&texts.iter().map(Text::whole).collect::<Vec<_>>())?;
                let chunked = rows.iter().map(ChunkedText::single).collect();
                return Ok((rows, chunked));
            }
            Self::Error => 0,
            Self::Mean(overlap) | Self::Separate(overlap) => overlap,
        };
        let heads: Vec<String> = texts.iter().map(|text| format!("{}{}", tokenizer.prompt(), text.before)).collect();
        let parts = heads.iter().zip(texts).map(|(head, text)| Parts { head, body: text.divided });
        let mut rows = Vec::with_capacity(texts.len());
        let mut chunked = Vec::with_capacity(texts.len());
        for text in tokenizer.tokenizer().windows(&parts.collect::<Vec<_>>(), overlap)? {
            let fits = text.windows.len() == 1 && !text.head_truncated;
            if self == Self::Error && !fits {
                chunked.push(ChunkedText { chunks: Vec::new(), tokens: text.tokens as u32, truncated: false });
                continue;
            }
            let tokens = text.windows.iter().map(|window| window.ids.len() as u32).sum();
            let chunks = text.windows.into_iter().map(|window| {
                rows.push(Tokens { ids: window.ids, truncated: false });
                Chunk { own_tokens: window.own, span: window.span }
            });
            chunked.push(ChunkedText { chunks: chunks.collect(), tokens, truncated: text.head_truncated });
        }
        Ok((rows, chunked))
    }
}

impl ChunkedText {
    /// A text that is a single row, complete or cut.
    fn single(row: &Tokens) -> Self {
        let chunk = Chunk { own_tokens: row.ids.len(), span: 0..0 };
        Self { chunks: vec![chunk], tokens: row.ids.len() as u32, truncated: row.truncated }
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.chunks.len()
    }

    /// The embedding of the text, from the vectors of its rows, `[rows, dim]`.
    pub(crate) fn into_embedding(
        self,
        vectors: &[f32],
        dim: usize,
        policy: LongTextPolicy,
        normalized: bool,
    ) -> RecordEmbedding {
        let Self { chunks, tokens, truncated } = self;
        let count = chunks.len() as u32;
        let (vectors, spans) = match policy {
            LongTextPolicy::Separate(_) if count > 1 => {
                (vectors.to_vec(), chunks.into_iter().map(|chunk| chunk.span).collect())
            }
            _ if count > 1 => (mean(vectors, dim, &chunks, normalized), Vec::new()),
            _ => (vectors.to_vec(), Vec::new()),
        };
        RecordEmbedding { vectors, spans, chunks: count, tokens, truncated, origin: Origin::Model }
    }
}

/// The mean of the vectors of chunks, weighted with their numbers of own tokens.
fn mean(vectors: &[f32], dim: usize, chunks: &[Chunk], normalized: bool) -> Vec<f32> {
    let total: usize = chunks.iter().map(|chunk| chunk.own_tokens).sum();
    let mut sum = vec![0.0_f64; dim];
    for (vector, chunk) in vectors.chunks_exact(dim).zip(chunks) {
        let weight = chunk.own_tokens as f64 / total.max(1) as f64;
        sum.iter_mut().zip(vector).for_each(|(sum, x)| *sum += weight * f64::from(*x));
    }
    let mut mean: Vec<f32> = sum.into_iter().map(|x| x as f32).collect();
    if normalized {
        normalize(&mut mean);
    }
    mean
}
