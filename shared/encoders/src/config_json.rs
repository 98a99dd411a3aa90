//! The fields that the `config.json` of all families have in common.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::activation::Activation;
use crate::ops::Rotary;

/// More layers than any encoder has. A damaged file must not make embtune list the tensors of billions of layers.
const MAX_LAYERS: usize = 1000;

/// Why a `config.json` cannot be used.
#[derive(Debug)]
pub enum ConfigError {
    /// A value is missing, or has another type or range than its family writes.
    Invalid(String),
    /// A value asks for something that embtune does not compute.
    Unsupported(String),
}

pub(crate) fn parse<T: DeserializeOwned>(json: &Value) -> Result<T, ConfigError> {
    T::deserialize(json).map_err(|error| ConfigError::Invalid(error.to_string()))
}

impl Activation {
    /// The function that the key `key` of a `config.json` names.
    pub(crate) fn parse(key: &str, name: &str) -> Result<Self, ConfigError> {
        match name {
            "gelu" => Ok(Self::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Ok(Self::GeluTanh),
            "relu" => Ok(Self::Relu),
            "silu" | "swish" => Ok(Self::Silu),
            other => {
                let what = format!("{key} \"{other}\" is not supported (supported: gelu, gelu_new, relu, silu)");
                Err(ConfigError::Unsupported(what))
            }
        }
    }
}

/// Keys of all families that never affect a text's vector: the origin of a file, the initialisation of weights, other
/// heads, the generation of text, the type of stored numbers, and training. Keys that begin with an underscore are
/// internal to transformers and have no effect either.
#[rustfmt::skip]
const WITHOUT_EFFECT: [&str; 72] = [
    "adapters", "architectures", "attn_implementation", "bad_words_ids", "begin_suppress_tokens", "bos_token_id",
    "chunk_size_feed_forward", "classifier_dropout", "cls_token_id", "decoder_start_token_id", "directionality",
    "diversity_penalty", "do_sample", "dtype", "early_stopping", "encoder_no_repeat_ngram_size", "eos_token_id",
    "exponential_decay_length_penalty", "finetuning_task", "forced_bos_token_id", "forced_eos_token_id",
    "gradient_checkpointing", "id2label", "initializer_range", "label2id", "language", "length_penalty", "max_length",
    "min_length", "model_type", "name", "name_or_path", "no_repeat_ngram_size", "num_beam_groups", "num_beams",
    "num_labels", "num_return_sequences", "output_attentions", "output_hidden_states", "output_past", "output_scores",
    "pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers", "pooler_size_per_head", "pooler_type",
    "prefix", "problem_type", "remove_invalid_values", "repetition_penalty", "return_dict", "return_dict_in_generate",
    "sentence_transformers", "sep_token_id", "suppress_tokens", "task_specific_params", "temperature", "tf_legacy_loss",
    "tie_encoder_decoder", "tie_weights_", "tie_word_embeddings", "tokenizer_class", "top_k", "top_p", "torch_dtype",
    "torchscript", "transformers.js_config", "transformers_version", "typical_p", "use_bfloat16", "use_cache",
    "xla_device",
];

/// Keys that matter in every family, with the only value that embtune supports.
fn fixed_in_all_families() -> [(&'static str, Value); 5] {
    [
        ("add_cross_attention", json!(false)),
        ("cross_attention_hidden_size", json!(null)),
        ("is_decoder", json!(false)),
        ("is_encoder_decoder", json!(false)),
        ("pruned_heads", json!({})),
    ]
}

/// How a family treats the keys that its structure does not read.
pub(crate) struct OtherKeys<'a> {
    /// Keys that matter, with the only value that embtune supports.
    pub(crate) fixed: &'a [(&'a str, Value)],
    /// Keys without effect on a text's vector, in addition to those of all families.
    pub(crate) without_effect: &'a [&'a str],
}

impl OtherKeys<'_> {
    /// Refuses unknown keys, on which the vectors may depend. A key that is null has no effect.
    pub(crate) fn check(&self, rest: &Map<String, Value>) -> Result<(), ConfigError> {
        let common = fixed_in_all_families();
        let has_value = |(key, value): &(&String, &Value)| !value.is_null() && !key.starts_with('_');
        for (key, found) in rest.iter().filter(has_value) {
            if self.without_effect.contains(&key.as_str()) || WITHOUT_EFFECT.contains(&key.as_str()) {
                continue;
            }
            match self.fixed.iter().chain(&common).find(|(fixed, _)| fixed == key) {
                Some((_, expected)) if is_equal(found, expected) => {}
                Some((_, expected)) => {
                    return Err(ConfigError::Unsupported(format!(
                        "{key} {found} is not supported (supported: {expected})"
                    )));
                }
                None => {
                    return Err(ConfigError::Unsupported(format!(
                        "{key} {found} of config.json is unknown for this architecture"
                    )));
                }
            }
        }
        Ok(())
    }
}

/// Compares values; 1 equals 1.0.
fn is_equal(found: &Value, expected: &Value) -> bool {
    found == expected || (found.is_number() && found.as_f64() == expected.as_f64())
}

/// Refuses sizes that are impossible for a forward pass.
pub(crate) fn check_sizes(hidden: usize, layers: usize, max_length: usize) -> Result<(), ConfigError> {
    if layers > MAX_LAYERS {
        return Err(ConfigError::Unsupported(format!("{layers} layers are not supported (at most {MAX_LAYERS})")));
    }
    for (size, what) in [(hidden, "hidden states without elements"), (max_length, "no positions")] {
        if size == 0 {
            return Err(ConfigError::Unsupported(format!("has {what}")));
        }
    }
    Ok(())
}

