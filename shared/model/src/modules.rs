//! The modules after the encoder: `modules.json`.

use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::dense::Dense;
use crate::pooling::{Pooling, PoolingModule};
use crate::{ModelError, files};

const FILE: &str = "modules.json";

/// Whether a name is that of a module's folder in sentence-transformers, such as `1_Pooling`.
pub(crate) fn is_module_folder(name: &str) -> bool {
    name.split_once('_').is_some_and(|(index, _)| index.parse::<u8>().is_ok())
}

/// The Pooling module's folder in sentence-transformers.
const POOLING_FOLDER: &str = "1_Pooling";

/// The packages of sentence-transformers' own modules, in all its versions. Modules of other packages are code of the
/// model, which is not run.
const PACKAGES: [&str; 3] = [
    "sentence_transformers.models.",
    "sentence_transformers.base.modules.",
    "sentence_transformers.sentence_transformer.modules.",
];

/// `modules.json` of a directory.
pub(crate) struct Modules {
    file: PathBuf,
    modules: Vec<Module>,
}

#[derive(Deserialize)]
struct Module {
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

/// The modules after the encoder: pooling, Dense modules, normalisation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Head {
    pub(crate) pooling: Pooling,
    /// Whether the tokens of a prompt count in the pooling.
    pub(crate) include_prompt: bool,
    /// Number of elements of the pooled vectors, if the Pooling module names it.
    pub(crate) pooled_size: Option<usize>,
    pub(crate) dense: Vec<Dense>,
    pub(crate) normalize: bool,
    /// Probability of Dropout modules, which matters in training only.
    pub(crate) dropout: f64,
    /// The files that this was read from, relative to the directory.
    pub(crate) files: Vec<PathBuf>,
    /// The source of the guessed pooling, if there is no `modules.json`.
    pub(crate) guess: Option<&'static str>,
}

impl Module {
    /// The name of the class, without its path, which differs between versions.
    fn class(&self) -> &str {
        self.kind.rsplit('.').next().unwrap_or_default()
    }

    /// Whether the class is one of sentence-transformers' own: directly in one of its packages, or in a file of a
    /// package that is named after the class, such as `modules.pooling.Pooling`.
    fn is_builtin(&self) -> bool {
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
            "module {index} \"{class}\" is not supported in this place (supported: Transformer, Pooling, any number of Dense and Dropout, Normalize, in this order)"
        ),
    }
}

impl Modules {
    /// Reads the `modules.json` of a directory, if there is one.
    pub(crate) fn read(root: &Path) -> Result<Option<Self>, ModelError> {
        let file = root.join(FILE);
        let Some(modules) = files::read_optional_json::<Vec<Module>>(&file)? else { return Ok(None) };
        if let Some((index, module)) = modules.iter().enumerate().find(|(_, module)| !module.is_builtin()) {
            return Err(ModelError::Unsupported {
                directory: root.display().to_string(),
                what: format!(
                    "module {index} \"{}\" is the model's own code, which is not run (supported: classes of {})",
                    module.kind,
                    PACKAGES.map(|package| package.trim_end_matches('.')).join(", ")
                ),
            });
        }
        Ok(Some(Self { file, modules }))
    }

    /// The folder of the encoder, which older versions put below the root.
    pub(crate) fn encoder_folder(&self) -> Result<PathBuf, ModelError> {
        match self.modules.first() {
            Some(module) if module.class() != "Transformer" => Err(not_supported(self.root(), 0, module.class())),
            Some(module) => relative(&self.file, &module.path),
            None => Ok(PathBuf::new()),
        }
    }

    fn root(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new(""))
    }

    /// Reads the modules after the encoder, whose hidden states have `hidden_size` elements (`None`: as many as the
    /// Pooling module says).
    pub(crate) fn head(&self, root: &Path, hidden_size: Option<usize>) -> Result<Head, ModelError> {
        let mut pooling = None;
        let mut head = Head::new(Pooling::Mean, None);
        head.files.clear();
        for (index, module) in self.modules.iter().enumerate() {
            let path = relative(&self.file, &module.path)?;
            match (index, module.class()) {
                (0, _) => {}
                (1, "Pooling") => {
                    let module = Pooling::read(&root.join(&path))?;
                    (pooling, head.pooled_size) = (Some(module.mode), module.size);
                    head.include_prompt = module.include_prompt;
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
    fn new(pooling: Pooling, guess: Option<&'static str>) -> Self {
        Self {
            pooling,
            include_prompt: true,
            pooled_size: None,
            dense: Vec::new(),
            normalize: false,
            dropout: 0.0,
            files: Vec::new(),
            guess,
        }
    }

    /// The modules of a directory without `modules.json`: the pooling of `1_Pooling`, if it exists, else the guess that
    /// sentence-transformers makes from `config.json`: the last token of a causal language model, the mean of others.
    ///
    /// Source: `SentenceTransformer._load_default_modules`.
    pub(crate) fn guess(root: &Path, config: &Value) -> Result<Self, ModelError> {
        if root.join(POOLING_FOLDER).join("config.json").is_file() {
            if let Some(folder) = ["2_Dense", "2_Normalize"].into_iter().find(|folder| root.join(folder).is_dir()) {
                let what =
                    format!("No such file, and {folder} shows that the model has more modules than {POOLING_FOLDER}");
                return Err(ModelError::content(&root.join(FILE), what));
            }
            let PoolingModule { mode, size: pooled_size, include_prompt } = Pooling::read(&root.join(POOLING_FOLDER))?;
            let files = vec![Path::new(POOLING_FOLDER).join("config.json")];
            return Ok(Self { pooled_size, include_prompt, files, ..Self::new(mode, Some("1_Pooling says so")) });
        }
        let first = config.pointer("/architectures/0").and_then(Value::as_str).unwrap_or_default();
        let is_causal = config.get("is_causal").is_none_or(|causal| causal.as_bool() != Some(false));
        Ok(if first.ends_with("ForCausalLM") && is_causal {
            Self::new(Pooling::LastToken, Some("config.json names a causal language model"))
        } else {
            Self::new(Pooling::Mean, Some("no file says otherwise"))
        })
    }
}

/// Refuses a Normalize module of anything but a text's vector. Its settings are new in sentence-transformers 6.
fn check_normalize(file: &Path) -> Result<(), ModelError> {
    let settings: Map<String, Value> = files::read_optional_json(file)?.unwrap_or_default();
    for (key, value) in settings.iter().filter(|(_, value)| !value.is_null()) {
        let is_known = ["module_input_name", "module_output_name"].contains(&key.as_str());
        if !is_known || value != "sentence_embedding" {
            return Err(ModelError::content(file, format!("{key} {value} is not supported")));
        }
    }
    Ok(())
}

/// The probability of a Dropout module; 0.2, as in sentence-transformers, if its file does not name one.
fn dropout(file: &Path) -> Result<f64, ModelError> {
    #[derive(Deserialize)]
    struct Settings {
        dropout: Option<f64>,
    }
    let settings: Option<Settings> = files::read_optional_json(file)?;
    Ok(settings.and_then(|settings| settings.dropout).unwrap_or(0.2))
}

/// The folder of a module. A hostile file must not lead out of the directory.
fn relative(file: &Path, path: &str) -> Result<PathBuf, ModelError> {
    let path = PathBuf::from(path);
    if path.components().any(|part| !matches!(part, Component::Normal(_))) {
        return Err(ModelError::content(file, format!("module path \"{}\" leaves the directory", path.display())));
    }
    Ok(path)
}
