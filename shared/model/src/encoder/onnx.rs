//! An encoder that is an ONNX file of the directory.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::EncoderConfig;
use crate::{ModelError, external_data};

/// Families whose positions are counted from behind the padding's row of the position embeddings, as RoBERTa's are.
const COUNTED_FROM_PADDING: [&str; 7] =
    ["camembert", "data2vec-text", "ibert", "longformer", "roberta-prelayernorm", "xlm-roberta-xl", "xmod"];

/// An encoder whose graph and weights are in an ONNX file, with what `config.json` says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnnxEncoder {
    /// The file.
    pub file: PathBuf,
    /// Why embtune does not compute the encoder itself.
    pub why: String,
    /// Elements of a hidden state, if known.
    pub hidden_size: Option<usize>,
    /// Most tokens that a text may have; [`usize::MAX`] if unknown.
    pub max_length: usize,
    /// Rows of the word embeddings, if known.
    pub vocab_size: Option<usize>,
    /// What short rows are filled up with.
    pub pad_token_id: usize,
    /// Whether position ids are 0, 1, 2….
    pub counts_from_zero: bool,
}

/// An encoder, and the files that it is made of, relative to the directory.
pub(crate) struct Found {
    pub(crate) encoder: OnnxEncoder,
    pub(crate) files: Vec<PathBuf>,
}

impl OnnxEncoder {
    /// Where the file may be, the place that is preferred first: where optimum and sentence-transformers put it. Other
    /// names are other precisions, which nobody has asked for.
    pub(crate) const PLACES: [&str; 2] = ["model.onnx", "onnx/model.onnx"];

    /// Finds the file of a directory with this `config.json`, whose encoder embtune cannot compute for the reason
    /// `error`; where there is no file, the reason is the error.
    pub(crate) fn find(root: &Path, config: &Value, error: ModelError) -> Result<Found, ModelError> {
        let Some(place) = Self::PLACES.into_iter().find(|place| root.join(place).exists()) else {
            return Err(hint_at_others(root, error));
        };
        let file = root.join(place);
        let folder = Path::new(place).parent().unwrap_or(Path::new(""));
        let mut files = vec![PathBuf::from(place)];
        files.extend(external_data::files(&file)?.into_iter().map(|name| folder.join(name)));
        let why = match error {
            ModelError::Unsupported { what, .. } => what,
            // Weights that are missing, or in a form that is not read; the hint is for who has no other file.
            other => other.to_string().split("\nhint:").next().unwrap_or_default().to_owned(),
        };
        Ok(Found { encoder: Self::describe(file, why, config), files })
    }

    fn describe(file: PathBuf, why: String, config: &Value) -> Self {
        if let Ok(known) = EncoderConfig::from_json(config) {
            return Self {
                file,
                why,
                hidden_size: Some(known.hidden_size()),
                max_length: known.max_length(),
                vocab_size: Some(known.vocab_size()),
                pad_token_id: known.pad_token_id(),
                counts_from_zero: known.position_padding().is_none(),
            };
        }
        let number = |key: &str| config.get(key).and_then(Value::as_u64).map(|number| number as usize);
        let family = config.get("model_type").and_then(Value::as_str).unwrap_or_default();
        let counts_from_zero = !COUNTED_FROM_PADDING.contains(&family);
        let pad_token_id = number("pad_token_id").unwrap_or(0);
        let positions = number("max_position_embeddings");
        let used = if counts_from_zero { 0 } else { pad_token_id + 1 };
        Self {
            file,
            why,
            hidden_size: ["hidden_size", "d_model", "dim"].into_iter().find_map(number),
            max_length: positions.map_or(usize::MAX, |rows| rows.saturating_sub(used).max(1)),
            vocab_size: number("vocab_size"),
            pad_token_id,
            counts_from_zero,
        }
    }

    /// The file's name, for messages.
    pub fn name(&self) -> String {
        self.file.display().to_string()
    }
}

/// Says of an error which ONNX files were not taken.
fn hint_at_others(root: &Path, error: ModelError) -> ModelError {
    let mut others: Vec<String> = ["", "onnx"]
        .into_iter()
        .flat_map(|folder| fs::read_dir(root.join(folder)).into_iter().flatten().flatten())
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "onnx"))
        .filter_map(|path| Some(path.strip_prefix(root).ok()?.display().to_string()))
        .collect();
    others.sort();
    let ModelError::Unsupported { directory, what } = error else { return error };
    let hint = if others.is_empty() {
        format!("embed runs other models through {}, which is not there", OnnxEncoder::PLACES.join(" or "))
    } else {
        format!(
            "embed takes {} only; one of these, renamed, would do: {}",
            OnnxEncoder::PLACES.join(" or "),
            others.join(", ")
        )
    };
    ModelError::Unsupported { directory, what: format!("{what}\nhint: {hint}") }
}
