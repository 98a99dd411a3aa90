//! Qwen3: a language model with causal attention; several query heads share a head of keys and values.
//!
//! Source of the formulas: `transformers/models/qwen3/modeling_qwen3.py`.

use embtune_model::{ModelError, Qwen3Config};

use crate::encoder::attention::{Attention, causal_bias};
use crate::encoder::builder::Builder;
use crate::encoder::int8::InputRange;
use crate::encoder::rotary::Rotary;
use crate::graph::Value;
use crate::tokens::flatten;

/// Appends the encoder; the result is `[tokens, hidden]`, where padding counts as tokens.
pub(super) fn append(builder: &mut Builder<'_>, config: &Qwen3Config) -> Result<Value, ModelError> {
    let (heads, groups, size) = (config.num_attention_heads, config.num_key_value_heads, config.head_dim);
    let rotary = Rotary::new(builder, config.rope_theta, size);
    let bias = causal_bias(builder.graph, builder.tokens);
    let norm = |builder: &mut Builder<'_>, stem: &str, x: &Value| builder.rms_norm(stem, config.rms_norm_eps, x);

    let mut hidden = builder.word_embeddings(Qwen3Config::WORD_EMBEDDINGS, config.hidden_size)?;
    for layer in 0..config.num_hidden_layers {
        let names = config.layer_names(layer);
        let normed = norm(builder, &names.attention_norm, &hidden)?;
        let [query, key, value] =
            builder.linear(&[&names.query, &names.key, &names.value], InputRange::Unknown, &normed)?;
        let rotated = |builder: &mut Builder<'_>, x: &Value, stem: &str, heads: usize| {
            let by_head = builder.graph.integers(&[-1, heads as i64, size as i64]);
            let by_head = builder.graph.node("Reshape", &[x, &by_head], &[]);
            let normed = norm(builder, stem, &by_head)?;
            let normed = flatten(builder.graph, &normed, heads * size);
            Ok::<_, ModelError>(rotary.rotate(builder, &normed, heads))
        };
        let query = rotated(builder, &query, &names.query_norm, heads)?;
        let key = rotated(builder, &key, &names.key_norm, groups)?;
        let [key, value] = [&key, &value].map(|x| repeated(builder, x, config));
        let (query, key, value, bias) = (&query, &key, &value, bias.as_ref());
        let attention = Attention { query, key, value, heads, size, bias, causal: true };
        let context = attention.append(builder.graph, builder.tokens);
        let [output] = builder.linear(&[&names.attention_output], InputRange::Unknown, &context)?;
        hidden = builder.add(&hidden, &output);

        let normed = norm(builder, &names.feed_forward_norm, &hidden)?;
        let [gate, inner] = builder.linear(&[&names.gate, &names.intermediate], InputRange::Unknown, &normed)?;
        let gate = builder.silu(&gate);
        let inner = builder.multiply(&gate, &inner);
        let [output] = builder.linear(&[&names.output], InputRange::Unknown, &inner)?;
        hidden = builder.add(&hidden, &output);
    }
    norm(builder, Qwen3Config::FINAL_NORM, &hidden)
}

/// Repeats each head of keys or values for every query head that shares it, `[tokens, heads · size]`.
fn repeated(builder: &mut Builder<'_>, x: &Value, config: &Qwen3Config) -> Value {
    let (heads, groups, size) = (config.num_attention_heads, config.num_key_value_heads, config.head_dim);
    if heads == groups {
        return x.clone();
    }
    let graph = &mut *builder.graph;
    let one = graph.integers(&[-1, groups as i64, 1, size as i64]);
    let one = graph.node("Reshape", &[x, &one], &[]);
    let many = graph.integers(&[1, 1, (heads / groups) as i64, 1]);
    let many = graph.node("Expand", &[&one, &many], &[]);
    flatten(builder.graph, &many, heads * size)
}
