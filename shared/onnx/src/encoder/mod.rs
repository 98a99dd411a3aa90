//! The forward pass of the encoders.

mod attention;
mod bert;
mod builder;
mod int8;
mod linear;
mod mask;
mod modern_bert;
mod nomic_bert;
mod qwen3;
mod rotary;
mod window;

use embtune_model::{EncoderConfig, ModelError};

use crate::graph::{Graph, Value};
use crate::layout::Tokens;
use crate::precision::Precision;
use crate::weights::WeightSource;
use builder::Builder;
pub(crate) use int8::Matrix;

/// Appends the encoder; the result is `[tokens, hidden]`, where padding counts among the tokens.
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
