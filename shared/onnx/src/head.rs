//! The modules after the encoder: pooling, Dense modules, normalisation.

use embtune_model::{Dense, DenseActivation, DenseWeights, ModelDir, ModelError, Pooling};
use embtune_tensors::SMALLEST_NORM;

use crate::activation::gelu;
use crate::graph::{Graph, Value, int, ints, to};
use crate::options::HeadOptions;
use crate::proto::DataType;
use crate::tokens::Tokens;

/// Smallest sum of weights that a mean is divided by, as in sentence-transformers' pooling.
const MIN_WEIGHT: f32 = 1e-9;

/// Appends the head to `hidden`, f32 `[batch, sequence, width]`; the result is f32 `[batch, dimension]`.
pub(crate) fn append<E>(
    graph: &mut Graph,
    model: &ModelDir<E>,
    hidden: &Value,
    tokens: &Tokens,
    options: HeadOptions,
) -> Result<Value, ModelError> {
    let weights = model.dense_weights()?;
    let mut vector = pool(graph, model.pooling(), hidden, tokens, options.skip);
    for layer in model.dense() {
        vector = dense(graph, &weights, layer, &vector)?;
    }
    Ok(if options.normalize { unit_length(graph, &vector) } else { vector })
}

/// `activation(W x + b)`.
fn dense(graph: &mut Graph, weights: &DenseWeights, layer: &Dense, x: &Value) -> Result<Value, ModelError> {
    let mut inputs = vec![x.clone()];
    for parameter in layer.parameters() {
        let values = weights.floats(&parameter)?;
        inputs.push(graph.floats(&values, &parameter.shape));
    }
    let inputs: Vec<&Value> = inputs.iter().collect();
    let product = graph.node("Gemm", &inputs, &[int("transB", 1)]);
    Ok(match layer.activation {
        DenseActivation::Identity => product,
        DenseActivation::Tanh => graph.node("Tanh", &[&product], &[]),
        DenseActivation::Relu => graph.node("Relu", &[&product], &[]),
        DenseActivation::Gelu => gelu(graph, &product),
    })
}

/// `x / max(‖x‖, ε)`.
fn unit_length(graph: &mut Graph, vector: &Value) -> Value {
    let norm = graph.node("ReduceL2", &[vector], &[ints("axes", &[-1]), int("keepdims", 1)]);
    let min = graph.float(SMALLEST_NORM as f32);
    let norm = graph.node("Max", &[&norm, &min], &[]);
    graph.node("Div", &[vector, &norm], &[])
}

/// Pools `hidden`, f32 `[batch, sequence, hidden]`, over the tokens of each row, which come before its padding, but for
/// the first `skip` ones. The result is f32 `[batch, hidden]`.
///
/// Source: `Pooling._forward_padded` of sentence-transformers. It counts the ranks of a weighted mean from the beginning
/// of the row, and makes a vector of zeros from a row of which nothing is left.
fn pool(graph: &mut Graph, pooling: Pooling, hidden: &Value, tokens: &Tokens, skip: usize) -> Value {
    let is_token = match tokens.mask() {
        Some(mask) => mask.clone(),
        None => all_ones(graph, tokens.input_ids()),
    };
    let mask = &if skip == 0 { is_token.clone() } else { without_first(graph, tokens, &is_token, skip) };
    match pooling {
        Pooling::Cls if skip == 0 => first_token(graph, hidden),
        Pooling::Cls => token_at(graph, hidden, mask, skip),
        Pooling::LastToken if skip == 0 => last_token(graph, hidden, mask),
        Pooling::LastToken => {
            let last_axis = graph.integers(&[-1]);
            let weights = graph.node("Cast", &[mask], &[to(DataType::Float)]);
            let weights = graph.node("Unsqueeze", &[&weights, &last_axis], &[]);
            let hidden = graph.node("Mul", &[hidden, &weights], &[]);
            last_token(graph, &hidden, &is_token)
        }
        Pooling::Max => max(graph, hidden, mask),
        Pooling::Mean | Pooling::MeanSqrtLen => {
            let weights = graph.node("Cast", &[mask], &[to(DataType::Float)]);
            let (sum, count) = weighted_sum(graph, hidden, &weights);
            let divisor = if pooling == Pooling::Mean { count } else { graph.node("Sqrt", &[&count], &[]) };
            graph.node("Div", &[&sum, &divisor], &[])
        }
        Pooling::WeightedMean => {
            let axis = graph.integer(1);
            let ranks = graph.node("CumSum", &[&is_token, &axis], &[]);
            let ranks = graph.node("Mul", &[&ranks, mask], &[]);
            let weights = graph.node("Cast", &[&ranks], &[to(DataType::Float)]);
            let (sum, weight) = weighted_sum(graph, hidden, &weights);
            graph.node("Div", &[&sum, &weight], &[])
        }
    }
}

