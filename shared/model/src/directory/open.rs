//! Reading a directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use embtune_encoders::{ConfigError, Encoder};
use serde_json::{Map, Value};

use super::{AnyModelDir, Description, Folders, Merging, ModelDir};
use crate::adapter::{self, Adapter};
use crate::modules::{Head, Modules};
use crate::onnx_encoder::{AnyEncoder, OnnxEncoder};
use crate::sentence_config::SentenceConfig;
use crate::tensor_files::WeightFiles;
use crate::tokenizer::{self, TokenizerSpec};
use crate::transformer_config::TransformerConfig;
use crate::{ModelError, files, snapshot};

const CONFIG: &str = "config.json";

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
        let folder = module_folder(modules.as_ref())?;
        match Adapter::read(&root.join(&folder))? {
            None => Self::read(
                root,
                modules,
                Folders { settings: folder.clone(), encoder: folder.clone(), tokenizer: folder },
            ),
            Some(adapter) => Self::open_adapter(root, modules, folder, adapter),
        }
    }

    /// Reads the directory of an adapter, in whose folder `own` is the adapter itself. Its encoder is that of its base;
    /// so are its tokenizer, unless the adapter has one, and its modules and prompts, unless it has a `modules.json`.
    fn open_adapter(root: &Path, modules: Option<Modules>, own: PathBuf, adapter: Adapter) -> Result<Self, ModelError> {
        let file = root.join(&own).join(adapter::CONFIG);
        let Some(base) = snapshot::find(&adapter.base) else {
            let what = format!(
                "base_model_name_or_path \"{}\" is neither a directory nor in the Hugging Face cache",
                adapter.base
            );
            return Err(ModelError::content(&file, what));
        };
        let base_modules = Modules::read(&base)?;
        let base_folder = module_folder(base_modules.as_ref())?;
        let encoder = absolute(&base.join(&base_folder))?;
        if Adapter::read(&encoder)?.is_some() {
            return Err(ModelError::content(&file, format!("its base {} is an adapter itself", base.display())));
        }
        let own_tokenizer = absolute(&root.join(&own))?;
        let tokenizer = if own_tokenizer.join(tokenizer::FILE).exists() { own_tokenizer } else { encoder.clone() };
        let mut model = match modules {
            Some(_) => Self::read(root, modules, Folders { settings: own, encoder, tokenizer })?,
            None => Self::read(
                &base,
                base_modules,
                Folders { settings: base_folder.clone(), encoder: base_folder, tokenizer },
            )?,
        };
        if let AnyEncoder::Onnx(onnx) = &model.encoder {
            return Err(ModelError::content(&file, format!("its base cannot be changed: {}", onnx.reason)));
        }
        model.description.adapter = Some(Merging { adapter, merged: Arc::default() });
        Ok(model)
    }

    fn read(root: &Path, modules: Option<Modules>, folders: Folders) -> Result<Self, ModelError> {
        let encoder_folder = &folders.encoder;
        let folder = root.join(encoder_folder);
        let config_file = folder.join(CONFIG);
        let mut config: Map<String, Value> = files::read_json(&config_file)?;
        let transformer = TransformerConfig::read(&root.join(&folders.settings))?;
        config.extend(transformer.config_args.clone());
        let config = Value::Object(config);
        let encoder = match Encoder::from_json(&config) {
            Err(_) if config.get("model_type").is_none_or(Value::is_null) => Err(no_model_type(&config_file, &config)),
            Ok(encoder) => {
                WeightFiles::find(root, encoder_folder).map(|weights| (AnyEncoder::Native(encoder), weights))
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
                let files = onnx.files.into_iter().map(|file| encoder_folder.join(file));
                (AnyEncoder::Onnx(onnx.encoder), WeightFiles::of_onnx(files.collect()))
            }
        };
        let tokenizer = TokenizerSpec::read(&root.join(&folders.tokenizer), &config, &transformer)?;
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
            head.dense.iter().map(|dense| WeightFiles::find(root, &dense.path)).collect();
        // The tokenizer's argument takes precedence over the module's own length, and that over the tokenizer's file.
        let limit = match transformer.max_seq_length {
            Some(length) if !transformer.tokenizer_args.contains_key("model_max_length") => Some(length),
            _ => tokenizer.max_length,
        };
        let positions = encoder.max_length();
        let description = Description {
            root: root.to_owned(),
            folders,
            dense_weights: dense_weights?,
            max_seq_length: limit.unwrap_or(usize::MAX).min(positions),
            has_modules: modules.is_some(),
            head,
            sentence_config,
            transformer,
            tokenizer,
            weights,
            adapter: None,
        };
        Ok(Self { encoder, description })
    }
}

/// The folder of the Transformer module.
fn module_folder(modules: Option<&Modules>) -> Result<PathBuf, ModelError> {
    modules.map_or(Ok(PathBuf::new()), Modules::encoder_folder)
}

/// The error for a `config.json` of 2019 or older. transformers guessed the family from the name of the directory; its
/// present versions do not guess any more.
fn no_model_type(file: &Path, config: &Value) -> ModelError {
    let class = config.pointer("/architectures/0").and_then(Value::as_str).unwrap_or_default();
    let has = |key: &str| config.get(key).is_some();
    let token_types = config.get("type_vocab_size").and_then(Value::as_u64);
    let vocabulary = config.get("vocab_size").and_then(Value::as_u64).unwrap_or(0);
    let by_class = [
        ("Bert", "bert"),
        ("DistilBert", "distilbert"),
        ("MPNet", "mpnet"),
        ("Roberta", "roberta"),
        ("XLMRoberta", "xlm-roberta"),
    ];
    let family = by_class.into_iter().find(|(name, _)| class.starts_with(name)).map(|(_, family)| family);
    let family = family.or(match token_types {
        _ if has("n_layers") && has("dim") => Some("distilbert"),
        // The families with one token type differ in their vocabularies, which have 50,265 and 250,002 tokens.
        Some(1) if vocabulary > 100_000 => Some("xlm-roberta"),
        Some(1) => Some("roberta"),
        Some(_) if has("num_attention_heads") => Some("bert"),
        _ => None,
    });
    let what = match family {
        Some(family) => format!(
            "has no model_type, and seems to be that of a {family} model\nhint: add \"model_type\": \"{family}\" to it, if the model is one"
        ),
        None => "has no model_type, and is not known by its other keys\nhint: add \"model_type\" to it, with the name that transformers gives to the architecture".into(),
    };
    ModelError::content(file, what)
}

fn absolute(path: &Path) -> Result<PathBuf, ModelError> {
    std::path::absolute(path).map_err(|error| ModelError::io(path, error))
}
