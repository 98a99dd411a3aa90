//! Attention within a sliding window, computed in blocks: work and memory grow linearly with the sequence.
//!
//! A block has as many queries as the window reaches to one side. Every key that its queries may see is in the block
//! before it, in the block itself, or in the block after it. A text that is shorter than a block is one block.

use crate::encoder::attention::MASKED;
use crate::encoder::builder::{Builder, Windows};
use crate::graph::{Value, int, ints, to};
use crate::proto::DataType;
use crate::tokens::flatten;

impl Windows {
    /// A window of `reach` tokens on either side of each token.
    pub(crate) fn new(builder: &mut Builder<'_>, reach: usize) -> Self {
        let (graph, tokens) = (&mut *builder.graph, builder.tokens);
        let sequence = tokens.longest(graph);
        let reach = graph.integers(&[reach as i64]);
        let one = graph.integers(&[1]);
        let block = graph.node("Min", &[&reach, &sequence], &[]);
        let block = graph.node("Max", &[&block, &one], &[]);
        let three = graph.integers(&[3]);
        let span = graph.node("Mul", &[&block, &three], &[]);

        let rest = graph.node("Sub", &[&sequence, &one], &[]);
        let blocks = graph.node("Div", &[&rest, &block], &[]);
        let blocks = graph.node("Add", &[&blocks, &one], &[]);
        let whole = graph.node("Mul", &[&blocks, &block], &[]);
        let missing = graph.node("Sub", &[&whole, &sequence], &[]);
        let after = graph.node("Add", &[&missing, &block], &[]);
        let none = graph.integers(&[0]);
        let query_pads = graph.node("Concat", &[&none, &none, &none, &none, &missing, &none], &[int("axis", 0)]);
        let key_pads = graph.node("Concat", &[&none, &block, &none, &none, &after, &none], &[int("axis", 0)]);

        let starts = graph.range(&blocks);
        let starts = graph.node("Mul", &[&starts, &block], &[]);
        let within = graph.range(&span);
        let (rows, columns) = (graph.integers(&[1]), graph.integers(&[0]));
        let starts = graph.node("Unsqueeze", &[&starts, &rows], &[]);
        let within = graph.node("Unsqueeze", &[&within, &columns], &[]);
        let keys = graph.node("Add", &[&starts, &within], &[]);

        // The distance between key and query, whose positions are counted from the start of the query's block.
        let query = graph.range(&block);
        let query = graph.node("Unsqueeze", &[&query, &rows], &[]);
        let key = graph.node("Sub", &[&within, &block], &[]);
        let distance = graph.node("Sub", &[&key, &query], &[]);
        let distance = graph.node("Abs", &[&distance], &[]);
        let is_far = graph.node("Greater", &[&distance, &reach], &[]);

        let is_token = match tokens.mask() {
            Some(mask) => mask.clone(),
            None => {
                let shape = graph.node("Concat", &[&one, &sequence], &[int("axis", 0)]);
                let one = graph.integer(1);
                graph.node("Expand", &[&one, &shape], &[])
            }
        };
        let pads = graph.node("Concat", &[&none, &block, &none, &after], &[int("axis", 0)]);
        let is_token = graph.node("Pad", &[&is_token, &pads], &[]);
        let is_token = graph.node("Gather", &[&is_token, &keys], &[int("axis", 1)]);
        let is_token = graph.node("Cast", &[&is_token], &[to(DataType::Bool)]);
        let is_hidden = graph.node("Not", &[&is_token], &[]);
        let axes = graph.integers(&[2, 3]);
        let is_hidden = graph.node("Unsqueeze", &[&is_hidden, &axes], &[]);
        let is_hidden = graph.node("Or", &[&is_hidden, &is_far], &[]);
        let (masked, visible) = (graph.scalar(MASKED), graph.scalar(0.0));
        let bias = graph.node("Where", &[&is_hidden, &masked, &visible], &[]);
        Self { block, sequence, query_pads, key_pads, keys, bias }
    }

    /// `softmax(scale · Q Kᵀ + bias) V` of every token over its window. Query, key, value and the result are
    /// `[tokens, heads · size]`.
    pub(crate) fn attention(
        &self,
        builder: &mut Builder<'_>,
        qkv: [&Value; 3],
        heads: usize,
        size: usize,
        scale: f32,
    ) -> Value {
        let (graph, tokens) = (&mut *builder.graph, builder.tokens);
        let [query, key, value] = qkv.map(|x| tokens.to_rectangle(graph, x, &[(heads * size) as i64]));
        let scale = graph.scalar(scale);
        let query = graph.node("Mul", &[&query, &scale], &[]);
        let query = graph.node("Pad", &[&query, &self.query_pads], &[]);
        let (all, rest) = (graph.integers(&[0]), graph.integers(&[-1]));
        let by_head = graph.integers(&[heads as i64, size as i64]);
        let shape = graph.node("Concat", &[&all, &rest, &self.block, &by_head], &[int("axis", 0)]);
        let query = graph.node("Reshape", &[&query, &shape], &[]);
        let query = graph.node("Transpose", &[&query], &[ints("perm", &[0, 1, 3, 2, 4])]);

        let by_head = graph.integers(&[0, 0, 0, heads as i64, size as i64]);
        let mut blocks = |x: &Value, order: &[i64]| {
            let padded = graph.node("Pad", &[x, &self.key_pads], &[]);
            let blocks = graph.node("Gather", &[&padded, &self.keys], &[int("axis", 1)]);
            let by_head = graph.node("Reshape", &[&blocks, &by_head], &[]);
            graph.node("Transpose", &[&by_head], &[ints("perm", order)])
        };
        let key = blocks(&key, &[0, 1, 3, 4, 2]);
        let value = blocks(&value, &[0, 1, 3, 2, 4]);

        let scores = graph.node("MatMul", &[&query, &key], &[]);
        let scores = graph.node("Add", &[&scores, &self.bias], &[]);
        let probabilities = graph.node("Softmax", &[&scores], &[int("axis", -1)]);
        let context = graph.node("MatMul", &[&probabilities, &value], &[]);
        let context = graph.node("Transpose", &[&context], &[ints("perm", &[0, 1, 3, 2, 4])]);
        let shape = graph.integers(&[0, -1, (heads * size) as i64]);
        let context = graph.node("Reshape", &[&context, &shape], &[]);
        let (from, axis) = (graph.integers(&[0]), graph.integers(&[1]));
        let context = graph.node("Slice", &[&context, &from, &self.sequence, &axis], &[]);
        flatten(graph, &context, heads * size)
    }
}
