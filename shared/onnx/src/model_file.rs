//! `model.onnx`: the encoder as other programs expect it.

use embtune_model::{Architecture, EncoderConfig, ModelDir, ModelError};

use crate::encoder;
use crate::graph::Graph;
use crate::layout::Tokens;
use crate::precision::Precision;
use crate::proto::DataType;
use crate::weights::WeightSource;

/// Name of the file, at the root of the model directory, beside the weights that it points into.
pub const PORTABLE_FILE: &str = "model.onnx";

/// The encoder alone, operator set 17, f32.
///
/// Inputs, i64 `[batch_size, sequence_length]`: `input_ids`, `attention_mask` and, for BERT and NomicBERT,
/// `token_type_ids`. Output, f32 `[batch_size, sequence_length, hidden]`: `last_hidden_state`. Pooling is left to the
/// reader, as sentence-transformers, fastembed and text-embeddings-inference expect; weights lie in
/// [`ModelDir::weights_file`].
///
/// # Errors
/// A model whose weights cannot be read.
pub fn portable_encoder(model: &ModelDir) -> Result<Vec<u8>, ModelError> {
    let weights = WeightSource::sibling(model)?;
    let mut graph = Graph::new("encoder", DataType::Float);
    let axes = ["batch_size", "sequence_length"];
    let mut input = |name: &str| graph.input(name, DataType::Int64, &axes);
    let tokens = Tokens::Rectangle {
        input_ids: input("input_ids"),
        mask: Some(input("attention_mask")),
        token_type_ids: has_token_types(model.config()).then(|| input("token_type_ids")),
    };
    let hidden = encoder::append(&mut graph, &weights, model.config(), Precision::Fp32, &tokens)?;
    let hidden = tokens.as_rectangle(&mut graph, &hidden, &[model.config().hidden_size() as i64]);
    let size = model.config().hidden_size().to_string();
    graph.output("last_hidden_state", hidden, DataType::Float, &["batch_size", "sequence_length", &size]);
    Ok(graph.into_bytes())
}

/// Whether the tokenizers of these models tell token types.
fn has_token_types(config: &EncoderConfig) -> bool {
    match config {
        EncoderConfig::Bert(config) => config.architecture == Architecture::Bert,
        EncoderConfig::NomicBert(_) => true,
        EncoderConfig::ModernBert(_) | EncoderConfig::Qwen3(_) => false,
    }
}
