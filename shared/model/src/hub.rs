//! Models by their Hugging Face names.

use std::fs;
use std::path::{Path, PathBuf};

use embtune_cli::Proxies;
use embtune_encoders::{ConfigError, Encoder};
use hf_hub::api::sync::ApiBuilder;
use serde_json::Value;

use crate::adapter::{self, Adapter};
use crate::directory::AnyModelDir;
use crate::download::Repository;
use crate::modules::Modules;
use crate::onnx_encoder::OnnxEncoder;
use crate::tensor_files::{self, WEIGHTS};
use crate::{ModelError, external_data, files, modules, snapshot, transformer_config};

const CONFIG: &str = "config.json";
const MODULES: &str = "modules.json";
const TOKENIZER: &str = "tokenizer.json";

/// Other files of the encoder and the tokenizer that are fetched if the repository has them.
const OF_ENCODER: [&str; 3] = ["added_tokens.json", "tokenizer_config.json", "special_tokens_map.json"];

/// Other files at the root that are fetched if the repository has them.
const OF_MODEL: [&str; 3] = ["config_sentence_transformers.json", "colbert_linear.pt", "sparse_linear.pt"];

/// The directory of a model: the path itself, or, for a name such as `BAAI/bge-small-en-v1.5`, its snapshot in the
/// Hugging Face cache (`HF_HOME`). Unless `offline` is set, missing files are fetched from the hub. If the model is an
/// adapter, the same is done for the model that it changes.
///
/// # Errors
/// `model` is neither a directory nor a name, or cannot be fetched.
pub fn locate(model: &str, offline: bool) -> Result<PathBuf, ModelError> {
    let root = locate_one(model, offline)?;
    let folder = Modules::read(&root)?.map_or(Ok(PathBuf::new()), |modules| modules.encoder_folder())?;
    if let Some(adapter) = Adapter::read(&root.join(folder))? {
        locate_one(&adapter.base, offline)?;
    }
    Ok(root)
}

fn locate_one(model: &str, offline: bool) -> Result<PathBuf, ModelError> {
    let path = Path::new(model);
    if path.is_dir() {
        return Ok(path.to_owned());
    }
    let fail = |what: String| ModelError::Hub { name: model.to_owned(), what };
    if !snapshot::is_name(model) {
        return Err(fail("no such model directory, and not a Hugging Face name (owner/model)".into()));
    }
    let cache = snapshot::cache(model);
    let cached = snapshot::cached(&cache);
    let problem = cached.as_deref().map(problem_of_snapshot);
    match (cached, problem.flatten()) {
        (Some(snapshot), None) => return Ok(snapshot),
        (None, _) if offline => {
            return Err(fail("no such directory, and not in the Hugging Face cache (HF_HUB_OFFLINE is set)".into()));
        }
        (Some(_), Some(what)) if offline => {
            let hint = "hint: without HF_HUB_OFFLINE and --offline, the rest is fetched";
            return Err(fail(format!("its copy in the Hugging Face cache cannot be used: {what}\n{hint}")));
        }
        _ => {}
    }
    let api = ApiBuilder::from_env().with_progress(false).build().map_err(|error| fail(error.to_string()))?;
    let proxies = Proxies::of_environment().map_err(|error| fail(error.to_string()))?;
    let repository = Repository { api: api.model(model.to_owned()), cache, proxies };
    let names = repository.file_names().map_err(|error| {
        fail(format!("no such directory, and the Hugging Face hub did not answer: {error}\nhint: name a model directory, or check the network"))
    })?;
    Files { repository, names, fail }.fetch()
}

/// The files of a repository.
struct Files<F> {
    repository: Repository,
    names: Vec<String>,
    fail: F,
}

impl<F: Fn(String) -> ModelError> Files<F> {
    fn has(&self, file: &Path) -> bool {
        self.names.iter().any(|name| Path::new(name) == file)
    }

    fn get(&self, file: &Path) -> Result<PathBuf, ModelError> {
        let name = file.display().to_string();
        self.repository.fetch(&name).map_err(|error| (self.fail)(format!("{name}: {error}")))
    }

    fn get_optional(&self, file: &Path) -> Result<Option<PathBuf>, ModelError> {
        if self.has(file) { self.get(file).map(Some) } else { Ok(None) }
    }

