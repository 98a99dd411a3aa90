//! The inputs of a graph that describe the tokens of a batch.

use crate::graph::{Graph, Value, int};
use crate::options::Layout;
use crate::proto::DataType;

/// The declared inputs, and values derived from them.
pub(crate) enum Tokens {
    /// [`Layout::Equal`] and [`Layout::Padded`].
    Rectangle {
        /// i64 `[batch, sequence]`.
        input_ids: Value,
        /// i64 `[batch, sequence]`; absent if all rows have the same length.
        mask: Option<Value>,
        /// i64 `[batch, sequence]`; if absent, every token is of type 0.
        token_type_ids: Option<Value>,
    },
    /// [`Layout::Packed`].
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

    /// Token ids, i64, in the shape of the layout.
    pub(crate) fn input_ids(&self) -> &Value {
        match self {
            Self::Rectangle { input_ids, .. } | Self::Packed { input_ids, .. } => input_ids,
        }
    }

    /// 1 for tokens and 0 for padding, i64 `[batch, sequence]`; `None` if there is no padding.
    pub(crate) fn mask(&self) -> Option<&Value> {
        match self {
            Self::Rectangle { mask, .. } => mask.as_ref(),
            Self::Packed { mask, .. } => Some(mask),
        }
    }

    /// Number of tokens of the longest row, i64 `[1]`.
    pub(crate) fn longest(&self, graph: &mut Graph) -> Value {
        let rectangle = match self {
            Self::Rectangle { input_ids, .. } => input_ids,
            Self::Packed { mask, .. } => mask,
        };
        let shape = graph.node("Shape", &[rectangle], &[]);
        let one = graph.integers(&[1]);
        graph.node("Gather", &[&shape, &one], &[int("axis", 0)])
    }

    /// 0, 1, 2… up to the last token of the longest row, i64 `[sequence]`.
    pub(crate) fn positions(&self, graph: &mut Graph) -> Value {
        let longest = self.longest(graph);
        graph.range(&longest)
    }

    /// `[tokens, …sizes]` as `[batch, sequence, …sizes]`. In the packed layout, padding repeats some token.
    pub(crate) fn to_rectangle(&self, graph: &mut Graph, value: &Value, sizes: &[i64]) -> Value {
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
pub(crate) fn flatten(graph: &mut Graph, value: &Value, width: usize) -> Value {
    let shape = graph.integers(&[-1, width as i64]);
    graph.node("Reshape", &[value, &shape], &[])
}
