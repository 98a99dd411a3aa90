//! What follows the encoder: `modules.json` and `1_Pooling/config.json`.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{ModelError, json};

/// How token vectors become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The first token's vector.
    Cls,
    /// The mean of all tokens' vectors.
    Mean,
}

impl Pooling {
    /// The name that sentence-transformers gives it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cls => "cls",
            Self::Mean => "mean",
        }
    }

    /// `1_Pooling/config.json` in its legacy form.
    pub(crate) fn legacy_config(self, dimension: usize) -> Value {
        json!({
            "word_embedding_dimension": dimension,
            "pooling_mode_cls_token": self == Self::Cls,
            "pooling_mode_mean_tokens": self == Self::Mean,
            "pooling_mode_max_tokens": false,
            "pooling_mode_mean_sqrt_len_tokens": false,
        })
    }
}

impl fmt::Display for Pooling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What stands behind the encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) pooling: Pooling,
    pub(crate) normalize: bool,
}

#[derive(Deserialize)]
struct Module {
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

impl Head {
    /// Reads the modules behind the encoder; a directory without `modules.json` pools by mean, as
    /// sentence-transformers does with a bare Transformer.
    pub(crate) fn read(root: &Path) -> Result<Self, ModelError> {
        let file = root.join("modules.json");
        let Some(modules) = json::read_optional::<Vec<Module>>(&file)? else {
            return Ok(Self { pooling: Pooling::Mean, normalize: false });
        };
        let mut pooling = None;
        let mut normalize = false;
        for (index, module) in modules.iter().enumerate() {
            // Module paths have moved between versions; the class has kept its name.
            match (index, module.kind.rsplit('.').next().unwrap_or_default()) {
                (0, "Transformer") if module.path.is_empty() => {}
                (1, "Pooling") => pooling = Some(read_pooling(&root.join(relative(&file, &module.path)?))?),
                (2, "Normalize") => normalize = true,
                (_, other) => {
                    return Err(ModelError::Unsupported {
                        directory: root.display().to_string(),
                        what: format!(
                            "module {index} \"{other}\" is not supported there (supported: Transformer at the root, Pooling, Normalize, in this order)"
                        ),
                    });
                }
            }
        }
        let pooling = pooling.ok_or_else(|| ModelError::content(&file, "has no Pooling module"))?;
        Ok(Self { pooling, normalize })
    }
}

/// A module's folder; a hostile file must not lead outside the directory.
fn relative(file: &Path, path: &str) -> Result<PathBuf, ModelError> {
    let path = PathBuf::from(path);
    if path.components().any(|part| !matches!(part, std::path::Component::Normal(_))) {
        return Err(ModelError::content(file, format!("module path \"{}\" leaves the directory", path.display())));
    }
    Ok(path)
}

fn read_pooling(folder: &Path) -> Result<Pooling, ModelError> {
    let file = folder.join("config.json");
    let config: Map<String, Value> = json::read(&file)?;
    // sentence-transformers 6 writes one name; before, there was a boolean for each mode.
    let modes: Vec<&str> = match config.get("pooling_mode").and_then(Value::as_str) {
        Some(mode) => vec![mode],
        None => config
            .iter()
            .filter(|(_, on)| on.as_bool() == Some(true))
            .filter_map(|(name, _)| name.strip_prefix("pooling_mode_"))
            .collect(),
    };
    match modes[..] {
        ["cls" | "cls_token"] => Ok(Pooling::Cls),
        ["mean" | "mean_tokens"] => Ok(Pooling::Mean),
        _ => Err(ModelError::content(
            &file,
            format!("pooling mode \"{}\" is not supported (supported: cls, mean)", modes.join("+")),
        )),
    }
}
