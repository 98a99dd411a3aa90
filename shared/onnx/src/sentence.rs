//! The graph that embtune itself runs: from token ids to one vector a text.

use std::path::PathBuf;

use embtune_model::{Dense, DenseActivation, ModelDir, ModelError};

use crate::activation::gelu;
use crate::encoder;
use crate::graph::{Graph, Value, int, ints, to};
use crate::layout::{Layout, Tokens};
use crate::pooling;
use crate::precision::Precision;
use crate::proto::DataType;
use crate::weights::WeightSource;

/// As `torch.nn.functional.normalize` has it: a vector of zeros stays one.
const SMALLEST_NORM: f32 = 1e-12;

/// How a sentence encoder is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// How batches come.
    pub layout: Layout,
    /// What the encoder computes in.
    pub precision: Precision,
    /// Whether vectors are divided by their length.
    pub normalize: bool,
}

/// Encoder, pooling, Dense modules and, when the form says so, division by the length.
///
/// The inputs are the [`Layout`]'s. Output, f32 `[batch, dimension]`: `sentence_embedding`. Gives the graph and the
/// folder that its external data is relative to.
///
/// # Errors
/// A model whose weights cannot be read, or which cannot be packed.
pub fn sentence_encoder(model: &ModelDir, form: Form) -> Result<(Vec<u8>, PathBuf), ModelError> {
    if form.layout == Layout::Packed && Layout::of_cuda(model.config()) != Layout::Packed {
        let what = format!("{} is not packed", model.config().name());
        return Err(ModelError::Unsupported { directory: model.root().display().to_string(), what });
    }
    let weights = WeightSource::resolved(model)?;
    let mut graph = Graph::new("sentence_encoder", form.precision.number());
    let tokens = Tokens::declare(&mut graph, form.layout);
    let hidden = encoder::append(&mut graph, &weights, model.config(), form.precision, &tokens)?;
    let hidden = tokens.as_rectangle(&mut graph, &hidden, &[model.config().hidden_size() as i64]);
    let hidden = match form.precision.number() {
        DataType::Float => hidden,
        _ => graph.node("Cast", &[&hidden], &[to(DataType::Float)]),
    };
    let mut vector = pooling::append(&mut graph, model.pooling(), &hidden, &tokens);
    for layer in model.dense() {
        vector = dense(&mut graph, &weights, layer, &vector)?;
    }
    if form.normalize {
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
