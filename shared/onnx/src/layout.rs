//! How the tokens of a batch lie in the graph's inputs.

use embtune_model::{Architecture, EncoderConfig};

use crate::graph::{Graph, Value, int};
use crate::proto::DataType;

/// How a batch is handed to [`crate::sentence_encoder`]'s graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Rows of one length: no padding and no mask. Input: `input_ids` i64 `[batch, sequence]`.
    Equal,
    /// Rows of any length, filled on the right to the longest. Inputs, i64 `[batch, sequence]`: `input_ids` and
    /// `attention_mask` (1 for tokens).
    Padded,
    /// Rows of any length one behind the other, as CUDA's kernels of variable length want them. Inputs: `input_ids`
    /// and `position_ids` i64 `[tokens]` (rows of the position embeddings), `cu_seqlens` i32 `[batch + 1]` (where
    /// rows begin), `padded_index` i32 `[batch, sequence]` (where a place of the padded rectangle lies among the
    /// tokens; any token for padding) and `attention_mask` i64 `[batch, sequence]`.
    Packed,
}

impl Layout {
    /// What CUDA is given: packed tokens, where attention hides nothing but padding. Relative positions, windows and
    /// causal order are biases, for which the kernels of variable length are not made: there rows are padded.
    pub fn of_cuda(config: &EncoderConfig) -> Self {
        match config {
            EncoderConfig::Bert(config) if config.architecture == Architecture::MpNet => Self::Padded,
            EncoderConfig::Bert(_) | EncoderConfig::NomicBert(_) => Self::Packed,
            EncoderConfig::ModernBert(_) | EncoderConfig::Qwen3(_) => Self::Padded,
        }
    }
}

/// The inputs of a graph, and what follows from them.
pub(crate) enum Tokens {
    Rectangle {
        /// i64 `[batch, sequence]`.
        input_ids: Value,
        /// i64 `[batch, sequence]`; absent when no row is shorter than another.
        mask: Option<Value>,
        /// i64 `[batch, sequence]`; absent: every token is of type 0.
        token_type_ids: Option<Value>,
    },
    Packed {
        /// i64 `[tokens]`.
        input_ids: Value,
        /// i64 `[tokens]`.
        position_ids: Value,
        /// i32 `[batch + 1]`.
        cu_seqlens: Value,
        /// i32 `[batch, sequence]`.
        padded_index: Value,
        /// i64 `[batch, sequence]`.
        mask: Value,
    },
}

impl Tokens {
    /// Declares the inputs of a layout.
    pub(crate) fn declare(graph: &mut Graph, layout: Layout) -> Self {
        let rectangle = ["batch", "sequence"];
        match layout {
            Layout::Equal | Layout::Padded => Self::Rectangle {
                input_ids: graph.input("input_ids", DataType::Int64, &rectangle),
                mask: (layout == Layout::Padded).then(|| graph.input("attention_mask", DataType::Int64, &rectangle)),
                token_type_ids: None,
            },
            Layout::Packed => Self::Packed {
                input_ids: graph.input("input_ids", DataType::Int64, &["tokens"]),
                position_ids: graph.input("position_ids", DataType::Int64, &["tokens"]),
                cu_seqlens: graph.input("cu_seqlens", DataType::Int32, &["boundaries"]),
                padded_index: graph.input("padded_index", DataType::Int32, &rectangle),
                mask: graph.input("attention_mask", DataType::Int64, &rectangle),
            },
        }
    }

    /// Token ids, i64, in the layout's own shape.
    pub(crate) fn input_ids(&self) -> &Value {
        match self {
            Self::Rectangle { input_ids, .. } | Self::Packed { input_ids, .. } => input_ids,
        }
    }

    /// 1 for tokens, 0 for padding, i64 `[batch, sequence]`; nothing when there is no padding.
    pub(crate) fn mask(&self) -> Option<&Value> {
        match self {
            Self::Rectangle { mask, .. } => mask.as_ref(),
            Self::Packed { mask, .. } => Some(mask),
        }
    }

    /// Tokens in the longest row, i64 `[1]`.
    pub(crate) fn longest(&self, graph: &mut Graph) -> Value {
        let rectangle = match self {
            Self::Rectangle { input_ids, .. } => input_ids,
            Self::Packed { mask, .. } => mask,
        };
        let shape = graph.node("Shape", &[rectangle], &[]);
        let one = graph.integers(&[1]);
        graph.node("Gather", &[&shape, &one], &[int("axis", 0)])
    }

    /// Places in a row, i64 `[sequence]`.
    pub(crate) fn places(&self, graph: &mut Graph) -> Value {
        let longest = self.longest(graph);
        graph.range(&longest)
    }

    /// `[tokens, …sizes]` as `[batch, sequence, …sizes]`; in the packed layout padding repeats some token.
    pub(crate) fn as_rectangle(&self, graph: &mut Graph, value: &Value, sizes: &[i64]) -> Value {
        match self {
            Self::Rectangle { input_ids, .. } => {
                let shape = graph.node("Shape", &[input_ids], &[]);
                let sizes = graph.integers(sizes);
                let shape = graph.node("Concat", &[&shape, &sizes], &[int("axis", 0)]);
                graph.node("Reshape", &[value, &shape], &[])
            }
            Self::Packed { padded_index, .. } => graph.node("Gather", &[value, padded_index], &[]),
        }
    }
}

/// `[…, width]` as `[tokens, width]`.
pub(crate) fn flat(graph: &mut Graph, value: &Value, width: usize) -> Value {
    let shape = graph.integers(&[-1, width as i64]);
    graph.node("Reshape", &[value, &shape], &[])
}
