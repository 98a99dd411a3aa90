//! Whole models: for other programs to load, and for embtune itself to run.

use std::path::PathBuf;

use embtune_model::{ModelDir, ModelError};

use crate::graph::{Graph, to};
use crate::options::{GraphOptions, HeadOptions, Layout, Precision};
use crate::proto::DataType;
use crate::tokens::Tokens;
use crate::weights::WeightSource;
use crate::{encoder, head};

/// Name of the file that [`portable_encoder`] is for. It belongs into the folder of the weights that it refers to.
pub const PORTABLE_FILE: &str = "model.onnx";

/// The encoder alone, as other programs expect a `model.onnx`: operator set 17, f32.
///
/// Inputs, i64 `[batch_size, sequence_length]`: `input_ids`, `attention_mask` and, for BERT and NomicBERT,
/// `token_type_ids`. Output, f32 `[batch_size, sequence_length, hidden]`: `last_hidden_state`. Pooling is left to the
/// reader, as sentence-transformers, fastembed and text-embeddings-inference expect. The weights are external data in
/// [`ModelDir::weight_files`].
///
/// # Errors
/// The model's weights cannot be read.
pub fn portable_encoder(model: &ModelDir) -> Result<Vec<u8>, ModelError> {
    let weights = WeightSource::beside_graph(model)?;
    let mut graph = Graph::new("encoder", DataType::Float);
    let axes = ["batch_size", "sequence_length"];
    let mut input = |name: &str| graph.input(name, DataType::Int64, &axes);
    let tokens = Tokens::Rectangle {
        input_ids: input("input_ids"),
        mask: Some(input("attention_mask")),
        token_type_ids: model.config().has_token_types.then(|| input("token_type_ids")),
    };
    let hidden = encoder::append(&mut graph, &weights, model.encoder(), Precision::Fp32, &tokens)?;
    let hidden = tokens.to_rectangle(&mut graph, &hidden, &[model.config().hidden_size as i64]);
    let size = model.config().hidden_size.to_string();
    graph.output("last_hidden_state", hidden, DataType::Float, &["batch_size", "sequence_length", &size]);
    Ok(graph.into_bytes())
}

/// Encoder, pooling, Dense modules and optional normalisation, for embtune's own inference.
///
/// The inputs are those of the [`Layout`]. Output, f32 `[batch, dimension]`: `sentence_embedding`. Returns the graph
/// and the folder that its external data is relative to.
///
/// # Errors
/// The model's weights cannot be read, or its family cannot be packed.
pub fn sentence_encoder(model: &ModelDir, options: GraphOptions) -> Result<(Vec<u8>, PathBuf), ModelError> {
    if options.layout == Layout::Packed && Layout::for_cuda(model.encoder()) != Layout::Packed {
        let what = format!("{} cannot run with packed tokens", model.config().name);
        return Err(ModelError::Unsupported { directory: model.root().display().to_string(), what });
    }
    let weights = WeightSource::resolved(model)?;
    let mut graph = Graph::new("sentence_encoder", options.precision.hidden_type());
    let tokens = Tokens::declare(&mut graph, options.layout);
    let hidden = encoder::append(&mut graph, &weights, model.encoder(), options.precision, &tokens)?;
    let hidden = tokens.to_rectangle(&mut graph, &hidden, &[model.config().hidden_size as i64]);
    let hidden = match options.precision.hidden_type() {
        DataType::Float => hidden,
        _ => graph.node("Cast", &[&hidden], &[to(DataType::Float)]),
    };
    let vector = head::append(&mut graph, model, &hidden, &tokens, options.head)?;
    let size = model.dimension().to_string();
    graph.output("sentence_embedding", vector, DataType::Float, &["batch", &size]);
    Ok((graph.into_bytes(), weights.folder))
}

/// Pooling, Dense modules and optional normalisation, for hidden states that another graph computes.
///
/// Inputs: those of the [`Layout`] (the values of the token ids do not matter) and `hidden`, f32
/// `[batch, sequence, width]`. Output, f32 `[batch, dimension]`: `sentence_embedding`.
///
/// # Errors
/// The weights of a Dense module cannot be read.
pub fn sentence_head<E>(
    model: &ModelDir<E>,
    layout: Layout,
    width: usize,
    options: HeadOptions,
) -> Result<Vec<u8>, ModelError> {
    let mut graph = Graph::new("sentence_head", DataType::Float);
    let tokens = Tokens::declare(&mut graph, layout);
    let hidden = graph.input("hidden", DataType::Float, &["batch", "sequence", &width.to_string()]);
    let vector = head::append(&mut graph, model, &hidden, &tokens, options)?;
    let size = model.dense().last().map_or(width, |dense| dense.out_features).to_string();
    graph.output("sentence_embedding", vector, DataType::Float, &["batch", &size]);
    Ok(graph.into_bytes())
}
