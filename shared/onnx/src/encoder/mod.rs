//! The forward pass of each encoder family.

mod attention;
mod bert;
mod builder;
mod int8;
mod linear;
mod modern_bert;
mod nomic_bert;
mod qwen3;
mod rotary;
mod window;

use embtune_model::{EncoderConfig, ModelError};

use crate::graph::{Graph, Value};
use crate::options::Precision;
use crate::tokens::Tokens;
use crate::weights::WeightSource;
use builder::Builder;

/// Appends the encoder; the result is `[tokens, hidden]`, where padding counts as tokens.
pub(crate) fn append(
    graph: &mut Graph,
    weights: &WeightSource,
    config: &EncoderConfig,
    precision: Precision,
    tokens: &Tokens,
) -> Result<Value, ModelError> {
    let mut builder = Builder { graph, weights, precision, tokens };
    match config {
        EncoderConfig::Bert(config) => bert::append(&mut builder, config),
        EncoderConfig::ModernBert(config) => modern_bert::append(&mut builder, config),
        EncoderConfig::NomicBert(config) => nomic_bert::append(&mut builder, config),
        EncoderConfig::Qwen3(config) => qwen3::append(&mut builder, config),
    }
}
