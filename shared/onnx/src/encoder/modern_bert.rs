//! ModernBERT: pre-norm layers with rotary positions and gated feed-forward parts; most layers attend to a window only.
//!
//! Source of the formulas: `transformers/models/modernbert/modeling_modernbert.py`.

use embtune_model::{ModelError, ModernBertConfig};

use crate::activation;
use crate::encoder::attention::{Attention, padding_bias};
use crate::encoder::builder::Builder;
use crate::encoder::int8::InputRange;
use crate::encoder::rotary::Rotary;
use crate::encoder::window::Windows;
use crate::graph::Value;

/// Appends the encoder; the result is `[tokens, hidden]`, where padding counts as tokens.
pub(super) fn append(builder: &mut Builder<'_>, config: &ModernBertConfig) -> Result<Value, ModelError> {
    let heads = config.num_attention_heads;
    let size = config.hidden_size / heads;
    let global_rotary = Rotary::new(builder, config.global_rope_theta, size);
    let local_rotary = Rotary::new(builder, config.local_rope_theta, size);
    let windows = Windows::new(builder, config.window);
    let padding = padding_bias(builder.graph, builder.tokens);
    let norm = |builder: &mut Builder<'_>, stem: &str, x: &Value| builder.layer_norm(stem, false, config.norm_eps, x);

    let words = builder.word_embeddings(ModernBertConfig::WORD_EMBEDDINGS, config.hidden_size)?;
    let mut hidden = norm(builder, ModernBertConfig::EMBEDDINGS_NORM, &words)?;
    for (layer, is_global) in config.is_global.iter().enumerate() {
        let names = config.layer_names(layer);
        let normed = match &names.attention_norm {
            None => hidden.clone(),
            Some(stem) => norm(builder, stem, &hidden)?,
        };
        let [qkv] = builder.linear(&[&names.query_key_value], InputRange::Unknown, &normed)?;
        let [query, key, value]: [Value; 3] = builder.split(&qkv);
        let rotary = if *is_global { &global_rotary } else { &local_rotary };
        let (query, key) = (rotary.rotate(builder, &query, heads), rotary.rotate(builder, &key, heads));
        let context = if *is_global {
            let (query, key, value, bias) = (&query, &key, &value, padding.as_ref());
            Attention { query, key, value, heads, size, bias, causal: false }.append(builder.graph, builder.tokens)
        } else {
            windows.attention(builder, [&query, &key, &value], heads, size)
        };
        let [output] = builder.linear(&[&names.attention_output], InputRange::Unknown, &context)?;
        hidden = builder.add(&hidden, &output);

        let normed = norm(builder, &names.feed_forward_norm, &hidden)?;
        let [inner] = builder.linear(&[&names.intermediate], InputRange::Unknown, &normed)?;
        let [inner, gate]: [Value; 2] = builder.split(&inner);
        let inner = activation::append(builder.graph, config.hidden_activation, &inner);
        let inner = builder.multiply(&inner, &gate);
        let [output] = builder.linear(&[&names.output], InputRange::Unknown, &inner)?;
        hidden = builder.add(&hidden, &output);
    }
    norm(builder, ModernBertConfig::FINAL_NORM, &hidden)
}
