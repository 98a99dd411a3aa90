//! Attention of every row over its own tokens.

use crate::graph::{Graph, MICROSOFT, Value, float, int, ints};
use crate::layout::{Tokens, flat};

/// Query, key and value of every token, `[tokens, heads · size]` each, and what is added to their scores.
pub(crate) struct Attention<'a> {
    pub(crate) query: &'a Value,
    pub(crate) key: &'a Value,
    pub(crate) value: &'a Value,
    pub(crate) heads: usize,
    pub(crate) size: usize,
    /// Of the encoder's own, such as relative positions, and of padding: broadcasts to
    /// `[batch, heads, sequence, sequence]`.
    pub(crate) bias: Option<&'a Value>,
    /// Whether a token sees only itself and what stands before it; where rows are padded, the bias hides the rest.
    pub(crate) causal: bool,
}

impl Attention<'_> {
    /// `softmax(Q Kᵀ / √size + bias) V`, heads side by side, `[tokens, heads · size]`.
    pub(crate) fn append(&self, graph: &mut Graph, tokens: &Tokens) -> Value {
        match tokens {
            Tokens::Rectangle { mask: None, .. } => self.fused(graph, tokens),
            Tokens::Rectangle { .. } => self.plain(graph, tokens),
            Tokens::Packed { cu_seqlens, padded_index, .. } => self.packed(graph, cu_seqlens, padded_index),
        }
    }

    /// ONNX Runtime's own node: without a mask it goes through the scores in blocks, as FlashAttention-2 does, and
    /// never holds `sequence²` of them.
    fn fused(&self, graph: &mut Graph, tokens: &Tokens) -> Value {
        let width = (self.heads * self.size) as i64;
        let [query, key, value] = [self.query, self.key, self.value].map(|x| tokens.as_rectangle(graph, x, &[width]));
        let absent = Value::new();
        let mut inputs = vec![&query, &key, &value];
        if let Some(bias) = self.bias {
            inputs.extend([&absent, &absent, bias]);
        }
        let attributes = [int("num_heads", self.heads as i64), int("unidirectional", self.causal.into())];
        let context = graph.node_of(MICROSOFT, "MultiHeadAttention", &inputs, &attributes);
        flat(graph, &context, self.heads * self.size)
    }

    /// Standard nodes, for every reader.
    fn plain(&self, graph: &mut Graph, tokens: &Tokens) -> Value {
        // Scaling the queries is cheaper than scaling the scores, which are sequence × sequence.
        let scale = graph.number(1.0 / (self.size as f32).sqrt());
        let query = graph.node("Mul", &[self.query, &scale], &[]);
        let mut heads = |value: &Value, order: &[i64]| {
            let split = tokens.as_rectangle(graph, value, &[self.heads as i64, self.size as i64]);
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
        flat(graph, &context, self.heads * self.size)
    }

    /// CUDA's kernels of variable length. Query, key and value stay apart and without a bias: then nothing is copied.
    fn packed(&self, graph: &mut Graph, cu_seqlens: &Value, padded_index: &Value) -> Value {
        let absent = Value::new();
        let inputs = [self.query, self.key, self.value, &absent, padded_index, cu_seqlens];
        let attributes = [int("num_heads", self.heads as i64), float("scale", 1.0 / (self.size as f32).sqrt())];
        graph.node_of(MICROSOFT, "PackedMultiHeadAttention", &inputs, &attributes)
    }
}
