//! `--model` takes a directory or a Hugging Face name.

use std::path::{Path, PathBuf};

use hf_hub::Cache;
use hf_hub::api::sync::ApiBuilder;

use crate::ModelError;
use crate::directory::WEIGHTS;

/// Files that a model cannot do without, beside its weights.
const REQUIRED: [&str; 2] = ["config.json", "tokenizer.json"];

/// Files at the root that say more about it, or belong to it.
const OPTIONAL: [&str; 7] = [
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "colbert_linear.pt",
    "sparse_linear.pt",
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
    let cached = Cache::from_env().model(model.to_owned());
    let is_cached = |file: &&str| cached.get(file).is_some();
    if REQUIRED.iter().all(&is_cached) && WEIGHTS.iter().any(&is_cached) {
        return cached
            .get(REQUIRED[0])
            .and_then(|file| file.parent().map(Path::to_owned))
            .ok_or_else(|| fail("cache is damaged".into()));
    }
    if offline {
        return Err(fail("no such directory, and not in the Hugging Face cache (HF_HUB_OFFLINE is set)".into()));
    }
    let api = ApiBuilder::from_env().with_progress(false).build().map_err(|error| fail(error.to_string()))?;
    let repository = api.model(model.to_owned());
    let info = repository.info().map_err(|error| {
        fail(format!("no such directory, and the Hugging Face hub did not answer: {error}\nhint: name a model directory, or check the network"))
    })?;
    let there = |file: &str| info.siblings.iter().any(|sibling| sibling.rfilename == file);
    if let Some(missing) = REQUIRED.into_iter().find(|file| !there(file)) {
        return Err(fail(format!("the repository has no {missing}")));
    }
    let mut root = None;
    let [safetensors, checkpoint] = WEIGHTS;
    let weights = WEIGHTS.into_iter().find(|file| there(file));
    let weights = weights.ok_or_else(|| fail(format!("the repository has neither {safetensors} nor {checkpoint}")))?;
    let of_modules = info.siblings.iter().map(|sibling| sibling.rfilename.as_str()).filter(|file| is_of_a_module(file));
    // What is required comes last: a cache that has it has everything.
    let optional = OPTIONAL.into_iter().filter(|file| there(file));
    for file in optional.chain(of_modules).chain([weights]).chain(REQUIRED) {
        let path = repository.get(file).map_err(|error| fail(format!("{file}: {error}")))?;
        if file == REQUIRED[0] {
            root = path.parent().map(Path::to_owned);
        }
    }
    root.ok_or_else(|| fail("the cache has no directory".into()))
}

/// Whether a file is one of a module's, whose folder sentence-transformers names `1_Pooling`.
fn is_of_a_module(file: &str) -> bool {
    file.split_once('/').is_some_and(|(folder, name)| {
        let is_numbered = folder.split_once('_').is_some_and(|(index, _)| index.parse::<u8>().is_ok());
        is_numbered && (name == "config.json" || WEIGHTS.contains(&name))
    })
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
