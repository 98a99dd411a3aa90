//! The network that computes a directory's hidden states: a family of encoders, or an ONNX file of the directory.

use std::fs;
use std::path::{Path, PathBuf};

use embtune_encoders::Encoder;
use serde_json::Value;

use crate::{ModelError, external_data};

/// Families that number positions from the row after the padding's row of the position embeddings, as RoBERTa does.
const POSITIONS_AFTER_PADDING: [&str; 7] =
    ["camembert", "data2vec-text", "ibert", "longformer", "roberta-prelayernorm", "xlm-roberta-xl", "xmod"];

/// The network that computes a directory's hidden states.
#[derive(Debug, Clone, PartialEq)]
pub enum AnyEncoder {
    /// A family that embtune computes itself, with weights that it can read.
    Native(Encoder),
    /// An ONNX file of the directory.
    Onnx(OnnxEncoder),
}

impl AnyEncoder {
    /// Maximum number of tokens of a text; [`usize::MAX`] if `config.json` does not limit it.
    pub fn max_length(&self) -> usize {
        match self {
            Self::Native(encoder) => encoder.config().max_length,
            Self::Onnx(file) => file.max_length,
        }
    }

    /// Rows of the word embeddings, if `config.json` names them.
    pub fn vocab_size(&self) -> Option<usize> {
        match self {
            Self::Native(encoder) => Some(encoder.config().vocab_size),
            Self::Onnx(file) => file.vocab_size,
        }
    }
}

/// An encoder whose graph and weights are an ONNX file, described by `config.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnnxEncoder {
    /// Path of the file.
    pub file: PathBuf,
    /// Why embtune does not compute the encoder itself.
    pub reason: String,
    /// Number of elements of a hidden state, if known.
    pub hidden_size: Option<usize>,
    /// Maximum number of tokens of a text; [`usize::MAX`] if unknown.
    pub max_length: usize,
    /// Rows of the word embeddings, if known.
    pub vocab_size: Option<usize>,
    /// Id of the token that short rows are padded with.
    pub pad_token_id: usize,
    /// Whether position ids are 0, 1, 2….
    pub positions_from_zero: bool,
}

/// An encoder, and the files that it consists of, relative to its folder.
pub(crate) struct OnnxFiles {
    pub(crate) encoder: OnnxEncoder,
    pub(crate) files: Vec<PathBuf>,
}

impl OnnxEncoder {
    /// Where the file may be, in order of preference: where optimum and sentence-transformers put it. Files of other
    /// names are usually of lower precision, which the user has not asked for.
    pub(crate) const PATHS: [&str; 2] = ["model.onnx", "onnx/model.onnx"];

    /// Finds the file in the encoder's folder, which has this `config.json`. `error` is why embtune cannot compute the
    /// encoder itself; it is returned if there is no ONNX file.
    pub(crate) fn find(folder: &Path, config: &Value, error: ModelError) -> Result<OnnxFiles, ModelError> {
        let Some(path) = Self::PATHS.into_iter().find(|path| folder.join(path).exists()) else {
            return Err(hint_at_other_files(folder, error));
        };
        let file = folder.join(path);
        let subfolder = Path::new(path).parent().unwrap_or(Path::new(""));
        let mut files = vec![PathBuf::from(path)];
        files.extend(external_data::files(&file)?.into_iter().map(|name| subfolder.join(name)));
        let reason = match error {
            ModelError::Unsupported { what, .. } => what,
            // Weights that are missing or cannot be read. Their hint is of no use to who has an ONNX file.
            other => other.to_string().split("\nhint:").next().unwrap_or_default().to_owned(),
        };
        Ok(OnnxFiles { encoder: Self::new(file, reason, config), files })
    }

    fn new(file: PathBuf, reason: String, config: &Value) -> Self {
        if let Ok(encoder) = Encoder::from_json(config) {
            let known = encoder.config();
            return Self {
                file,
                reason,
                hidden_size: Some(known.hidden_size),
                max_length: known.max_length,
                vocab_size: Some(known.vocab_size),
                pad_token_id: known.pad_token_id,
                positions_from_zero: known.position_padding.is_none(),
            };
        }
        let number = |key: &str| config.get(key).and_then(Value::as_u64).map(|number| number as usize);
        let family = config.get("model_type").and_then(Value::as_str).unwrap_or_default();
        let positions_from_zero = !POSITIONS_AFTER_PADDING.contains(&family);
        let pad_token_id = number("pad_token_id").unwrap_or(0);
        let positions = number("max_position_embeddings");
        let reserved = if positions_from_zero { 0 } else { pad_token_id + 1 };
        Self {
            file,
            reason,
            hidden_size: ["hidden_size", "d_model", "dim"].into_iter().find_map(number),
            max_length: positions.map_or(usize::MAX, |rows| rows.saturating_sub(reserved).max(1)),
            vocab_size: number("vocab_size"),
            pad_token_id,
            positions_from_zero,
        }
    }

    /// The path of the file, for messages.
    pub fn name(&self) -> String {
        self.file.display().to_string()
    }
}

/// Adds to an error a hint that names the ONNX files that were not used.
fn hint_at_other_files(folder: &Path, error: ModelError) -> ModelError {
    let mut others: Vec<String> = ["", "onnx"]
        .into_iter()
        .flat_map(|subfolder| fs::read_dir(folder.join(subfolder)).into_iter().flatten().flatten())
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "onnx"))
        .filter_map(|path| Some(path.strip_prefix(folder).ok()?.display().to_string()))
        .collect();
    others.sort();
    let ModelError::Unsupported { directory, what } = error else { return error };
    let hint = if others.is_empty() {
        format!("embed runs other models through {}, which is missing", OnnxEncoder::PATHS.join(" or "))
    } else {
        format!("embed uses only {}; rename one of these: {}", OnnxEncoder::PATHS.join(" or "), others.join(", "))
    };
    ModelError::Unsupported { directory, what: format!("{what}\nhint: {hint}") }
}
