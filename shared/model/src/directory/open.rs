//! Reading a directory.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{AnyModelDir, Description, ModelDir};
use crate::encoder::Refusal;
use crate::modules::{Head, Modules};
use crate::settings::Settings;
use crate::tokenizer::TokenizerSpec;
use crate::transformer::TransformerConfig;
use crate::{AnyEncoder, EncoderConfig, ModelError, OnnxEncoder, json};

const CONFIG: &str = "config.json";

/// What a low-rank adapter says about itself; the weights that it changes lie elsewhere.
const ADAPTER: &str = "adapter_config.json";

/// Weights, the form that is preferred first.
pub(crate) const WEIGHTS: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];

/// Lists of several files that hold the weights together.
const SHARDED: [&str; 2] = ["model.safetensors.index.json", "pytorch_model.bin.index.json"];

impl ModelDir {
    /// Reads the configuration of a directory whose encoder embtune knows; weights and tokenizer are only looked for.
    ///
    /// # Errors
    /// A file that is missing or damaged, a model that embtune does not know.
    pub fn open(root: &Path) -> Result<Self, ModelError> {
        let model = AnyModelDir::open_any(root)?;
        match model.encoder() {
            AnyEncoder::Known(config) => Ok(model.with_encoder(config.clone())),
            AnyEncoder::Onnx(file) => Err(ModelError::Unsupported {
                directory: root.display().to_string(),
                what: format!("{}\nhint: only embed runs such a model, through its {}", file.why, file.name()),
            }),
        }
    }
}

impl AnyModelDir {
    /// Reads a directory's configuration; weights are only looked for. An encoder that embtune does not know, or whose
    /// weights it cannot read, is the directory's ONNX file, if there is one.
    ///
    /// # Errors
    /// A file that is missing or damaged, a model that embtune can neither compute nor run.
    pub fn open_any(root: &Path) -> Result<Self, ModelError> {
        if !root.is_dir() {
            return Err(ModelError::content(root, "no such model directory"));
        }
        let modules = Modules::read(root)?;
        let place = modules.as_ref().map_or(Ok(PathBuf::new()), |modules| modules.encoder_folder(root))?;
        let folder = root.join(&place);
        refuse_adapter(&folder)?;
        let config_file = folder.join(CONFIG);
        let mut config: Map<String, Value> = json::read(&config_file)?;
        let transformer = TransformerConfig::read(&folder)?;
        config.extend(transformer.config_args.clone());
        let config = Value::Object(config);
        let encoder = match EncoderConfig::from_json(&config) {
            Ok(known) => find_weights(root, &place).map(|weights| (AnyEncoder::Known(known), vec![weights])),
            Err(Refusal::Content(what)) => return Err(ModelError::content(&config_file, what)),
            Err(Refusal::Unsupported(what)) => {
                Err(ModelError::Unsupported { directory: root.display().to_string(), what })
            }
        };
        let (encoder, weights) = match encoder {
            Ok(known) => known,
            Err(error) => {
                let onnx = OnnxEncoder::find(&folder, &config, error)?;
                let files = onnx.files.into_iter().map(|file| place.join(file)).collect();
                (AnyEncoder::Onnx(onnx.encoder), files)
            }
        };
        let tokenizer = TokenizerSpec::read(&folder, &config, &transformer)?;
        let settings = Settings::read(root)?;
        // Of a file only the modules know what it gives.
        let hidden_size = match &encoder {
            AnyEncoder::Known(config) => Some(config.hidden_size()),
            AnyEncoder::Onnx(_) => None,
        };
        let head = match &modules {
            Some(modules) => modules.head(root, hidden_size)?,
            None => Head::guess(root, &config)?,
        };
        let dense_weights: Result<_, ModelError> =
            head.dense.iter().map(|dense| find_weights(root, &dense.path)).collect();
        // The tokenizer's argument outranks the module's own length, which outranks the tokenizer's file.
        let limit = match transformer.max_seq_length {
            Some(length) if !transformer.tokenizer_args.contains_key("model_max_length") => Some(length),
            _ => tokenizer.max_length,
        };
        let most = encoder.max_length();
        let description = Description {
            root: root.to_owned(),
            place,
            dense_weights: dense_weights?,
            max_seq_length: limit.unwrap_or(usize::MAX).min(most),
            has_modules: modules.is_some(),
            head,
            settings,
            transformer,
            tokenizer,
            weights,
        };
        Ok(Self { encoder, description })
    }
}

/// Refuses a directory whose weights are those of another model, changed by an adapter.
fn refuse_adapter(folder: &Path) -> Result<(), ModelError> {
    let file = folder.join(ADAPTER);
    let Some(adapter) = json::read_optional::<Value>(&file)? else { return Ok(()) };
    let base = adapter.get("base_model_name_or_path").and_then(Value::as_str).unwrap_or("a base model");
    Err(ModelError::content(
        &file,
        format!(
            "is an adapter for {base}, not a whole model\nhint: merge it (peft: merge_and_unload) and save the model"
        ),
    ))
}

/// The weights in a folder of the directory, relative to its root.
fn find_weights(root: &Path, folder: &Path) -> Result<PathBuf, ModelError> {
    let there = |name: &&&str| root.join(folder).join(name).exists();
    if let Some(name) = WEIGHTS.iter().find(there) {
        return Ok(folder.join(name));
    }
    if let Some(name) = SHARDED.iter().find(there) {
        return Err(ModelError::content(
            &root.join(folder).join(name),
            "weights in several files are not supported\nhint: load the model with sentence-transformers and save it again",
        ));
    }
    let [safetensors, checkpoint] = WEIGHTS;
    let what = format!("No such file, and no {checkpoint} beside it");
    Err(ModelError::content(&root.join(folder).join(safetensors), what))
}
