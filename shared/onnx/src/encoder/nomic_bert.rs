//! NomicBERT: BERT's post-norm layers with rotary positions and gated feed-forward parts.
//!
//! Source of the formulas: `transformers/models/nomic_bert/modeling_nomic_bert.py`.

use embtune_model::{ModelError, NomicBertConfig};

use crate::encoder::attention::{Attention, padding_bias};
use crate::encoder::builder::Builder;
use crate::encoder::int8::InputRange;
use crate::encoder::rotary::Rotary;
use crate::graph::Value;
use crate::tokens::{Tokens, flatten};

/// Appends the encoder; the result is `[tokens, hidden]`, where padding counts as tokens.
pub(super) fn append(builder: &mut Builder<'_>, config: &NomicBertConfig) -> Result<Value, ModelError> {
    let heads = config.num_attention_heads;
    let size = config.hidden_size / heads;
    let rotary = Rotary::new(builder, config.rope_theta, size);
    let padding = padding_bias(builder.graph, builder.tokens);
    let norm =
        |builder: &mut Builder<'_>, stem: &str, x: &Value| builder.layer_norm(stem, true, config.layer_norm_eps, x);

    let words = builder.word_embeddings(NomicBertConfig::WORD_EMBEDDINGS, config.hidden_size)?;
    let types = token_types(builder, config.hidden_size)?;
    let sum = builder.add(&words, &types);
    let mut hidden = norm(builder, NomicBertConfig::EMBEDDINGS_NORM, &sum)?;
    for layer in 0..config.num_hidden_layers {
        let names = config.layer_names(layer);
        let [qkv] = builder.linear(&[&names.query_key_value], InputRange::Unknown, &hidden)?;
        let [query, key, value]: [Value; 3] = builder.split(&qkv);
        let (query, key) = (rotary.rotate(builder, &query, heads), rotary.rotate(builder, &key, heads));
        let (query, key, value, bias) = (&query, &key, &value, padding.as_ref());
        let attention = Attention { query, key, value, heads, size, bias, causal: false };
        let context = attention.append(builder.graph, builder.tokens);
        let [output] = builder.linear(&[&names.attention_output], InputRange::Unknown, &context)?;
        let sum = builder.add(&hidden, &output);
        hidden = norm(builder, &names.attention_norm, &sum)?;

        let [inner, gate] = builder.linear(&[&names.intermediate, &names.gate], InputRange::Unknown, &hidden)?;
        let gate = builder.silu(&gate);
        let inner = builder.multiply(&inner, &gate);
        let [output] = builder.linear(&[&names.output], InputRange::Unknown, &inner)?;
        let sum = builder.add(&hidden, &output);
        hidden = norm(builder, &names.output_norm, &sum)?;
    }
    Ok(hidden)
}

/// The token type embeddings, in a shape that broadcasts to that of the word embeddings.
fn token_types(builder: &mut Builder<'_>, width: usize) -> Result<Value, ModelError> {
    let table = builder.weight(NomicBertConfig::TOKEN_TYPE_EMBEDDINGS)?;
    Ok(match builder.tokens {
        Tokens::Rectangle { token_type_ids: Some(ids), .. } => {
            let rows = builder.graph.node("Gather", &[&table, ids], &[]);
            flatten(builder.graph, &rows, width)
        }
        _ => {
            let first = builder.graph.integer(0);
            builder.graph.node("Gather", &[&table, &first], &[])
        }
    })
}
