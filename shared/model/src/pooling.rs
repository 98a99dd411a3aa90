//! How the vectors of a text's tokens become one vector: `1_Pooling/config.json`.

use std::fmt;
use std::path::Path;

use serde_json::{Map, Value};

use crate::{ModelError, files};

/// Prefix of the keys that older versions write, one for each mode.
const LEGACY_PREFIX: &str = "pooling_mode_";

/// The other keys of the module.
const KEYS: [&str; 4] = ["embedding_dimension", "include_prompt", "pooling_mode", "word_embedding_dimension"];

/// How the vectors of a text's tokens become one vector; padding is never included.
///
/// Source of the formulas: `sentence_transformers/sentence_transformer/modules/pooling.py`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The first token's vector.
    Cls,
    /// The mean of all tokens' vectors.
    Mean,
    /// The maximum of each element.
    Max,
    /// The sum, divided by the square root of the number of tokens.
    MeanSqrtLen,
    /// The mean, weighted with 1, 2, 3… from the first token to the last.
    WeightedMean,
    /// The last token's vector.
    LastToken,
}

/// A Pooling module.
pub(crate) struct PoolingModule {
    pub(crate) mode: Pooling,
    /// Number of elements of the pooled vectors, if the module names it.
    pub(crate) size: Option<usize>,
    /// Whether the tokens of a prompt count.
    pub(crate) include_prompt: bool,
}

impl Pooling {
    const ALL: [Self; 6] = [Self::Cls, Self::Mean, Self::Max, Self::MeanSqrtLen, Self::WeightedMean, Self::LastToken];

    /// The name in sentence-transformers 6.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cls => "cls",
            Self::Mean => "mean",
            Self::Max => "max",
            Self::MeanSqrtLen => "mean_sqrt_len_tokens",
            Self::WeightedMean => "weightedmean",
            Self::LastToken => "lasttoken",
        }
    }

    /// The boolean key that older versions write.
    fn legacy_key(self) -> &'static str {
        match self {
            Self::Cls => "pooling_mode_cls_token",
            Self::Mean => "pooling_mode_mean_tokens",
            Self::Max => "pooling_mode_max_tokens",
            Self::MeanSqrtLen => "pooling_mode_mean_sqrt_len_tokens",
            Self::WeightedMean => "pooling_mode_weightedmean_tokens",
            Self::LastToken => "pooling_mode_lasttoken",
        }
    }

    /// The module's `config.json`, in its legacy form.
    pub(crate) fn legacy_config(self, dimension: usize, include_prompt: bool) -> Value {
        let mut config = Map::new();
        config.insert("word_embedding_dimension".into(), dimension.into());
        config.extend(Self::ALL.map(|mode| (mode.legacy_key().to_owned(), (mode == self).into())));
        config.insert("include_prompt".into(), include_prompt.into());
        Value::Object(config)
    }

    /// Reads a module in either form: one name, or a boolean for each mode.
    pub(crate) fn read(folder: &Path) -> Result<PoolingModule, ModelError> {
        let file = folder.join("config.json");
        let config: Map<String, Value> = files::read_json(&file)?;
        let include_prompt = match config.get("include_prompt") {
            None | Some(Value::Bool(true)) => true,
            Some(Value::Bool(false)) => false,
            Some(other) => {
                return Err(ModelError::content(&file, format!("include_prompt must be true or false, found {other}")));
            }
        };
        let modes: Vec<&str> = match config.get("pooling_mode") {
            Some(Value::Array(modes)) => modes.iter().filter_map(Value::as_str).collect(),
            Some(mode) => mode.as_str().into_iter().collect(),
            None => {
                let is_on =
                    |(name, on): &(&String, &Value)| name.starts_with(LEGACY_PREFIX) && on.as_bool() == Some(true);
                let on: Vec<&str> = config.iter().filter(is_on).map(|(name, _)| name.as_str()).collect();
                // If no mode is on, sentence-transformers takes the mean.
                if on.is_empty() { vec![Self::Mean.name()] } else { on }
            }
        };
        let is_unknown = |(name, value): &(&String, &Value)| {
            let is_off = value.is_null() || value.as_bool() == Some(false);
            !name.starts_with(LEGACY_PREFIX) && !KEYS.contains(&name.as_str()) && !is_off
        };
        if let Some((key, value)) = config.iter().find(is_unknown) {
            return Err(ModelError::content(&file, format!("{key} {value} is unknown")));
        }
        let find = |name: &str| Self::ALL.into_iter().find(|mode| [mode.name(), mode.legacy_key()].contains(&name));
        if let [mode] = modes[..]
            && let Some(mode) = find(mode)
        {
            let size = ["embedding_dimension", "word_embedding_dimension"].into_iter().find_map(|key| config.get(key));
            let size = size.and_then(Value::as_u64).map(|size| size as usize);
            return Ok(PoolingModule { mode, size, include_prompt });
        }
        let known = Self::ALL.map(Self::name).join(", ");
        Err(ModelError::content(
            &file,
            format!("pooling mode \"{}\" is not supported (supported: one of {known})", modes.join("+")),
        ))
    }
}

impl fmt::Display for Pooling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