/// The mask of a batch without padding, i64 `[batch, sequence]`.
fn all_ones(graph: &mut Graph, input_ids: &Value) -> Value {
    let (shape, one) = (graph.node("Shape", &[input_ids], &[]), graph.integer(1));
    graph.node("Expand", &[&one, &shape], &[])
}

/// A mask i64 `[batch, sequence]` without the first `skip` places of each row.
fn without_first(graph: &mut Graph, tokens: &Tokens, mask: &Value, skip: usize) -> Value {
    let (positions, skip) = (tokens.positions(graph), graph.integer(skip as i64));
    let is_later = graph.node("GreaterOrEqual", &[&positions, &skip], &[]);
    let is_later = graph.node("Cast", &[&is_later], &[to(DataType::Int64)]);
    graph.node("Mul", &[mask, &is_later], &[])
}

/// The token at `place` of each row, or its first token if the mask has none there.
fn token_at(graph: &mut Graph, hidden: &Value, mask: &Value, place: usize) -> Value {
    let (zero, place, last_axis) = (graph.integer(0), graph.integer(place as i64), graph.integers(&[-1]));
    let count = graph.node("ReduceSum", &[mask, &last_axis], &[int("keepdims", 1)]);
    let has_any = graph.node("Greater", &[&count, &zero], &[]);
    let index = graph.node("Where", &[&has_any, &place, &zero], &[]);
    graph.node("GatherND", &[hidden, &index], &[int("batch_dims", 1)])
}

fn first_token(graph: &mut Graph, hidden: &Value) -> Value {
    let zero = graph.integer(0);
    graph.node("Gather", &[hidden, &zero], &[int("axis", 1)])
}

fn last_token(graph: &mut Graph, hidden: &Value, mask: &Value) -> Value {
    let (one, last_axis) = (graph.integer(1), graph.integers(&[-1]));
    let count = graph.node("ReduceSum", &[mask, &last_axis], &[int("keepdims", 1)]);
    let index = graph.node("Sub", &[&count, &one], &[]);
    graph.node("GatherND", &[hidden, &index], &[int("batch_dims", 1)])
}

fn max(graph: &mut Graph, hidden: &Value, mask: &Value) -> Value {
    let last_axis = graph.integers(&[-1]);
    let mask = graph.node("Unsqueeze", &[mask, &last_axis], &[]);
    let is_token = graph.node("Cast", &[&mask], &[to(DataType::Bool)]);
    let lowest = graph.float(f32::NEG_INFINITY);
    let tokens = graph.node("Where", &[&is_token, hidden, &lowest], &[]);
    graph.node("ReduceMax", &[&tokens], &[ints("axes", &[1]), int("keepdims", 0)])
}

/// `Σ w · h`, f32 `[batch, hidden]`, and `max(Σ w, ε)`, f32 `[batch, 1]`. The sum over the tokens is a matrix product
/// `[batch, 1, sequence] × [batch, sequence, hidden]`.
fn weighted_sum(graph: &mut Graph, hidden: &Value, weights: &Value) -> (Value, Value) {
    let (one, last_axis) = (graph.integers(&[1]), graph.integers(&[-1]));
    let row = graph.node("Unsqueeze", &[weights, &one], &[]);
    let sum = graph.node("MatMul", &[&row, hidden], &[]);
    let sum = graph.node("Squeeze", &[&sum, &one], &[]);
    let count = graph.node("ReduceSum", &[weights, &last_axis], &[int("keepdims", 1)]);
    let min = graph.float(MIN_WEIGHT);
    let count = graph.node("Max", &[&count, &min], &[]);
    (sum, count)
}
