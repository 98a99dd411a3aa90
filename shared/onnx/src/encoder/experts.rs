//! Mixtures of experts: each expert computes only the tokens that are sent to it.

use embtune_encoders::Experts;
use embtune_model::ModelError;

use crate::encoder::builder::{Builder, Hidden};
use crate::encoder::feed_forward::activate;
use crate::encoder::linear::{Input, linear};
use crate::graph::{Value, int, ints, text};

/// Appends `Σ p_e · act(x W₁ₑᵀ) W₂ₑ + b` over the chosen experts, `[tokens, width]`.
pub(crate) fn append(builder: &mut Builder<'_>, experts: &Experts, x: &Hidden) -> Result<Value, ModelError> {
    let (count, width) = (experts.router.output, experts.router.input);
    let [scores] = linear(builder, [&experts.router], Input::of(&x.value))?;
    let graph = &mut *builder.graph;
    let probabilities = graph.node("Softmax", &[&scores], &[int("axis", -1)]);
    let top = graph.integers(&[experts.top as i64]);
    let attributes = [int("axis", -1), int("largest", 1), int("sorted", 1)];
    let chosen = graph.node_with_outputs("TopK", &[&probabilities, &top], &attributes, 2);
    let [weights, indices] = [0, 1].map(|output| chosen.get(output).cloned().unwrap_or_default());
    let (zero, shape) = (graph.scalar(0.0), graph.node("Shape", &[&x.value], &[]));
    let mut sum = graph.node("Expand", &[&zero, &shape], &[]);
    for expert in 0..count {
        let graph = &mut *builder.graph;
        let number = graph.integer(expert as i64);
        let is_chosen = graph.node("Equal", &[&indices, &number], &[]);
        // [2, chosen]: the tokens that are sent to this expert, and as which of their choices.
        let places = graph.node("NonZero", &[&is_chosen], &[]);
        let places = graph.node("Transpose", &[&places], &[ints("perm", &[1, 0])]);
        let weight = graph.node("GatherND", &[&weights, &places], &[]);
        let last = graph.integers(&[-1]);
        let weight = graph.node("Unsqueeze", &[&weight, &last], &[]);
        let (from, to, axis) = (graph.integers(&[0]), graph.integers(&[1]), graph.integers(&[1]));
        let tokens = graph.node("Slice", &[&places, &from, &to, &axis], &[]);
        let rows = graph.node("GatherND", &[&x.value, &tokens], &[]);
        let shape = [experts.inner, width];
        let first = builder.weights.rows(builder.graph, &experts.first, expert, shape)?;
        let second = builder.weights.rows(builder.graph, &experts.second, expert, shape)?;
        let inner = builder.graph.node("Gemm", &[&rows, &first], &[int("transB", 1)]);
        let inner = activate(builder, experts.activation, &inner);
        let output = builder.graph.node("Gemm", &[&inner, &second], &[]);
        let output = builder.product(&output, &weight);
        sum = builder.graph.node("ScatterND", &[&sum, &tokens, &output], &[text("reduction", "add")]);
    }
    let bias = builder.weights.tensor(builder.graph, &experts.bias)?;
    Ok(builder.sum(&sum, &bias))
}
