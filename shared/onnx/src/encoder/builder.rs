//! A graph under construction, and what the operations of an encoder share.

use embtune_encoders::{Norm, Rotary};
use embtune_model::ModelError;

use crate::graph::{Graph, Value, int};
use crate::options::Precision;
use crate::proto::DataType;
use crate::tokens::Tokens;
use crate::weights::WeightSource;

/// A graph, and what its encoder is built from.
pub(crate) struct Builder<'a> {
    pub(crate) graph: &'a mut Graph,
    pub(crate) weights: &'a WeightSource,
    pub(crate) precision: Precision,
    pub(crate) tokens: &'a Tokens,
    /// Row of the position embeddings that is reserved for padding.
    pub(crate) position_padding: Option<usize>,
    /// What all layers share.
    pub(crate) shared: Shared,
}

/// Hidden states, `[tokens, width]`.
#[derive(Clone)]
pub(crate) struct Hidden {
    pub(crate) value: Value,
    /// The norm that they are the result of: it limits the range of their elements.
    pub(crate) norm: Option<Norm>,
}

impl From<Value> for Hidden {
    fn from(value: Value) -> Self {
        Self { value, norm: None }
    }
}

impl<'a> Builder<'a> {
    pub(crate) fn new(
        graph: &'a mut Graph,
        weights: &'a WeightSource,
        precision: Precision,
        tokens: &'a Tokens,
        position_padding: Option<usize>,
    ) -> Self {
        Self { graph, weights, precision, tokens, position_padding, shared: Shared::default() }
    }

    /// The tensor `stem.weight`.
    pub(crate) fn weight(&mut self, stem: &str) -> Result<Value, ModelError> {
        self.weights.tensor(self.graph, &format!("{stem}.weight"))
    }

    /// `a + b`, element by element.
    pub(crate) fn sum(&mut self, a: &Value, b: &Value) -> Value {
        self.graph.node("Add", &[a, b], &[])
    }

    /// `a · b`, element by element.
    pub(crate) fn product(&mut self, a: &Value, b: &Value) -> Value {
        self.graph.node("Mul", &[a, b], &[])
    }

    /// Divides the last axis into equal parts.
    pub(crate) fn split<const N: usize>(&mut self, x: &Value) -> [Value; N] {
        let parts = self.graph.node_with_outputs("Split", &[x], &[int("axis", -1)], N);
        std::array::from_fn(|index| parts.get(index).cloned().unwrap_or_default())
    }

    /// Whether the graph must use standard operators only, because other programs than ONNX Runtime may read it. Padded
    /// rows in fp32 occur in portable graphs; embtune's own inference rarely has them, so they need no special
    /// operators.
    pub(crate) fn is_portable(&self) -> bool {
        matches!(self.tokens, Tokens::Rectangle { mask: Some(_), .. }) && self.graph.hidden_type() == DataType::Float
    }
}

/// What hides keys and rotates heads, computed once for all layers.
#[derive(Default)]
pub(crate) struct Shared {
    /// See [`padding_bias`](crate::encoder::attention::padding_bias).
    pub(crate) padding: Option<Value>,
    /// A bias that hides padding and the keys after each query.
    pub(crate) causal: Option<Value>,
    /// By the reach of the window.
    pub(crate) windows: Vec<(usize, Windows)>,
    /// By the kind of positions and the size of a head.
    pub(crate) angles: Vec<(Rotary, usize, Angles)>,
}

/// How the sequence is divided into blocks; computed once for all layers.
#[derive(Clone)]
pub(crate) struct Windows {
    /// Number of tokens of a block, i64 `[1]`.
    pub(crate) block: Value,
    /// Number of tokens of the longest row, i64 `[1]`.
    pub(crate) sequence: Value,
    /// Padding before and after each axis of `[batch, sequence, width]` that completes the last block of queries.
    pub(crate) query_pads: Value,
    /// The same for keys and values, with one more block on either side.
    pub(crate) key_pads: Value,
    /// For each block, the indices of its keys in the padded sequence, i64 `[blocks, 3 · block]`.
    pub(crate) keys: Value,
    /// Added to the scores, `[batch or 1, blocks, 1, block, 3 · block]`.
    pub(crate) bias: Value,
}

/// Cosines and sines of the angles. They are computed in fp32, whatever the precision is.
#[derive(Clone)]
pub(crate) struct Angles {
    /// `[sequence, size / 2]`.
    pub(crate) cosine: Value,
    /// `[sequence, size / 2]`.
    pub(crate) sine: Value,
    pub(crate) head_size: usize,
}
