//! Attention of every row over its own tokens, and the biases that hide keys from it.

use crate::graph::{Graph, MICROSOFT, Value, float, int, ints, to};
use crate::proto::DataType;
use crate::tokens::{Tokens, flatten};

/// Added to the attention scores of hidden keys: large enough for the softmax to give 0, and finite in every precision.
pub(crate) const MASKED: f32 = -10_000.0;

/// Query, key and value of every token, `[tokens, heads · size]` each.
pub(crate) struct Attention<'a> {
    pub(crate) query: &'a Value,
    pub(crate) key: &'a Value,
    pub(crate) value: &'a Value,
    pub(crate) heads: usize,
    pub(crate) size: usize,
    /// Added to the scores: hides padding, and carries the encoder's own biases, such as relative positions. Broadcasts
    /// to `[batch, heads, sequence, sequence]`.
    pub(crate) bias: Option<&'a Value>,
    /// Whether a token sees only itself and the tokens before it. Where rows are padded, the bias must hide the others.
    pub(crate) causal: bool,
}

impl Attention<'_> {
    /// `softmax(Q Kᵀ / √size + bias) V`, `[tokens, heads · size]`.
    pub(crate) fn append(&self, graph: &mut Graph, tokens: &Tokens) -> Value {
        match tokens {
            Tokens::Rectangle { mask: None, .. } => self.fused(graph, tokens),
            Tokens::Rectangle { .. } => self.plain(graph, tokens),
            Tokens::Packed { cu_seqlens, padded_index, .. } => self.packed(graph, cu_seqlens, padded_index),
        }
    }

    /// ONNX Runtime's own operator. Without a mask it computes the scores in blocks, as FlashAttention-2 does, and
    /// never holds all `sequence²` of them.
    fn fused(&self, graph: &mut Graph, tokens: &Tokens) -> Value {
        let width = (self.heads * self.size) as i64;
        let [query, key, value] = [self.query, self.key, self.value].map(|x| tokens.to_rectangle(graph, x, &[width]));
        let absent = Value::new();
        let mut inputs = vec![&query, &key, &value];
        if let Some(bias) = self.bias {
            inputs.extend([&absent, &absent, bias]);
        }
        let attributes = [int("num_heads", self.heads as i64), int("unidirectional", self.causal.into())];
        let context = graph.node_in(MICROSOFT, "MultiHeadAttention", &inputs, &attributes);
        flatten(graph, &context, self.heads * self.size)
    }

    /// Standard operators, for every reader.
    fn plain(&self, graph: &mut Graph, tokens: &Tokens) -> Value {
        // There are fewer queries than scores, so that scaling the queries is cheaper.
        let scale = graph.scalar(1.0 / (self.size as f32).sqrt());
        let query = graph.node("Mul", &[self.query, &scale], &[]);
        let mut heads = |value: &Value, order: &[i64]| {
            let split = tokens.to_rectangle(graph, value, &[self.heads as i64, self.size as i64]);
            graph.node("Transpose", &[&split], &[ints("perm", order)])
        };
        let query = heads(&query, &[0, 2, 1, 3]);
        let key = heads(self.key, &[0, 2, 3, 1]);
        let value = heads(self.value, &[0, 2, 1, 3]);
        let mut scores = graph.node("MatMul", &[&query, &key], &[]);
        if let Some(bias) = self.bias {
            scores = graph.node("Add", &[&scores, bias], &[]);
        }
        let probabilities = graph.node("Softmax", &[&scores], &[int("axis", -1)]);
        let context = graph.node("MatMul", &[&probabilities, &value], &[]);
        let context = graph.node("Transpose", &[&context], &[ints("perm", &[0, 2, 1, 3])]);
        flatten(graph, &context, self.heads * self.size)
    }

    /// CUDA's kernels of variable length. Nothing is copied as long as query, key and value are separate inputs without
    /// a bias.
    fn packed(&self, graph: &mut Graph, cu_seqlens: &Value, padded_index: &Value) -> Value {
        let absent = Value::new();
        let inputs = [self.query, self.key, self.value, &absent, padded_index, cu_seqlens];
        let attributes = [int("num_heads", self.heads as i64), float("scale", 1.0 / (self.size as f32).sqrt())];
        graph.node_in(MICROSOFT, "PackedMultiHeadAttention", &inputs, &attributes)
    }
}

/// A bias that hides padding, `[batch, 1, 1, sequence]`; `None` if there is no padding, or the kernels know where rows
/// end.
pub(crate) fn padding_bias(graph: &mut Graph, tokens: &Tokens) -> Option<Value> {
    let Tokens::Rectangle { mask: Some(mask), .. } = tokens else { return None };
    let hidden_type = graph.hidden_type();
    let mask = graph.node("Cast", &[mask], &[to(hidden_type)]);
    let one = graph.scalar(1.0);
    let padding = graph.node("Sub", &[&one, &mask], &[]);
    let masked = graph.scalar(MASKED);
    let bias = graph.node("Mul", &[&padding, &masked], &[]);
    let axes = graph.integers(&[1, 2]);
    Some(graph.node("Unsqueeze", &[&bias, &axes], &[]))
}

/// A bias that hides padding and the keys after each query, `[batch, 1, sequence, sequence]`; `None` for rows of equal
/// length, where [`Attention::causal`] is enough.
pub(crate) fn causal_bias(graph: &mut Graph, tokens: &Tokens) -> Option<Value> {
    let Tokens::Rectangle { mask: Some(mask), .. } = tokens else { return None };
    let positions = tokens.positions(graph);
    let (rows, columns) = (graph.integers(&[1]), graph.integers(&[0]));
    let query = graph.node("Unsqueeze", &[&positions, &rows], &[]);
    let key = graph.node("Unsqueeze", &[&positions, &columns], &[]);
    let is_after = graph.node("Greater", &[&key, &query], &[]);
    let is_token = graph.node("Cast", &[mask], &[to(DataType::Bool)]);
    let is_padding = graph.node("Not", &[&is_token], &[]);
    let axes = graph.integers(&[1, 2]);
    let is_padding = graph.node("Unsqueeze", &[&is_padding, &axes], &[]);
    let is_hidden = graph.node("Or", &[&is_padding, &is_after], &[]);
    let (masked, visible) = (graph.scalar(MASKED), graph.scalar(0.0));
    Some(graph.node("Where", &[&is_hidden, &masked, &visible], &[]))
}
