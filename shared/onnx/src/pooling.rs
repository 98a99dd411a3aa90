//! Hidden states to one vector a text.

use embtune_model::Pooling;

use crate::graph::{Graph, Value, int, ints, to};
use crate::layout::Tokens;
use crate::proto::DataType;

/// As sentence-transformers' pooling has it.
const SMALLEST_COUNT: f32 = 1e-9;

/// Appends the pooling of `hidden`, f32 `[batch, sequence, hidden]`, over each row's tokens, which stand at its
/// beginning. The result is f32 `[batch, hidden]`.
pub(crate) fn append(graph: &mut Graph, pooling: Pooling, hidden: &Value, tokens: &Tokens) -> Value {
    let mask = &match tokens.mask() {
        Some(mask) => mask.clone(),
        None => all_tokens(graph, tokens.input_ids()),
    };
    match pooling {
        Pooling::Cls => first_token(graph, hidden),
        Pooling::LastToken => last_token(graph, hidden, mask),
        Pooling::Max => max(graph, hidden, mask),
        Pooling::Mean | Pooling::MeanSqrtLen => {
            let weights = graph.node("Cast", &[mask], &[to(DataType::Float)]);
            let (sum, count) = weighted_sum(graph, hidden, &weights);
            let divisor = if pooling == Pooling::Mean { count } else { graph.node("Sqrt", &[&count], &[]) };
            graph.node("Div", &[&sum, &divisor], &[])
        }
        Pooling::WeightedMean => {
            let last = graph.integer(1);
            let ranks = graph.node("CumSum", &[mask, &last], &[]);
            let ranks = graph.node("Mul", &[&ranks, mask], &[]);
            let weights = graph.node("Cast", &[&ranks], &[to(DataType::Float)]);
            let (sum, weight) = weighted_sum(graph, hidden, &weights);
            graph.node("Div", &[&sum, &weight], &[])
        }
    }
}

/// 1 for every token, i64 `[batch, sequence]`.
fn all_tokens(graph: &mut Graph, input_ids: &Value) -> Value {
    let (shape, one) = (graph.node("Shape", &[input_ids], &[]), graph.integer(1));
    graph.node("Expand", &[&one, &shape], &[])
}

fn first_token(graph: &mut Graph, hidden: &Value) -> Value {
    let zero = graph.integer(0);
    graph.node("Gather", &[hidden, &zero], &[int("axis", 1)])
}

fn last_token(graph: &mut Graph, hidden: &Value, mask: &Value) -> Value {
    let (one, last) = (graph.integer(1), graph.integers(&[-1]));
    let count = graph.node("ReduceSum", &[mask, &last], &[int("keepdims", 1)]);
    let index = graph.node("Sub", &[&count, &one], &[]);
    graph.node("GatherND", &[hidden, &index], &[int("batch_dims", 1)])
}

fn max(graph: &mut Graph, hidden: &Value, mask: &Value) -> Value {
    let last = graph.integers(&[-1]);
    let mask = graph.node("Unsqueeze", &[mask, &last], &[]);
    let is_token = graph.node("Cast", &[&mask], &[to(DataType::Bool)]);
    let smallest = graph.float(f32::NEG_INFINITY);
    let tokens = graph.node("Where", &[&is_token, hidden, &smallest], &[]);
    graph.node("ReduceMax", &[&tokens], &[ints("axes", &[1]), int("keepdims", 0)])
}

/// `Σ w · h`, f32 `[batch, hidden]`, and `max(Σ w, 1e-9)`, f32 `[batch, 1]`: the sum over the tokens is a product
/// `[batch, 1, sequence] × [batch, sequence, hidden]`.
fn weighted_sum(graph: &mut Graph, hidden: &Value, weights: &Value) -> (Value, Value) {
    let (one, last) = (graph.integers(&[1]), graph.integers(&[-1]));
    let row = graph.node("Unsqueeze", &[weights, &one], &[]);
    let sum = graph.node("MatMul", &[&row, hidden], &[]);
    let sum = graph.node("Squeeze", &[&sum, &one], &[]);
    let count = graph.node("ReduceSum", &[weights, &last], &[int("keepdims", 1)]);
    let smallest = graph.float(SMALLEST_COUNT);
    let count = graph.node("Max", &[&count, &smallest], &[]);
    (sum, count)
}
