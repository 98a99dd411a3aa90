//! The forward pass of an encoder as nodes of a graph.

mod attention;
mod builder;
mod embeddings;
mod experts;
mod feed_forward;
mod int8;
mod linear;
mod norm;
mod ops;
mod rotary;
mod window;

use embtune_encoders::Encoder;
use embtune_model::ModelError;

use crate::graph::{Graph, Value};
use crate::options::Precision;
use crate::tokens::Tokens;
use crate::weights::WeightSource;
use builder::Builder;

/// Appends the encoder; the result is `[tokens, hidden]`, where padding counts as tokens.
pub(crate) fn append(
    graph: &mut Graph,
    weights: &WeightSource,
    encoder: &Encoder,
    precision: Precision,
    tokens: &Tokens,
) -> Result<Value, ModelError> {
    let mut builder = Builder::new(graph, weights, precision, tokens, encoder.config().position_padding);
    Ok(encoder.forward(&mut builder)?.value)
}
