//! Settings of the Transformer module: `sentence_bert_config.json`, which older versions named after the architecture.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::{ModelError, files};

/// Names of the file, in the order in which sentence-transformers looks for them. The first one is written.
pub(crate) const FILES: [&str; 7] = [
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
];

/// The module's settings, which add to the encoder's and the tokenizer's own files.
///
/// Source: `Transformer.load_config` and `_load_init_kwargs` in `sentence_transformers/base/modules/transformer.py`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct TransformerConfig {
    /// Name of the file that was found in the encoder's folder.
    pub(crate) file: Option<PathBuf>,
    pub(crate) max_seq_length: Option<usize>,
    /// Whether texts are converted to lower case, whatever the tokenizer does.
    pub(crate) do_lower_case: bool,
    /// Values that override those of `tokenizer_config.json`.
    pub(crate) tokenizer_args: Map<String, Value>,
    /// Values that override those of `config.json`.
    pub(crate) config_args: Map<String, Value>,
}

/// Arguments for loading weights that do not affect a computation in f32.
#[rustfmt::skip]
const MODEL_ARGS: [&str; 15] = [
    "add_pooling_layer", "attn_implementation", "cache_dir", "device_map", "dtype", "local_files_only",
    "low_cpu_mem_usage", "revision", "token", "torch_dtype", "trust_remote_code", "unpad_inputs", "use_auth_token",
    "use_memory_efficient_attention", "use_safetensors",
];

/// Arguments for finding files, which do not affect their content.
const HUB_ARGS: [&str; 7] =
    ["cache_dir", "force_download", "local_files_only", "revision", "token", "trust_remote_code", "use_auth_token"];

impl TransformerConfig {
    /// Reads the settings in the encoder's folder. Unknown keys are refused, as by sentence-transformers.
    pub(crate) fn read(folder: &Path) -> Result<Self, ModelError> {
        for name in FILES {
            let path = folder.join(name);
            let found: Option<Map<String, Value>> = files::read_optional_json(&path)?;
            // After an empty file, sentence-transformers looks for the next name.
            if let Some(settings) = found.filter(|settings| !settings.is_empty()) {
                let read = Self::parse(settings).map_err(|what| ModelError::content(&path, what))?;
                return Ok(Self { file: Some(name.into()), ..read });
            }
        }
        Ok(Self::default())
    }

    fn parse(settings: Map<String, Value>) -> Result<Self, String> {
        let mut read = Self::default();
        for (key, value) in settings.into_iter().filter(|(_, value)| !value.is_null()) {
            match key.as_str() {
                "max_seq_length" if value == 0 => return Err("max_seq_length is 0".into()),
                "max_seq_length" => read.max_seq_length = Some(parse_value(&key, value)?),
                "do_lower_case" => read.do_lower_case = parse_value(&key, value)?,
                "tokenizer_args" | "processor_kwargs" => {
                    read.tokenizer_args = without_hub_args(parse_value(&key, value)?)
                }
                "config_args" | "config_kwargs" => read.config_args = without_hub_args(parse_value(&key, value)?),
                "model_args" | "model_kwargs" => {
                    let args: Map<String, Value> = parse_value(&key, value)?;
                    if let Some((name, value)) = args.iter().find(|(name, _)| !MODEL_ARGS.contains(&name.as_str())) {
                        return Err(format!("{name} {value} of {key} is not supported"));
                    }
                }
                "modality_config" => check_modalities(&value)?,
                // Affects how texts are batched, not their vectors.
                "unpad_inputs" => {}
                "transformer_task" if value == "feature-extraction" => {}
                "module_output_name" if value == "token_embeddings" => {}
                "processing_kwargs" if value == json!({}) => {}
                _ => return Err(format!("{key} {value} is not supported")),
            }
        }
        Ok(read)
    }

    /// The settings in the form that most versions read, with this length.
    pub(crate) fn legacy(&self, max_seq_length: usize) -> Value {
        let mut settings = Map::new();
        settings.insert("max_seq_length".into(), max_seq_length.into());
        settings.insert("do_lower_case".into(), self.do_lower_case.into());
        let mut tokenizer_args = self.tokenizer_args.clone();
        // It would take precedence over the length above, which accounts for it already.
        tokenizer_args.remove("model_max_length");
        for (key, args) in [("tokenizer_args", &tokenizer_args), ("config_args", &self.config_args)] {
            if !args.is_empty() {
                settings.insert(key.into(), args.clone().into());
            }
        }
        settings.into()
    }
}

fn parse_value<T: serde::de::DeserializeOwned>(key: &str, value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| format!("{key}: {error}"))
}

fn without_hub_args(mut args: Map<String, Value>) -> Map<String, Value> {
    args.retain(|name, _| !HUB_ARGS.contains(&name.as_str()));
    args
}

/// Refuses everything but plain text with its last hidden states.
fn check_modalities(value: &Value) -> Result<(), String> {
    let text = json!({"text": {"method": "forward", "method_output_name": "last_hidden_state"}});
    if *value == text {
        return Ok(());
    }
    Err(format!("modality_config {value} is not supported (supported: {text})"))
}
