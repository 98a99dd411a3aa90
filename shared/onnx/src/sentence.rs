//! The graph that embtune itself runs: from token ids to one vector a text.

use std::path::PathBuf;

use embtune_model::{ModelDir, ModelError, Pooling};

use crate::encoder::{self, Inputs};
use crate::graph::{Graph, Value, int, ints, to};
use crate::proto::DataType;
use crate::weights::WeightSource;

/// As `torch.nn.functional.normalize` has it: a vector of zeros stays one.
const SMALLEST_NORM: f32 = 1e-12;
/// As sentence-transformers' mean pooling has it.
const SMALLEST_COUNT: f32 = 1e-9;

/// Encoder, pooling and, when `normalize`, division by the length.
///
/// Inputs, i64 `[batch, sequence]`: `input_ids` and `attention_mask`. Output, f32 `[batch, hidden]`:
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
    let mut vector = match model.pooling() {
        Pooling::Cls => first_token(&mut graph, &hidden),
        Pooling::Mean => mean(&mut graph, &hidden, &inputs.attention_mask),
    };
    if normalize {
        vector = unit_length(&mut graph, &vector);
    }
    let size = model.config().hidden_size.to_string();
    graph.output("sentence_embedding", vector, DataType::Float, &["batch", &size]);
    Ok((graph.into_bytes(), weights.folder))
}

fn first_token(graph: &mut Graph, hidden: &Value) -> Value {
    let zero = graph.integer(0);
    graph.node("Gather", &[hidden, &zero], &[int("axis", 1)])
}

/// `Σ mask · h / max(Σ mask, 1e-9)`: the sum over the tokens is a product `[batch, 1, sequence] × [batch, sequence, hidden]`.
fn mean(graph: &mut Graph, hidden: &Value, mask: &Value) -> Value {
    let mask = graph.node("Cast", &[mask], &[to(DataType::Float)]);
    let (one, last) = (graph.integers(&[1]), graph.integers(&[-1]));
    let row = graph.node("Unsqueeze", &[&mask, &one], &[]);
    let sum = graph.node("MatMul", &[&row, hidden], &[]);
    let sum = graph.node("Squeeze", &[&sum, &one], &[]);
    let count = graph.node("ReduceSum", &[&mask, &last], &[int("keepdims", 1)]);
    let smallest = graph.float(SMALLEST_COUNT);
    let count = graph.node("Max", &[&count, &smallest], &[]);
    graph.node("Div", &[&sum, &count], &[])
}

fn unit_length(graph: &mut Graph, vector: &Value) -> Value {
    let norm = graph.node("ReduceL2", &[vector], &[ints("axes", &[-1]), int("keepdims", 1)]);
    let smallest = graph.float(SMALLEST_NORM);
    let norm = graph.node("Max", &[&norm, &smallest], &[]);
    graph.node("Div", &[vector, &norm], &[])
}
