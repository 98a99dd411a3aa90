//! Qwen3: a language model's layers, in which each token sees itself and what stands before it.
//!
//! Source of the formulas: `transformers/models/qwen3/modeling_qwen3.py`.

use embtune_model::{ModelError, Qwen3Config};

use crate::encoder::attention::Attention;
use crate::encoder::builder::Builder;
use crate::encoder::int8::Input;
use crate::encoder::mask;
use crate::encoder::rotary::Rotary;
use crate::graph::Value;
use crate::layout::flat;

/// Appends the encoder; the result is `[tokens, hidden]`, where padding counts among the tokens.
pub(super) fn append(builder: &mut Builder<'_>, config: &Qwen3Config) -> Result<Value, ModelError> {
    let (heads, groups, size) = (config.num_attention_heads, config.num_key_value_heads, config.head_dim);
    let rotary = Rotary::new(builder, config.rope_theta, size);
    let bias = mask::causal(builder.graph, builder.tokens);
    let norm = |builder: &mut Builder<'_>, stem: &str, x: &Value| builder.rms_norm(stem, config.rms_norm_eps, x);

    let mut hidden = builder.words(Qwen3Config::WORD_EMBEDDINGS, config.hidden_size)?;
    for layer in 0..config.num_hidden_layers {
        let names = config.layer_names(layer);
        let normed = norm(builder, &names.attention_norm, &hidden)?;
        let [query, key, value] = builder.linear(&[&names.query, &names.key, &names.value], Input::Plain, &normed)?;
        let turned = |builder: &mut Builder<'_>, x: &Value, stem: &str, heads: usize| {
            let each = builder.graph.integers(&[-1, heads as i64, size as i64]);
            let each = builder.graph.node("Reshape", &[x, &each], &[]);
            let normed = norm(builder, stem, &each)?;
            let flat = flat(builder.graph, &normed, heads * size);
            Ok::<_, ModelError>(rotary.turn(builder, &flat, heads))
        };
        let query = turned(builder, &query, &names.query_norm, heads)?;
        let key = turned(builder, &key, &names.key_norm, groups)?;
        let [key, value] = [&key, &value].map(|x| repeated(builder, x, config));
        let (query, key, value, bias) = (&query, &key, &value, bias.as_ref());
        let attention = Attention { query, key, value, heads, size, bias, causal: true };
        let context = attention.append(builder.graph, builder.tokens);
        let [output] = builder.linear(&[&names.attention_output], Input::Plain, &context)?;
        hidden = builder.add(&hidden, &output);

        let normed = norm(builder, &names.feed_forward_norm, &hidden)?;
        let [gate, inner] = builder.linear(&[&names.gate, &names.intermediate], Input::Plain, &normed)?;
        let gate = builder.silu(&gate);
        let inner = builder.multiply(&gate, &inner);
        let [output] = builder.linear(&[&names.output], Input::Plain, &inner)?;
        hidden = builder.add(&hidden, &output);
    }
    norm(builder, Qwen3Config::FINAL_NORM, &hidden)
}

/// Each head of keys or values as often as heads of queries share it, `[tokens, heads · size]`.
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
    flat(builder.graph, &many, heads * size)
}
