//! Models that are on this machine: directories, and snapshots in the Hugging Face cache.

use std::path::{Path, PathBuf};

use hf_hub::{Cache, CacheRepo};

use crate::adapter;

/// The files of which a snapshot has at least one, whatever kind of model it is.
const FIRST: [&str; 3] = ["config.json", "modules.json", adapter::CONFIG];

/// Whether a text is a Hugging Face name, such as `BAAI/bge-small-en-v1.5`.
pub(crate) fn is_name(model: &str) -> bool {
    model.split('/').count() == 2
        && model.split('/').all(|part| {
            !part.is_empty()
                && !part.starts_with('.')
                && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        })
}

/// The part of the Hugging Face cache (`HF_HOME`) that belongs to a name.
pub(crate) fn cache(name: &str) -> CacheRepo {
    Cache::from_env().model(name.to_owned())
}

/// The newest snapshot of a model in its cache, which may lack files.
pub(crate) fn cached(cache: &CacheRepo) -> Option<PathBuf> {
    let file = FIRST.into_iter().find_map(|file| cache.get(file))?;
    file.parent().map(Path::to_owned)
}

/// The folder of a model that is a directory or a Hugging Face name, if it is on this machine.
pub(crate) fn find(model: &str) -> Option<PathBuf> {
    let path = Path::new(model);
    if path.is_dir() {
        return Some(path.to_owned());
    }
    if is_name(model) { cached(&cache(model)) } else { None }
}