/// Number of elements of an attention head, where heads divide the hidden state equally.
pub(crate) fn head_size(hidden: usize, heads: usize) -> Result<usize, ConfigError> {
    if hidden.checked_rem(heads) == Some(0) {
        return Ok(hidden / heads);
    }
    Err(ConfigError::Unsupported(format!("hidden_size {hidden} does not divide into {heads} attention heads")))
}

/// `rope_parameters` of transformers 5, or `rope_scaling` of the versions before it.
#[derive(Deserialize, Default)]
pub(crate) struct RawRope {
    rope_theta: Option<f64>,
    rope_type: Option<String>,
    /// The older name of `rope_type`.
    r#type: Option<String>,
    partial_rotary_factor: Option<f64>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Keys that only other types than `default` read.
const KEYS_OF_OTHER_TYPES: [&str; 2] = ["factor", "original_max_position_embeddings"];

/// The types of a layer that sees the whole text, and of one that sees a window.
pub(crate) const FULL_ATTENTION: &str = "full_attention";
pub(crate) const SLIDING_ATTENTION: &str = "sliding_attention";

/// For each of the layers, whether its type is [`FULL_ATTENTION`] rather than [`SLIDING_ATTENTION`].
pub(crate) fn are_full(layers: usize, types: Vec<String>) -> Result<Vec<bool>, ConfigError> {
    if types.len() != layers {
        return Err(ConfigError::Invalid(format!("layer_types has {} entries for {layers} layers", types.len())));
    }
    let is_full = |kind: String| match kind.as_str() {
        FULL_ATTENTION => Ok(true),
        SLIDING_ATTENTION => Ok(false),
        _ => {
            let supported = format!("{FULL_ATTENTION}, {SLIDING_ATTENTION}");
            let what = format!("layer type \"{kind}\" is not supported (supported: {supported})");
            Err(ConfigError::Unsupported(what))
        }
    };
    types.into_iter().map(is_full).collect()
}

/// Refuses heads that cannot share the heads of keys and values equally.
pub(crate) fn check_key_value_heads(heads: usize, key_value_heads: usize) -> Result<(), ConfigError> {
    if heads > 0 && heads.checked_rem(key_value_heads) == Some(0) {
        return Ok(());
    }
    let what = format!("{heads} attention heads do not divide into {key_value_heads} of keys and values");
    Err(ConfigError::Unsupported(what))
}

impl RawRope {
    /// The rotary positions for heads of this size; `top_level` is θ outside this object. The type `ntk` multiplies θ by
    /// the factor s, and divides all frequencies by `s^(2/d)`.
    pub(crate) fn with_ntk(
        mut self,
        top_level: Option<f64>,
        default: f64,
        head_size: usize,
    ) -> Result<Rotary, ConfigError> {
        if self.rope_type.as_deref().or(self.r#type.as_deref()) != Some("ntk") {
            return Ok(Rotary { theta: self.theta(top_level, default)?, scale: 1.0 });
        }
        (self.rope_type, self.r#type) = (None, None);
        let Some(factor) = self.rest.get("factor").and_then(Value::as_f64).filter(|factor| *factor >= 1.0) else {
            return Err(ConfigError::Invalid("rope_scaling of the type ntk needs a factor of at least 1".into()));
        };
        let theta = self.theta(top_level, default)? * factor;
        if !theta.is_finite() {
            return Err(ConfigError::Invalid(format!("rope_scaling's factor {factor} is too large")));
        }
        Ok(Rotary { theta, scale: factor.powf(-2.0 / head_size as f64) })
    }

    /// The base θ of the frequencies `θ^(−2i/d)`; `top_level` is its value outside this object.
    pub(crate) fn theta(self, top_level: Option<f64>, default: f64) -> Result<f64, ConfigError> {
        if let Some(kind) = self.rope_type.or(self.r#type).filter(|kind| kind != "default") {
            return Err(ConfigError::Unsupported(format!(
                "rope_type \"{kind}\" is not supported (supported: default)"
            )));
        }
        if let Some(factor) = self.partial_rotary_factor.filter(|factor| *factor != 1.0) {
            let what = format!("partial_rotary_factor {factor} is not supported (supported: 1)");
            return Err(ConfigError::Unsupported(what));
        }
        let is_unknown = |key: &&String| !KEYS_OF_OTHER_TYPES.contains(&key.as_str());
        if let Some(key) = self.rest.keys().filter(|key| !self.rest[*key].is_null()).find(is_unknown) {
            return Err(ConfigError::Unsupported(format!("{key} of the rotary positions is unknown")));
        }
        let theta = self.rope_theta.or(top_level).unwrap_or(default);
        if theta.is_finite() && theta > 0.0 {
            return Ok(theta);
        }
        Err(ConfigError::Invalid(format!("rope_theta must be a positive number, found {theta}")))
    }
}

/// Refuses heads with an odd number of elements: rotary positions rotate pairs.
pub(crate) fn check_rotary_head_size(size: usize) -> Result<(), ConfigError> {
    if size > 0 && size.is_multiple_of(2) {
        return Ok(());
    }
    Err(ConfigError::Unsupported(format!("attention heads of {size} elements are not supported with rotary positions")))
}
