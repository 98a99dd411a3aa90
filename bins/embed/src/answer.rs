//! What the model made of a record, and its bytes on disk.

/// What the model made of a record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) vector: Vec<f32>,
    /// Tokens that were computed.
    pub(crate) tokens: u32,
    /// Whether the text was cut.
    pub(crate) truncated: bool,
    pub(crate) origin: Origin,
}

/// Where an answer is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Model,
    /// An earlier run, through `--cache`.
    Cache,
    /// The interrupted run, through `--resume`.
    Part,
}

/// Tokens (u32) and whether the text was cut (u8).
const FIXED_BYTES: usize = 5;

impl Answer {
    /// Bytes of an answer whose vector has `dim` elements.
    pub(crate) fn bytes(dim: usize) -> usize {
        FIXED_BYTES + 4 * dim
    }

    /// Appends the answer, little-endian.
    pub(crate) fn write(&self, to: &mut Vec<u8>) {
        to.extend(self.tokens.to_le_bytes());
        to.push(u8::from(self.truncated));
        to.extend(self.vector.iter().flat_map(|x| x.to_le_bytes()));
    }

    /// The answer that these bytes are; nothing when its vector would not have `dim` elements.
    pub(crate) fn read(bytes: &[u8], dim: usize, origin: Origin) -> Option<Self> {
        let (tokens, rest) = bytes.split_first_chunk()?;
        let (truncated, vector) = rest.split_first()?;
        if vector.len() != 4 * dim {
            return None;
        }
        let (numbers, _) = vector.as_chunks();
        Some(Self {
            vector: numbers.iter().map(|x| f32::from_le_bytes(*x)).collect(),
            tokens: u32::from_le_bytes(*tokens),
            truncated: *truncated != 0,
            origin,
        })
    }
}
