//! The graph that embtune itself runs: from token ids to one vector a text.

use std::path::PathBuf;

use embtune_model::{ModelDir, ModelError};

use crate::encoder;
use crate::graph::{Graph, to};
use crate::head;
use crate::layout::{Layout, Tokens};
use crate::precision::Precision;
use crate::proto::DataType;
use crate::weights::WeightSource;

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
    let vector = head::append(&mut graph, model, &hidden, &tokens, form.normalize)?;
    let size = model.dimension().to_string();
    graph.output("sentence_embedding", vector, DataType::Float, &["batch", &size]);
    Ok((graph.into_bytes(), weights.folder))
}
