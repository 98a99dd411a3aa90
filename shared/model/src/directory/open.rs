//! Reading a directory.

use std::path::{Path, PathBuf};

use embtune_encoders::{ConfigError, Encoder};
use serde_json::{Map, Value};

use super::{AnyModelDir, Description, ModelDir};
use crate::onnx_encoder::{AnyEncoder, OnnxEncoder};
use crate::modules::{Head, Modules};
use crate::sentence_config::SentenceConfig;
use crate::tokenizer::TokenizerSpec;
use crate::transformer_config::TransformerConfig;
use crate::{ModelError, files};

const CONFIG: &str = "config.json";

/// The configuration of a low-rank adapter, whose directory does not contain the base model.
const ADAPTER: &str = "adapter_config.json";

/// Names of the weights, in order of preference.
pub(crate) const WEIGHTS: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];

/// Indices of weights that are split into several files.
const SHARDED: [&str; 2] = ["model.safetensors.index.json", "pytorch_model.bin.index.json"];

impl ModelDir {
    /// Reads the configuration of a directory whose encoder embtune computes itself. Weights are not read yet.
    ///
    /// # Errors
    /// A file is missing or damaged, or embtune does not support the model.
    pub fn open(root: &Path) -> Result<Self, ModelError> {
        let model = AnyModelDir::open_any(root)?;
        match model.encoder() {
            AnyEncoder::Native(encoder) => Ok(model.with_encoder(encoder.clone())),
            AnyEncoder::Onnx(file) => Err(ModelError::Unsupported {
                directory: root.display().to_string(),
                what: format!("{}\nhint: only embed runs such a model, through its {}", file.reason, file.name()),
            }),
        }
    }
}

impl AnyModelDir {
    /// Reads a directory's configuration. Weights are not read yet. If embtune does not support the architecture, or
    /// cannot read the weights, the encoder is the directory's ONNX file.
    ///
    /// # Errors
    /// A file is missing or damaged, or embtune neither supports the model nor finds an ONNX file.
    pub fn open_any(root: &Path) -> Result<Self, ModelError> {
        if !root.is_dir() {
            return Err(ModelError::content(root, "no such model directory"));
        }
        let modules = Modules::read(root)?;
        let encoder_folder = modules.as_ref().map_or(Ok(PathBuf::new()), |modules| modules.encoder_folder(root))?;
        let folder = root.join(&encoder_folder);
        refuse_adapter(&folder)?;
        let config_file = folder.join(CONFIG);
        let mut config: Map<String, Value> = files::read_json(&config_file)?;
        let transformer = TransformerConfig::read(&folder)?;
        config.extend(transformer.config_args.clone());
        let config = Value::Object(config);
        let encoder = match Encoder::from_json(&config) {
            Ok(encoder) => {
                find_weights(root, &encoder_folder).map(|weights| (AnyEncoder::Native(encoder), vec![weights]))
            }
            Err(ConfigError::Invalid(what)) => return Err(ModelError::content(&config_file, what)),
            Err(ConfigError::Unsupported(what)) => {
                Err(ModelError::Unsupported { directory: root.display().to_string(), what })
            }
        };
        let (encoder, weights) = match encoder {
            Ok(native) => native,
            Err(error) => {
                let onnx = OnnxEncoder::find(&folder, &config, error)?;
                let files = onnx.files.into_iter().map(|file| encoder_folder.join(file)).collect();
                (AnyEncoder::Onnx(onnx.encoder), files)
            }
        };
        let tokenizer = TokenizerSpec::read(&folder, &config, &transformer)?;
        let sentence_config = SentenceConfig::read(root)?;
        // The size of an ONNX file's output is declared by the modules alone.
        let hidden_size = match &encoder {
            AnyEncoder::Native(encoder) => Some(encoder.config().hidden_size),
            AnyEncoder::Onnx(_) => None,
        };
        let head = match &modules {
            Some(modules) => modules.head(root, hidden_size)?,
            None => Head::guess(root, &config)?,
        };
        let dense_weights: Result<_, ModelError> =
            head.dense.iter().map(|dense| find_weights(root, &dense.path)).collect();
        // The tokenizer's argument takes precedence over the module's own length, and that over the tokenizer's file.
        let limit = match transformer.max_seq_length {
            Some(length) if !transformer.tokenizer_args.contains_key("model_max_length") => Some(length),
            _ => tokenizer.max_length,
        };
        let positions = encoder.max_length();
        let description = Description {
            root: root.to_owned(),
            encoder_folder,
            dense_weights: dense_weights?,
            max_seq_length: limit.unwrap_or(usize::MAX).min(positions),
            has_modules: modules.is_some(),
            head,
            sentence_config,
            transformer,
            tokenizer,
            weights,
        };
        Ok(Self { encoder, description })
    }
}

/// Refuses the directory of an adapter, which changes the weights of a model in another directory.
fn refuse_adapter(folder: &Path) -> Result<(), ModelError> {
    let file = folder.join(ADAPTER);
    let Some(adapter) = files::read_optional_json::<Value>(&file)? else { return Ok(()) };
    let base = adapter.get("base_model_name_or_path").and_then(Value::as_str).unwrap_or("a base model");
    Err(ModelError::content(
        &file,
        format!(
            "is an adapter for {base}, not a whole model\nhint: merge it (peft: merge_and_unload) and save the model"
        ),
    ))
}

/// Finds the weights in a folder of the directory; the path is relative to the root.
fn find_weights(root: &Path, folder: &Path) -> Result<PathBuf, ModelError> {
    let exists = |name: &&&str| root.join(folder).join(name).exists();
    if let Some(name) = WEIGHTS.iter().find(exists) {
        return Ok(folder.join(name));
    }
    if let Some(name) = SHARDED.iter().find(exists) {
        return Err(ModelError::content(
            &root.join(folder).join(name),
            "weights in several files are not supported\nhint: load the model with sentence-transformers and save it again",
        ));
    }
    let [safetensors, checkpoint] = WEIGHTS;
    let what = format!("No such file, and no {checkpoint} beside it");
    Err(ModelError::content(&root.join(folder).join(safetensors), what))
}
