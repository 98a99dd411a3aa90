//! What follows the encoder: pooling, Dense modules, division by the length.

use embtune_model::{Dense, DenseActivation, DenseWeights, ModelDir, ModelError};
use embtune_tensors::SMALLEST_NORM;

use crate::activation::gelu;
use crate::graph::{Graph, Value, int, ints};
use crate::layout::{Layout, Tokens};
use crate::pooling;
use crate::proto::DataType;

/// The head of a model by itself, for hidden states that come from elsewhere.
///
/// Inputs: those of the [`Layout`] (the token ids' values do not matter) and `hidden`, f32 `[batch, sequence, width]`.
/// Output, f32 `[batch, dimension]`: `sentence_embedding`.
///
/// # Errors
/// Dense modules whose weights cannot be read.
pub fn sentence_head<E>(
    model: &ModelDir<E>,
    layout: Layout,
    width: usize,
    normalize: bool,
) -> Result<Vec<u8>, ModelError> {
    let mut graph = Graph::new("sentence_head", DataType::Float);
    let tokens = Tokens::declare(&mut graph, layout);
    let hidden = graph.input("hidden", DataType::Float, &["batch", "sequence", &width.to_string()]);
    let vector = append(&mut graph, model, &hidden, &tokens, normalize)?;
    let size = model.dense().last().map_or(width, |dense| dense.out_features).to_string();
    graph.output("sentence_embedding", vector, DataType::Float, &["batch", &size]);
    Ok(graph.into_bytes())
}

/// Appends the head behind `hidden`, f32 `[batch, sequence, width]`; the result is f32 `[batch, dimension]`.
pub(crate) fn append<E>(
    graph: &mut Graph,
    model: &ModelDir<E>,
    hidden: &Value,
    tokens: &Tokens,
    normalize: bool,
) -> Result<Value, ModelError> {
    let weights = model.dense_weights()?;
    let mut vector = pooling::append(graph, model.pooling(), hidden, tokens);
    for layer in model.dense() {
        vector = dense(graph, &weights, layer, &vector)?;
    }
    Ok(if normalize { unit_length(graph, &vector) } else { vector })
}

/// `activation(W x + b)`.
fn dense(graph: &mut Graph, weights: &DenseWeights, layer: &Dense, x: &Value) -> Result<Value, ModelError> {
    let mut inputs = vec![x.clone()];
    for parameter in layer.parameters() {
        let numbers = weights.floats(&parameter)?;
        inputs.push(graph.floats(&numbers, &parameter.shape));
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

fn unit_length(graph: &mut Graph, vector: &Value) -> Value {
    let norm = graph.node("ReduceL2", &[vector], &[ints("axes", &[-1]), int("keepdims", 1)]);
    let smallest = graph.float(SMALLEST_NORM as f32);
    let norm = graph.node("Max", &[&norm, &smallest], &[]);
    graph.node("Div", &[vector, &norm], &[])
}
