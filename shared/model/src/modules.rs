//! What follows the encoder: `modules.json`.

use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{Dense, ModelError, Pooling, json};

const FILE: &str = "modules.json";

/// Whether a name is one that sentence-transformers gives a module's folder, such as `1_Pooling`.
pub(crate) fn is_folder(name: &str) -> bool {
    name.split_once('_').is_some_and(|(index, _)| index.parse::<u8>().is_ok())
}

/// The folder that sentence-transformers gives the pooling's settings.
const POOLING: &str = "1_Pooling";

/// The packages whose classes are known, as versions of sentence-transformers have named them; others bring code of
/// their own along, which is not run.
const PACKAGES: [&str; 3] = [
    "sentence_transformers.models.",
    "sentence_transformers.base.modules.",
    "sentence_transformers.sentence_transformer.modules.",
];

/// `modules.json` of a directory.
pub(crate) struct Modules {
    file: PathBuf,
    list: Vec<Module>,
}

#[derive(Deserialize)]
struct Module {
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

/// What follows the encoder.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Head {
    pub(crate) pooling: Pooling,
    /// Elements of what is pooled, where the Pooling module says it.
    pub(crate) pooled_size: Option<usize>,
    pub(crate) dense: Vec<Dense>,
    pub(crate) normalize: bool,
    /// Share of the elements that Dropout modules drop while training; they do nothing else.
    pub(crate) dropout: f64,
    /// Files that say so, relative to the directory.
    pub(crate) files: Vec<PathBuf>,
    /// What the pooling was guessed from, where no `modules.json` says it.
    pub(crate) guess: Option<&'static str>,
}

impl Module {
    /// The class; the path before it has moved between versions.
    fn class(&self) -> &str {
        self.kind.rsplit('.').next().unwrap_or_default()
    }

    /// Whether the class is one of sentence-transformers: it is there in its package, and in a file that is named after
    /// it, as in `modules.pooling.Pooling`.
    fn is_known(&self) -> bool {
        let inside = |package: &&str| self.kind.strip_prefix(*package);
        PACKAGES.iter().find_map(inside).is_some_and(|inside| match inside.split_once('.') {
            None => true,
            Some((file, class)) => file.replace('_', "").eq_ignore_ascii_case(class),
        })
    }
}

fn not_supported(root: &Path, index: usize, class: &str) -> ModelError {
    ModelError::Unsupported {
        directory: root.display().to_string(),
        what: format!(
            "module {index} \"{class}\" is not supported there (supported: Transformer, Pooling, any number of Dense and Dropout, Normalize, in this order)"
        ),
    }
}

impl Modules {
    /// The modules of a directory that has any.
    pub(crate) fn read(root: &Path) -> Result<Option<Self>, ModelError> {
        let file = root.join(FILE);
        let Some(list) = json::read_optional::<Vec<Module>>(&file)? else { return Ok(None) };
        if let Some((index, module)) = list.iter().enumerate().find(|(_, module)| !module.is_known()) {
            return Err(ModelError::Unsupported {
                directory: root.display().to_string(),
                what: format!(
                    "module {index} \"{}\" is code of the model's own, which is not run (supported: classes of {})",
                    module.kind,
                    PACKAGES.map(|package| package.trim_end_matches('.')).join(", ")
                ),
            });
        }
        Ok(Some(Self { file, list }))
    }

    /// The folder of the encoder, which older versions did not put at the root.
    pub(crate) fn encoder_folder(&self, root: &Path) -> Result<PathBuf, ModelError> {
        match self.list.first() {
            Some(module) if module.class() != "Transformer" => Err(not_supported(root, 0, module.class())),
            Some(module) => relative(&self.file, &module.path),
            None => Ok(PathBuf::new()),
        }
    }

