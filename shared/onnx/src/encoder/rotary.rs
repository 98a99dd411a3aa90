//! Rotary positions: a query and a key are turned by angles that grow with their places, so that their product depends
//! on how far they stand apart.
//!
//! Source: Su et al. 2021, <https://arxiv.org/abs/2104.09864>, in the form of `rotate_half` in
//! `transformers/models/*/modeling_*.py`: elements `i` and `i + d/2` of a head are turned together.

use crate::encoder::builder::Builder;
use crate::graph::{MICROSOFT, Value, int, to};
use crate::layout::{Tokens, flat};
use crate::proto::DataType;

/// Cosines and sines of the angles, which are computed in fp32 whatever the precision is.
pub(crate) struct Rotary {
    /// `[sequence, size / 2]`.
    cosine: Value,
    /// `[sequence, size / 2]`.
    sine: Value,
    size: usize,
}

impl Rotary {
    /// Angles `place · θ^(−2i/size)` for heads of `size` elements.
    pub(crate) fn new(builder: &mut Builder<'_>, theta: f64, size: usize) -> Self {
        let frequencies: Vec<f32> = (0..size)
            .step_by(2)
            .map(|i| {
                let exponent = i as f32 / size as f32;
                1.0 / theta.powf(f64::from(exponent)) as f32
            })
            .collect();
        let graph = &mut *builder.graph;
        let places = builder.tokens.places(graph);
        let places = graph.node("Cast", &[&places], &[to(DataType::Float)]);
        let last = graph.integers(&[-1]);
        let places = graph.node("Unsqueeze", &[&places, &last], &[]);
        let frequencies = graph.floats(&frequencies, &[1, frequencies.len()]);
        let angles = graph.node("Mul", &[&places, &frequencies], &[]);
        let number = graph.number_type();
        let [cosine, sine] = ["Cos", "Sin"].map(|function| {
            let table = graph.node(function, &[&angles], &[]);
            if number == DataType::Float { table } else { graph.node("Cast", &[&table], &[to(number)]) }
        });
        Self { cosine, sine, size }
    }

    /// Turns `heads` heads side by side, `[tokens, heads · size]`.
    pub(crate) fn turn(&self, builder: &mut Builder<'_>, x: &Value, heads: usize) -> Value {
        let turned = match builder.tokens {
            Tokens::Rectangle { mask: Some(_), .. } => self.plain(builder, x, heads),
            Tokens::Rectangle { mask: None, .. } => {
                let rows = builder.tokens.as_rectangle(builder.graph, x, &[(heads * self.size) as i64]);
                // One number: the place of every row's first token.
                let first = builder.graph.integers(&[0]);
                self.fused(builder, &rows, &first, false)
            }
            Tokens::Packed { position_ids, .. } => {
                let axis = builder.graph.integers(&[0]);
                let row = builder.graph.node("Unsqueeze", &[x, &axis], &[]);
                let places = builder.graph.node("Unsqueeze", &[position_ids, &axis], &[]);
                self.fused(builder, &row, &places, true)
            }
        };
        flat(builder.graph, &turned, heads * self.size)
    }

    /// ONNX Runtime's own node, over `[batch, sequence, heads · size]`; a packed sequence may be longer than the tables.
    fn fused(&self, builder: &mut Builder<'_>, x: &Value, places: &Value, is_packed: bool) -> Value {
        let inputs = [x, places, &self.cosine, &self.sine];
        builder.graph.node_of(MICROSOFT, "RotaryEmbedding", &inputs, &[int("is_packed_batching", is_packed.into())])
    }

    /// Standard nodes, for every reader.
    fn plain(&self, builder: &mut Builder<'_>, x: &Value, heads: usize) -> Value {
        let x = builder.tokens.as_rectangle(builder.graph, x, &[heads as i64, self.size as i64]);
        let [first, second]: [Value; 2] = builder.split(&x);
        let axis = builder.graph.integers(&[1]);
        let [cosine, sine] =
            [&self.cosine, &self.sine].map(|table| builder.graph.node("Unsqueeze", &[table, &axis], &[]));
        let mut product = |a: &Value, b: &Value| builder.graph.node("Mul", &[a, b], &[]);
        let [a, b] = [product(&first, &cosine), product(&second, &sine)];
        let [c, d] = [product(&second, &cosine), product(&first, &sine)];
        let first = builder.graph.node("Sub", &[&a, &b], &[]);
        let second = builder.graph.node("Add", &[&c, &d], &[]);
        builder.graph.node("Concat", &[&first, &second], &[int("axis", -1)])
    }
}