    /// Fetches the files that the model consists of, and returns their folder.
    fn fetch(&self) -> Result<PathBuf, ModelError> {
        let modules = self.get_optional(Path::new(MODULES))?;
        let modules = modules.as_deref().and_then(Path::parent).map(Modules::read).transpose()?.flatten();
        // Older versions of sentence-transformers put the encoder into a folder of its own.
        let folder = modules.as_ref().map_or(Ok(PathBuf::new()), Modules::encoder_folder)?;
        let tokenizer = folder.join(TOKENIZER);
        let adapter = self.get_optional(&folder.join(adapter::CONFIG))?;
        let first = match &adapter {
            Some(first) => first.clone(),
            None => {
                let config = folder.join(CONFIG);
                if let Some(missing) = [&config, &tokenizer].into_iter().find(|file| !self.has(file)) {
                    return Err((self.fail)(format!("the repository has no {}", missing.display())));
                }
                self.get(&config)?
            }
        };
        for file in OF_ENCODER.into_iter().chain(transformer_config::FILES) {
            self.get_optional(&folder.join(file))?;
        }
        for file in OF_MODEL {
            self.get_optional(Path::new(file))?;
        }
        for file in self.names.iter().filter(|file| is_module_file(file, &folder)) {
            self.get(Path::new(file))?;
        }
        match adapter {
            Some(_) => self.fetch_adapter(&folder)?,
            None => self.fetch_encoder(&folder, &first)?,
        }
        // The folder of the encoder may be below the root.
        let root = first.ancestors().nth(1 + folder.components().count()).unwrap_or(Path::new("")).to_owned();
        if modules.is_none()
            && let Some(marker) = absence_marker(&root)
        {
            // If it cannot be written, the hub is asked again next time.
            let _ = marker.parent().map(fs::create_dir_all);
            let _ = fs::write(marker, "");
        }
        // Fetched last: a snapshot with a tokenizer is complete. An adapter may leave it to its base.
        self.get_optional(&tokenizer)?;
        Ok(root)
    }

    /// Fetches the weights of an encoder that has this `config.json`, or its ONNX file.
    fn fetch_encoder(&self, folder: &Path, config: &Path) -> Result<(), ModelError> {
        let config_error = Encoder::from_json(&files::read_json::<Value>(config)?).err();
        let onnx = OnnxEncoder::PATHS.into_iter().map(|path| folder.join(path)).find(|path| self.has(path));
        let weights = WEIGHTS.into_iter().map(|name| folder.join(name)).find(|path| self.has(path));
        match (weights.filter(|_| config_error.is_none()), onnx, config_error) {
            (Some(file), _, _) => {
                let fetched = self.get(&file)?;
                if tensor_files::is_index(&file) {
                    for shard in tensor_files::shards(&fetched)? {
                        self.get(&folder.join(shard))?;
                    }
                }
                Ok(())
            }
            (None, Some(path), _) => {
                let folder = path.parent().unwrap_or(Path::new(""));
                for data in external_data::names(&self.get(&path)?)? {
                    self.get(&folder.join(data))?;
                }
                Ok(())
            }
            (None, None, Some(ConfigError::Invalid(what) | ConfigError::Unsupported(what))) => {
                Err((self.fail)(format!("{what}, and the repository has no {}", OnnxEncoder::PATHS.join(" or "))))
            }
            (None, None, None) => {
                let [safetensors, _, checkpoint, _] = WEIGHTS;
                Err((self.fail)(format!("the repository has neither {safetensors} nor {checkpoint}")))
            }
        }
    }

    fn fetch_adapter(&self, folder: &Path) -> Result<(), ModelError> {
        match adapter::WEIGHTS.into_iter().map(|name| folder.join(name)).find(|path| self.has(path)) {
            Some(file) => self.get(&file).map(drop),
            None => Err((self.fail)(format!("the repository has no {}", adapter::WEIGHTS.join(" or ")))),
        }
    }
}

/// Why a snapshot in the cache cannot be used, if it cannot. It may have been fetched by a program that needs fewer
/// files; without `modules.json`, it may belong to a model without modules, or to one whose modules have not been
/// fetched.
fn problem_of_snapshot(snapshot: &Path) -> Option<String> {
    let knows_modules =
        snapshot.join(MODULES).exists() || absence_marker(snapshot).is_some_and(|marker| marker.exists());
    match AnyModelDir::open_any(snapshot) {
        Err(error) => Some(error.to_string()),
        Ok(_) if !knows_modules => Some(format!("{MODULES} is missing, and may not have been fetched")),
        Ok(_) => None,
    }
}

/// The file by which Hugging Face's programs remember that the repository of a snapshot has no `modules.json`.
fn absence_marker(snapshot: &Path) -> Option<PathBuf> {
    let (commit, repository) = (snapshot.file_name()?, snapshot.parent()?.parent()?);
    Some(repository.join(".no_exist").join(commit).join(MODULES))
}

/// Whether a file belongs to a module after the encoder, which is in `encoder_folder`.
fn is_module_file(file: &str, encoder_folder: &Path) -> bool {
    file.split_once('/').is_some_and(|(folder, name)| {
        Path::new(folder) != encoder_folder
            && modules::is_module_folder(folder)
            && (name == "config.json" || WEIGHTS.contains(&name))
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::locate;

    #[test]
    fn files_of_modules_are_fetched() {
        let is_module_file = |file| super::is_module_file(file, Path::new("0_Transformer"));
        assert!(is_module_file("1_Pooling/config.json") && is_module_file("2_Dense/model.safetensors"));
        let others =
            ["config.json", "onnx/config.json", "1_Pooling/README.md", "x_1/config.json", "0_Transformer/config.json"];
        for other in others {
            assert!(!is_module_file(other), "{other}");
        }
    }

    #[test]
    fn a_model_that_is_neither_directory_nor_name_is_refused() {
        for bad in ["", "nowhere", "a/b/c", "../x", "/nowhere/model", "a b/c"] {
            let error = locate(bad, true).unwrap_err().to_string();
            assert!(error.contains("no such"), "{bad}: {error}");
        }
    }
}
