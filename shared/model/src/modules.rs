//! What follows the encoder: `modules.json`.

use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use crate::{Dense, ModelError, Pooling, json};

/// What stands behind the encoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) pooling: Pooling,
    /// Elements of what is pooled, where the Pooling module says it.
    pub(crate) pooled_size: Option<usize>,
    pub(crate) dense: Vec<Dense>,
    pub(crate) normalize: bool,
    /// Files that say so, relative to the directory.
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Module {
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

impl Head {
    /// Reads the modules behind the encoder, whose hidden states have `hidden_size` elements (absent: as many as the
    /// Pooling module says); a directory without `modules.json` pools by mean, as sentence-transformers does with a bare
    /// Transformer.
    pub(crate) fn read(root: &Path, hidden_size: Option<usize>) -> Result<Self, ModelError> {
        let file = root.join("modules.json");
        let Some(modules) = json::read_optional::<Vec<Module>>(&file)? else {
            return Ok(Self {
                pooling: Pooling::Mean,
                pooled_size: None,
                dense: Vec::new(),
                normalize: false,
                files: Vec::new(),
            });
        };
        let (mut pooling, mut pooled_size) = (None, None);
        let mut dense: Vec<Dense> = Vec::new();
        let mut normalize = false;
        let mut files = Vec::new();
        for (index, module) in modules.iter().enumerate() {
            // Module paths have moved between versions; the class has kept its name.
            match (index, module.kind.rsplit('.').next().unwrap_or_default()) {
                (0, "Transformer") if module.path.is_empty() => {}
                (1, "Pooling") => {
                    let path = relative(&file, &module.path)?;
                    let (mode, size) = Pooling::read(&root.join(&path))?;
                    (pooling, pooled_size) = (Some(mode), size);
                    files.push(path.join("config.json"));
                }
                (2.., "Dense") if !normalize => {
                    let dimension = dense.last().map(|dense| dense.out_features).or(hidden_size).or(pooled_size);
                    let path = relative(&file, &module.path)?;
                    files.push(path.join("config.json"));
                    dense.push(Dense::read(root, path, index, dimension)?);
                }
                (2.., "Normalize") if !normalize => normalize = true,
                (_, other) => {
                    return Err(ModelError::Unsupported {
                        directory: root.display().to_string(),
                        what: format!(
                            "module {index} \"{other}\" is not supported there (supported: Transformer at the root, Pooling, any number of Dense, Normalize, in this order)"
                        ),
                    });
                }
            }
        }
        let pooling = pooling.ok_or_else(|| ModelError::content(&file, "has no Pooling module"))?;
        Ok(Self { pooling, pooled_size, dense, normalize, files })
    }
}

/// A module's folder; a hostile file must not lead outside the directory.
fn relative(file: &Path, path: &str) -> Result<PathBuf, ModelError> {
    let path = PathBuf::from(path);
    if path.components().any(|part| !matches!(part, Component::Normal(_))) {
        return Err(ModelError::content(file, format!("module path \"{}\" leaves the directory", path.display())));
    }
    Ok(path)
}
