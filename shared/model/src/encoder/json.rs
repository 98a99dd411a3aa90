//! What all families' `config.json` have in common.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::Activation;

/// More layers than any encoder has: a damaged file must not make embtune list the tensors of billions.
const MAX_LAYERS: usize = 1000;

/// Why a configuration was refused.
pub(crate) enum Refusal {
    /// The file does not hold what its family writes.
    Content(String),
    /// It says something that embtune does not compute.
    Unsupported(String),
}

pub(super) fn parse<T: DeserializeOwned>(json: &Value) -> Result<T, Refusal> {
    T::deserialize(json).map_err(|error| Refusal::Content(error.to_string()))
}

pub(super) fn activation(key: &str, name: &str) -> Result<Activation, Refusal> {
    match name {
        "gelu" => Ok(Activation::Gelu),
        "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Ok(Activation::GeluTanh),
        "relu" => Ok(Activation::Relu),
        other => {
            Err(Refusal::Unsupported(format!("{key} \"{other}\" is not supported (supported: gelu, gelu_new, relu)")))
        }
    }
}

/// Keys of any family that cannot change a text's vector, whatever they say: where a file comes from, how weights began,
/// how other heads work, how text is generated, in what type numbers are stored, and what training does. transformers'
/// notes to itself, which begin with an underscore, have no effect either.
const WITHOUT_EFFECT: [&str; 72] = [
    "adapters",
    "architectures",
    "attn_implementation",
    "bad_words_ids",
    "begin_suppress_tokens",
    "bos_token_id",
    "chunk_size_feed_forward",
    "classifier_dropout",
    "cls_token_id",
    "decoder_start_token_id",
    "directionality",
    "diversity_penalty",
    "do_sample",
    "dtype",
    "early_stopping",
    "encoder_no_repeat_ngram_size",
    "eos_token_id",
    "exponential_decay_length_penalty",
    "finetuning_task",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "gradient_checkpointing",
    "id2label",
    "initializer_range",
    "label2id",
    "language",
    "length_penalty",
    "max_length",
    "min_length",
    "model_type",
    "name",
    "name_or_path",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_labels",
    "num_return_sequences",
    "output_attentions",
    "output_hidden_states",
    "output_past",
    "output_scores",
    "pooler_fc_size",
    "pooler_num_attention_heads",
    "pooler_num_fc_layers",
    "pooler_size_per_head",
    "pooler_type",
    "prefix",
    "problem_type",
    "remove_invalid_values",
    "repetition_penalty",
    "return_dict",
    "return_dict_in_generate",
    "sentence_transformers",
    "sep_token_id",
    "suppress_tokens",
    "task_specific_params",
    "temperature",
    "tf_legacy_loss",
    "tie_encoder_decoder",
    "tie_weights_",
    "tie_word_embeddings",
    "tokenizer_class",
    "top_k",
    "top_p",
    "torch_dtype",
    "torchscript",
    "transformers.js_config",
    "transformers_version",
    "typical_p",
    "use_bfloat16",
    "use_cache",
    "xla_device",
];

/// Keys that matter to every family, with the only value that embtune computes.
fn fixed_everywhere() -> [(&'static str, Value); 5] {
    [
        ("add_cross_attention", json!(false)),
        ("cross_attention_hidden_size", json!(null)),
        ("is_decoder", json!(false)),
        ("is_encoder_decoder", json!(false)),
        ("pruned_heads", json!({})),
    ]
}

/// What a family has to say of keys that its structure does not hold.
pub(super) struct OtherKeys<'a> {
    /// Keys that matter, with the only value that embtune computes.
    pub(super) fixed: &'a [(&'a str, Value)],
    /// Keys without effect on a text's vector, beside those of every family.
    pub(super) without_effect: &'a [&'a str],
}

impl OtherKeys<'_> {
    /// Refuses a key that is not known: nobody can tell whether the vectors depend on it. Without a value it cannot
    /// say anything.
    pub(super) fn check(&self, rest: &Map<String, Value>) -> Result<(), Refusal> {
        let common = fixed_everywhere();
        let says_something = |(key, value): &(&String, &Value)| !value.is_null() && !key.starts_with('_');
        for (key, found) in rest.iter().filter(says_something) {
            if self.without_effect.contains(&key.as_str()) || WITHOUT_EFFECT.contains(&key.as_str()) {
                continue;
            }
            match self.fixed.iter().chain(&common).find(|(fixed, _)| fixed == key) {
                Some((_, expected)) if is_same(found, expected) => {}
                Some((_, expected)) => {
                    return Err(Refusal::Unsupported(format!(
                        "{key} {found} is not supported (supported: {expected})"
                    )));
                }
                None => {
                    return Err(Refusal::Unsupported(format!(
                        "{key} {found} of config.json is not known for this architecture"
                    )));
                }
            }
        }
        Ok(())
    }
}

/// Equal values; 1 and 1.0 are.
fn is_same(found: &Value, expected: &Value) -> bool {
    found == expected || (found.is_number() && found.as_f64() == expected.as_f64())
}

/// Refuses sizes that no forward pass can have.
pub(super) fn check_sizes(hidden: usize, layers: usize, max_length: usize) -> Result<(), Refusal> {
    if layers > MAX_LAYERS {
        return Err(Refusal::Unsupported(format!("{layers} layers are not supported (at most {MAX_LAYERS})")));
    }
    for (size, what) in [(hidden, "hidden states without elements"), (max_length, "no positions")] {
        if size == 0 {
            return Err(Refusal::Unsupported(format!("has {what}")));
        }
    }
    Ok(())
}

/// Elements of each of some heads that share the hidden states equally.
pub(super) fn head_size(hidden: usize, heads: usize) -> Result<usize, Refusal> {
    if hidden.checked_rem(heads) == Some(0) {
        return Ok(hidden / heads);
    }
    Err(Refusal::Unsupported(format!("hidden_size {hidden} does not divide into {heads} attention heads")))
}
