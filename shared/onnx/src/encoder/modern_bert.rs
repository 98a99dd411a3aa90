//! ModernBERT: layers with the norm before, rotary positions, gates, and windows in most layers.
//!
//! Source of the formulas: `transformers/models/modernbert/modeling_modernbert.py`.

use embtune_model::{ModelError, ModernBertConfig};

use crate::activation;
use crate::encoder::attention::Attention;
use crate::encoder::builder::Builder;
use crate::encoder::int8::Input;
use crate::encoder::mask;
use crate::encoder::rotary::Rotary;
use crate::encoder::window::Windows;
use crate::graph::Value;

/// Appends the encoder; the result is `[tokens, hidden]`, where padding counts among the tokens.
pub(super) fn append(builder: &mut Builder<'_>, config: &ModernBertConfig) -> Result<Value, ModelError> {
    let heads = config.num_attention_heads;
    let size = config.hidden_size / heads;
    let whole = Rotary::new(builder, config.global_rope_theta, size);
    let local = Rotary::new(builder, config.local_rope_theta, size);
    let windows = Windows::new(builder, config.window);
    let padding = mask::padding(builder.graph, builder.tokens);
    let norm = |builder: &mut Builder<'_>, stem: &str, x: &Value| builder.layer_norm(stem, false, config.norm_eps, x);

    let words = builder.words(ModernBertConfig::WORD_EMBEDDINGS, config.hidden_size)?;
    let mut hidden = norm(builder, ModernBertConfig::EMBEDDINGS_NORM, &words)?;
    for (layer, is_global) in config.is_global.iter().enumerate() {
        let names = config.layer_names(layer);
        let normed = match &names.attention_norm {
            None => hidden.clone(),
            Some(stem) => norm(builder, stem, &hidden)?,
        };
        let [qkv] = builder.linear(&[&names.query_key_value], Input::Plain, &normed)?;
        let [query, key, value]: [Value; 3] = builder.split(&qkv);
        let rotary = if *is_global { &whole } else { &local };
        let (query, key) = (rotary.turn(builder, &query, heads), rotary.turn(builder, &key, heads));
        let context = if *is_global {
            let (query, key, value, bias) = (&query, &key, &value, padding.as_ref());
            Attention { query, key, value, heads, size, bias, causal: false }.append(builder.graph, builder.tokens)
        } else {
            windows.attention(builder, [&query, &key, &value], heads, size)
        };
        let [output] = builder.linear(&[&names.attention_output], Input::Plain, &context)?;
        hidden = builder.add(&hidden, &output);

        let normed = norm(builder, &names.feed_forward_norm, &hidden)?;
        let [inner] = builder.linear(&[&names.intermediate], Input::Plain, &normed)?;
        let [inner, gate]: [Value; 2] = builder.split(&inner);
        let inner = activation::append(builder.graph, config.hidden_activation, &inner);
        let inner = builder.multiply(&inner, &gate);
        let [output] = builder.linear(&[&names.output], Input::Plain, &inner)?;
        hidden = builder.add(&hidden, &output);
    }
    norm(builder, ModernBertConfig::FINAL_NORM, &hidden)
}
