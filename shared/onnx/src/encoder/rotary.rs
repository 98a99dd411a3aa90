//! Rotary position embeddings: queries and keys are rotated by angles proportional to their positions, so that their
//! product depends on the distance between them.
//!
//! Source: Su et al. 2021, <https://arxiv.org/abs/2104.09864>, in the form of `rotate_half` in
//! `transformers/models/*/modeling_*.py`: elements `i` and `i + d/2` of a head are rotated as a pair.

use embtune_encoders::Rotary;

use crate::encoder::builder::{Angles, Builder};
use crate::graph::{MICROSOFT, Value, int, to};
use crate::proto::DataType;
use crate::tokens::{Tokens, flatten};

impl Angles {
    /// The angles for heads of this size; those of the same kind are computed once for all layers.
    pub(crate) fn of(builder: &mut Builder<'_>, rotary: Rotary, head_size: usize) -> Self {
        let known = builder.shared.angles.iter().find(|(kind, size, _)| (*kind, *size) == (rotary, head_size));
        if let Some((_, _, angles)) = known {
            return angles.clone();
        }
        let angles = Self::append(builder, rotary, head_size);
        builder.shared.angles.push((rotary, head_size, angles.clone()));
        angles
    }

    fn append(builder: &mut Builder<'_>, rotary: Rotary, head_size: usize) -> Self {
        let frequencies = rotary.frequencies(head_size);
        let graph = &mut *builder.graph;
        let positions = builder.tokens.positions(graph);
        let positions = graph.node("Cast", &[&positions], &[to(DataType::Float)]);
        let last = graph.integers(&[-1]);
        let positions = graph.node("Unsqueeze", &[&positions, &last], &[]);
        let frequencies = graph.floats(&frequencies, &[1, frequencies.len()]);
        let angles = graph.node("Mul", &[&positions, &frequencies], &[]);
        let hidden_type = graph.hidden_type();
        let [cosine, sine] = ["Cos", "Sin"].map(|function| {
            let table = graph.node(function, &[&angles], &[]);
            if hidden_type == DataType::Float { table } else { graph.node("Cast", &[&table], &[to(hidden_type)]) }
        });
        Self { cosine, sine, head_size }
    }

    /// Rotates all heads, `[tokens, heads · size]`.
    pub(crate) fn rotate(&self, builder: &mut Builder<'_>, x: &Value, heads: usize) -> Value {
        let rotated = match builder.tokens {
            Tokens::Rectangle { mask: Some(_), .. } => self.plain(builder, x, heads),
            Tokens::Rectangle { mask: None, .. } => {
                let rows = builder.tokens.to_rectangle(builder.graph, x, &[(heads * self.head_size) as i64]);
                // A single element is the position of the first token of every row.
                let first = builder.graph.integers(&[0]);
                self.fused(builder, &rows, &first, false)
            }
            Tokens::Packed { position_ids, .. } => {
                let axis = builder.graph.integers(&[0]);
                let row = builder.graph.node("Unsqueeze", &[x, &axis], &[]);
                let positions = builder.graph.node("Unsqueeze", &[position_ids, &axis], &[]);
                self.fused(builder, &row, &positions, true)
            }
        };
        flatten(builder.graph, &rotated, heads * self.head_size)
    }

    /// ONNX Runtime's own operator, over `[batch, sequence, heads · size]`. A packed sequence may be longer than the
    /// tables.
    fn fused(&self, builder: &mut Builder<'_>, x: &Value, positions: &Value, is_packed: bool) -> Value {
        let inputs = [x, positions, &self.cosine, &self.sine];
        builder.graph.node_in(MICROSOFT, "RotaryEmbedding", &inputs, &[int("is_packed_batching", is_packed.into())])
    }

    /// Standard operators, for every reader.
    fn plain(&self, builder: &mut Builder<'_>, x: &Value, heads: usize) -> Value {
        let x = builder.tokens.to_rectangle(builder.graph, x, &[heads as i64, self.head_size as i64]);
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
