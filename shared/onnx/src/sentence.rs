//! The graph that embtune itself runs: from token ids to one vector a text.

use std::path::PathBuf;

use embtune_model::{Dense, DenseActivation, ModelDir, ModelError};

use crate::activation::gelu;
use crate::encoder::{self, Inputs};
use crate::graph::{Graph, Value, int, ints};
use crate::pooling;
use crate::proto::DataType;
use crate::weights::WeightSource;

/// As `torch.nn.functional.normalize` has it: a vector of zeros stays one.
const SMALLEST_NORM: f32 = 1e-12;

/// Encoder, pooling, Dense modules and, when `normalize`, division by the length.
///
/// Inputs, i64 `[batch, sequence]`: `input_ids` and `attention_mask`. Output, f32 `[batch, dimension]`:
/// `sentence_embedding`. Gives the graph and the folder that its external data is relative to.
///
/// # Errors
/// A model whose weights cannot be read.
pub fn sentence_encoder(model: &ModelDir, normalize: bool) -> Result<(Vec<u8>, PathBuf), ModelError> {
    let weights = WeightSource::resolved(model)?;
    let mut graph = Graph::new("sentence_encoder");
    let axes = ["batch", "sequence"];
    let input_ids = graph.input("input_ids", DataType::Int64, &axes);
    let attention_mask = graph.input("attention_mask", DataType::Int64, &axes);
    let inputs = Inputs { input_ids, attention_mask, token_type_ids: None };
    let hidden = encoder::append(&mut graph, &weights, model.config(), &inputs)?;
    let mut vector = pooling::append(&mut graph, model.pooling(), &hidden, &inputs.attention_mask);
    for layer in model.dense() {
        vector = dense(&mut graph, &weights, layer, &vector)?;
    }
    if normalize {
        vector = unit_length(&mut graph, &vector);
    }
    let size = model.dimension().to_string();
    graph.output("sentence_embedding", vector, DataType::Float, &["batch", &size]);
    Ok((graph.into_bytes(), weights.folder))
}

/// `activation(W x + b)`.
fn dense(graph: &mut Graph, weights: &WeightSource, layer: &Dense, x: &Value) -> Result<Value, ModelError> {
    let mut inputs = vec![x.clone()];
    for parameter in layer.parameters() {
        inputs.push(weights.constant(graph, &parameter.name)?);
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
    let smallest = graph.float(SMALLEST_NORM);
    let norm = graph.node("Max", &[&norm, &smallest], &[]);
    graph.node("Div", &[vector, &norm], &[])
}