    /// Reads the modules after the encoder, whose hidden states have `hidden_size` elements (absent: as many as the
    /// Pooling module says).
    pub(crate) fn head(&self, root: &Path, hidden_size: Option<usize>) -> Result<Head, ModelError> {
        let mut pooling = None;
        let mut head = Head::of(Pooling::Mean, None);
        head.files.clear();
        for (index, module) in self.list.iter().enumerate() {
            let path = relative(&self.file, &module.path)?;
            match (index, module.class()) {
                (0, _) => {}
                (1, "Pooling") => {
                    let (mode, size) = Pooling::read(&root.join(&path))?;
                    (pooling, head.pooled_size) = (Some(mode), size);
                    head.files.push(path.join("config.json"));
                }
                (2.., "Dense") if !head.normalize => {
                    let before = head.dense.last().map(|dense| dense.out_features);
                    let dimension = before.or(hidden_size).or(head.pooled_size);
                    head.files.push(path.join("config.json"));
                    head.dense.push(Dense::read(root, path, index, dimension)?);
                }
                (2.., "Normalize") if !head.normalize => {
                    check_normalize(&root.join(path).join("config.json"))?;
                    head.normalize = true;
                }
                (2.., "Dropout") => head.dropout = head.dropout.max(dropout(&root.join(path).join("config.json"))?),
                (_, other) => return Err(not_supported(root, index, other)),
            }
        }
        head.pooling = pooling.ok_or_else(|| ModelError::content(&self.file, "has no Pooling module"))?;
        Ok(head)
    }
}

impl Head {
    fn of(pooling: Pooling, guess: Option<&'static str>) -> Self {
        Self { pooling, pooled_size: None, dense: Vec::new(), normalize: false, dropout: 0.0, files: Vec::new(), guess }
    }

    /// What follows the encoder in a directory without `modules.json`: as `1_Pooling` says, if it is there; else as
    /// sentence-transformers guesses from `config.json`: the last token of a causal language model, the mean of others.
    ///
    /// Source: `SentenceTransformer._load_default_modules`.
    pub(crate) fn guess(root: &Path, config: &Value) -> Result<Self, ModelError> {
        if root.join(POOLING).join("config.json").is_file() {
            if let Some(folder) = ["2_Dense", "2_Normalize"].into_iter().find(|folder| root.join(folder).is_dir()) {
                let what = format!("No such file, and {folder} shows that the model has more modules than {POOLING}");
                return Err(ModelError::content(&root.join(FILE), what));
            }
            let (pooling, pooled_size) = Pooling::read(&root.join(POOLING))?;
            let files = vec![Path::new(POOLING).join("config.json")];
            return Ok(Self { pooled_size, files, ..Self::of(pooling, Some("1_Pooling says so")) });
        }
        let first = config.pointer("/architectures/0").and_then(Value::as_str).unwrap_or_default();
        let is_causal = config.get("is_causal").is_none_or(|causal| causal.as_bool() != Some(false));
        Ok(if first.ends_with("ForCausalLM") && is_causal {
            Self::of(Pooling::LastToken, Some("config.json names a causal language model"))
        } else {
            Self::of(Pooling::Mean, Some("nothing says otherwise"))
        })
    }
}

/// Refuses a Normalize of anything but a text's vector; the module's settings are new in sentence-transformers 6.
fn check_normalize(file: &Path) -> Result<(), ModelError> {
    let settings: Map<String, Value> = json::read_optional(file)?.unwrap_or_default();
    for (key, value) in settings.iter().filter(|(_, value)| !value.is_null()) {
        let is_known = ["module_input_name", "module_output_name"].contains(&key.as_str());
        if !is_known || value != "sentence_embedding" {
            return Err(ModelError::content(file, format!("{key} {value} is not supported")));
        }
    }
    Ok(())
}

/// The share that a Dropout module drops; sentence-transformers' own when it does not say.
fn dropout(file: &Path) -> Result<f64, ModelError> {
    #[derive(Deserialize)]
    struct Settings {
        dropout: Option<f64>,
    }
    let settings: Option<Settings> = json::read_optional(file)?;
    Ok(settings.and_then(|settings| settings.dropout).unwrap_or(0.2))
}

/// A module's folder; a hostile file must not lead outside the directory.
fn relative(file: &Path, path: &str) -> Result<PathBuf, ModelError> {
    let path = PathBuf::from(path);
    if path.components().any(|part| !matches!(part, Component::Normal(_))) {
        return Err(ModelError::content(file, format!("module path \"{}\" leaves the directory", path.display())));
    }
    Ok(path)
}
