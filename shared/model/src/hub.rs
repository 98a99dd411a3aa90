//! `--model` takes a directory or a Hugging Face name.

use std::fs;
use std::path::{Path, PathBuf};

use embtune_cli::Proxies;
use hf_hub::Cache;
use hf_hub::api::sync::ApiBuilder;
use serde_json::Value;

use crate::directory::WEIGHTS;
use crate::download::Remote;
use crate::encoder::Refusal;
use crate::{AnyModelDir, EncoderConfig, ModelError, OnnxEncoder, external_data, json, modules, transformer};

const CONFIG: &str = "config.json";
const MODULES: &str = "modules.json";
const TOKENIZER: &str = "tokenizer.json";

/// Files at the root that say more about a model, or belong to it.
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
/// Hugging Face cache (`HF_HOME`), which is filled from the hub unless `offline`.
///
/// # Errors
/// Neither a directory nor a name, or a model that cannot be fetched.
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
    let lacking = cached.map(what_lacks);
    match (cached, lacking.flatten()) {
        (Some(snapshot), None) => return Ok(snapshot.to_owned()),
        (None, _) if offline => {
            return Err(fail("no such directory, and not in the Hugging Face cache (HF_HUB_OFFLINE is set)".into()));
        }
        (Some(_), Some(what)) if offline => {
            let hint = "hint: without HF_HUB_OFFLINE and --offline the rest is fetched";
            return Err(fail(format!("its copy in the Hugging Face cache cannot be used: {what}\n{hint}")));
        }
        _ => {}
    }
    let api = ApiBuilder::from_env().with_progress(false).build().map_err(|error| fail(error.to_string()))?;
    let proxies = Proxies::of_environment().map_err(|error| fail(error.to_string()))?;
    let remote = Remote { repository: api.model(model.to_owned()), cache, proxies };
    let files = remote.files().map_err(|error| {
        fail(format!("no such directory, and the Hugging Face hub did not answer: {error}\nhint: name a model directory, or check the network"))
    })?;
    fetch(&remote, &files, &fail)
}

/// Fetches what a model is made of, and says where it then is.
fn fetch(remote: &Remote, files: &[String], fail: &impl Fn(String) -> ModelError) -> Result<PathBuf, ModelError> {
    let there = |file: &&str| files.iter().any(|there| there == file);
    let get = |file: &str| remote.fetch(file).map_err(|error| fail(format!("{file}: {error}")));
    if let Some(missing) = [CONFIG, TOKENIZER].iter().find(|file| !there(file)) {
        return Err(fail(format!("the repository has no {missing}")));
    }
    let config = get(CONFIG)?;
    let root = config.parent().unwrap_or(Path::new("")).to_owned();
    let refusal = EncoderConfig::from_json(&json::read::<Value>(&config)?).err();
    let onnx = OnnxEncoder::PLACES.into_iter().find(there);
    let weights = WEIGHTS.into_iter().find(there).filter(|_| refusal.is_none());
    for file in OPTIONAL.into_iter().chain(transformer::FILES).filter(there) {
        get(file)?;
    }
    for file in files.iter().filter(|file| is_of_a_module(file)) {
        get(file)?;
    }
    match (weights, onnx, refusal) {
        (Some(file), _, _) => drop(get(file)?),
        (None, Some(place), _) => {
            let folder = Path::new(place).parent().unwrap_or(Path::new(""));
            for data in external_data::names(&get(place)?)? {
                get(&folder.join(data).display().to_string())?;
            }
        }
        (None, None, Some(Refusal::Content(what) | Refusal::Unsupported(what))) => {
            return Err(fail(format!("{what}, and the repository has no {}", OnnxEncoder::PLACES.join(" or "))));
        }
        (None, None, None) => {
            let [safetensors, checkpoint] = WEIGHTS;
            return Err(fail(format!("the repository has neither {safetensors} nor {checkpoint}")));
        }
    }
    if !there(&MODULES)
        && let Some(mark) = absence_mark(&root)
    {
        // Where it cannot be left, the hub is asked again.
        let _ = mark.parent().map(fs::create_dir_all);
        let _ = fs::write(mark, "");
    }
    // Last: a cache that has it has everything.
    get(TOKENIZER)?;
    Ok(root)
}

/// What keeps a snapshot in the cache from being a whole model. Other programs fetch what they need: one without
/// `modules.json` may be a model whose pooling nobody has asked for, or one that has none.
fn what_lacks(snapshot: &Path) -> Option<String> {
    let knows_modules = snapshot.join(MODULES).exists() || absence_mark(snapshot).is_some_and(|mark| mark.exists());
    match AnyModelDir::open_any(snapshot) {
        Err(error) => Some(error.to_string()),
        Ok(_) if !knows_modules => Some(format!("it lacks {MODULES}, and nothing says that the model has none")),
        Ok(_) => None,
    }
}

/// Where Hugging Face's programs note that the repository of a snapshot has no `modules.json`.
fn absence_mark(snapshot: &Path) -> Option<PathBuf> {
    let (commit, repository) = (snapshot.file_name()?, snapshot.parent()?.parent()?);
    Some(repository.join(".no_exist").join(commit).join(MODULES))
}

/// Whether a file is one of a module's.
fn is_of_a_module(file: &str) -> bool {
    file.split_once('/')
        .is_some_and(|(folder, name)| modules::is_folder(folder) && (name == "config.json" || WEIGHTS.contains(&name)))
}

#[cfg(test)]
mod tests {
    use super::{is_of_a_module, locate};

    #[test]
    fn files_of_modules_are_fetched() {
        assert!(is_of_a_module("1_Pooling/config.json") && is_of_a_module("2_Dense/model.safetensors"));
        for other in ["config.json", "onnx/config.json", "1_Pooling/README.md", "x_1/config.json"] {
            assert!(!is_of_a_module(other), "{other}");
        }
    }

    #[test]
    fn what_is_neither_directory_nor_name_is_refused() {
        for bad in ["", "nowhere", "a/b/c", "../x", "/nowhere/model", "a b/c"] {
            let error = locate(bad, true).unwrap_err().to_string();
            assert!(error.contains("no such"), "{bad}: {error}");
        }
    }
}
