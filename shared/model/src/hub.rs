//! Models by their Hugging Face names.

use std::fs;
use std::path::{Path, PathBuf};

use embtune_cli::Proxies;
use embtune_encoders::{ConfigError, Encoder};
use hf_hub::Cache;
use hf_hub::api::sync::ApiBuilder;
use serde_json::Value;

use crate::directory::{AnyModelDir, WEIGHTS};
use crate::download::Repository;
use crate::onnx_encoder::OnnxEncoder;
use crate::{ModelError, external_data, files, modules, transformer_config};

const CONFIG: &str = "config.json";
const MODULES: &str = "modules.json";
const TOKENIZER: &str = "tokenizer.json";

/// Other files at the root that are fetched if the repository has them.
const OPTIONAL: [&str; 8] = [
    "adapter_config.json",
    "added_tokens.json",
    "config_sentence_transformers.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "colbert_linear.pt",
    "sparse_linear.pt",
    MODULES,
];

/// The directory of a model: the path itself, or, for a name such as `BAAI/bge-small-en-v1.5`, its snapshot in the
/// Hugging Face cache (`HF_HOME`). Unless `offline` is set, missing files are fetched from the hub.
///
/// # Errors
/// `model` is neither a directory nor a name, or cannot be fetched.
pub fn locate(model: &str, offline: bool) -> Result<PathBuf, ModelError> {
    let path = Path::new(model);
    if path.is_dir() {
        return Ok(path.to_owned());
    }
    let fail = |what: String| ModelError::Hub { name: model.to_owned(), what };
    let is_name = model.split('/').count() == 2
        && model.split('/').all(|part| {
            !part.is_empty()
                && !part.starts_with('.')
                && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        });
    if !is_name {
        return Err(fail("no such model directory, and not a Hugging Face name (owner/model)".into()));
    }
    let cache = Cache::from_env().model(model.to_owned());
    let cached = cache.get(CONFIG);
    let cached = cached.as_deref().and_then(Path::parent);
    let problem = cached.map(problem_of_snapshot);
    match (cached, problem.flatten()) {
        (Some(snapshot), None) => return Ok(snapshot.to_owned()),
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
    fetch(&repository, &names, &fail)
}

/// Fetches the files that a model consists of, and returns their folder.
fn fetch(
    repository: &Repository,
    names: &[String],
    fail: &impl Fn(String) -> ModelError,
) -> Result<PathBuf, ModelError> {
    let exists = |file: &&str| names.iter().any(|name| name == file);
    let get = |file: &str| repository.fetch(file).map_err(|error| fail(format!("{file}: {error}")));
    if let Some(missing) = [CONFIG, TOKENIZER].iter().find(|file| !exists(file)) {
        return Err(fail(format!("the repository has no {missing}")));
    }
    let config = get(CONFIG)?;
    let root = config.parent().unwrap_or(Path::new("")).to_owned();
    let config_error = Encoder::from_json(&files::read_json::<Value>(&config)?).err();
    let onnx = OnnxEncoder::PATHS.into_iter().find(exists);
    let weights = WEIGHTS.into_iter().find(exists).filter(|_| config_error.is_none());
    for file in OPTIONAL.into_iter().chain(transformer_config::FILES).filter(exists) {
        get(file)?;
    }
    for file in names.iter().filter(|file| is_module_file(file)) {
        get(file)?;
    }
    match (weights, onnx, config_error) {
        (Some(file), _, _) => drop(get(file)?),
        (None, Some(path), _) => {
            let folder = Path::new(path).parent().unwrap_or(Path::new(""));
            for data in external_data::names(&get(path)?)? {
                get(&folder.join(data).display().to_string())?;
            }
        }
        (None, None, Some(ConfigError::Invalid(what) | ConfigError::Unsupported(what))) => {
            return Err(fail(format!("{what}, and the repository has no {}", OnnxEncoder::PATHS.join(" or "))));
        }
        (None, None, None) => {
            let [safetensors, checkpoint] = WEIGHTS;
            return Err(fail(format!("the repository has neither {safetensors} nor {checkpoint}")));
        }
    }
    if !exists(&MODULES)
        && let Some(marker) = absence_marker(&root)
    {
        // If it cannot be written, the hub is asked again next time.
        let _ = marker.parent().map(fs::create_dir_all);
        let _ = fs::write(marker, "");
    }
    // Fetched last: a snapshot with a tokenizer is complete.
    get(TOKENIZER)?;
    Ok(root)
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

/// Whether a file belongs to a module.
fn is_module_file(file: &str) -> bool {
    file.split_once('/').is_some_and(|(folder, name)| {
        modules::is_module_folder(folder) && (name == "config.json" || WEIGHTS.contains(&name))
    })
}

#[cfg(test)]
mod tests {
    use super::{is_module_file, locate};

    #[test]
    fn files_of_modules_are_fetched() {
        assert!(is_module_file("1_Pooling/config.json") && is_module_file("2_Dense/model.safetensors"));
        for other in ["config.json", "onnx/config.json", "1_Pooling/README.md", "x_1/config.json"] {
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
