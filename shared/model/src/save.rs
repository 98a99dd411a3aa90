//! Writing a model directory.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use embtune_cli::AtomicDir;
use embtune_encoders::Parameter;
use embtune_tensors::{Dtype, Tensor, TensorSpec, fits, float_bytes, stream_tensors};
use serde_json::{Map, Value, json};

use crate::dense::Dense;
use crate::directory::ModelDir;
use crate::tensor_files::Place;
use crate::weights::Weights;
use crate::{ModelError, files, missing_tokenizer_files, modules, sentence_config, transformer_config};

/// Files of the tokenizer that are copied unchanged, if they exist.
const OF_TOKENIZER: [&str; 8] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "added_tokens.json",
];

const CONFIG: &str = "config.json";

/// Size above which transformers divides weights into several files.
const LARGE_BYTES: u64 = 50 << 30;

/// New values of a model's tensors, by their names in [`ModelDir::parameters`].
pub type NewWeights = BTreeMap<String, Vec<f32>>;

/// Writes a copy of `base` with new weights to `target`, in the legacy sentence-transformers layout, with the prompts
/// of [`ModelDir::with_prompts`].
///
/// The weights are one file, however many the base has. Tensors that `weights` does not name, such as a pooler, are
/// copied. A tensor of 16 bits stays one if that does not change a value; otherwise it becomes f32. The directory appears complete, replacing an
/// older one in a single step, or not at all. Before it appears, `finish` may add files to the folder that it is given.
///
/// # Errors
/// `target` exists and `overwrite` is false, or a file cannot be written.
pub fn save<E: From<ModelError>>(
    base: &ModelDir,
    weights: &NewWeights,
    target: &Path,
    overwrite: bool,
    finish: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    check_replaceable(target, overwrite)?;
    let folder = AtomicDir::create(target).map_err(|error| ModelError::io(target, error))?;
    write_files(base, weights, folder.path())?;
    finish(folder.path())?;
    folder.commit().map_err(|error| ModelError::io(target, error))?;
    Ok(())
}

/// Checks before a training whether [`save`] will be able to write a copy of `base` to `target`, so that the user
/// learns of an obstacle before hours of work, not after them. Returns warnings, if the directory cannot appear in a
/// single step, or its file of weights will be unusually large. Changes nothing.
///
/// # Errors
/// `target` must not be replaced or cannot be written, or the disk has too little room.
pub fn check_target(base: &ModelDir, target: &Path, overwrite: bool) -> Result<Vec<String>, ModelError> {
    check_replaceable(target, overwrite)?;
    let folder = AtomicDir::create(target).map_err(|error| ModelError::io(target, error))?;
    let bytes = |shape: &[usize]| shape.iter().fold(size_of::<f32>(), |bytes, size| bytes.saturating_mul(*size)) as u64;
    let needed = base.parameters().iter().fold(0, |sum: u64, parameter| sum.saturating_add(bytes(&parameter.shape)));
    let free = folder.free_bytes().map_err(|error| ModelError::io(target, error))?;
    if free < needed {
        let (needed, free) = (needed >> 20, free >> 20);
        return Err(ModelError::content(target, format!("needs {needed} MB, and the disk has {free} MB free")));
    }
    let large = (needed > LARGE_BYTES).then(|| {
        format!(
            "its model.safetensors will have up to {} GB, in one file, which some programs do not load",
            needed >> 30
        )
    });
    Ok(folder
        .slow()
        .map(str::to_owned)
        .into_iter()
        .chain(large)
        .map(|warning| format!("{}: {warning}", target.display()))
        .collect())
}

fn check_replaceable(target: &Path, overwrite: bool) -> Result<(), ModelError> {
    if AtomicDir::is_vacant(target) {
        return Ok(());
    }
    // Replacing a directory that is not a model would destroy other data.
    if !target.join("modules.json").exists() {
        return Err(ModelError::content(target, "exists and is not a model directory; it is left alone"));
    }
    if !overwrite {
        return Err(ModelError::content(target, "exists already\nhint: --overwrite replaces it"));
    }
    let names = fs::read_dir(target).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let names = names.map_err(|error| ModelError::io(target, error))?;
    let mut names = names.iter().map(|entry| entry.file_name().to_string_lossy().into_owned());
    match names.find(|name| !is_model_file(name)) {
        None => Ok(()),
        Some(name) => {
            let what = format!(
                "contains \"{name}\", which is not part of a model and would be lost\nhint: move it away, or choose another directory"
            );
            Err(ModelError::content(target, what))
        }
    }
}

/// Whether a name in a directory is that of a part of a model, as sentence-transformers, transformers and the hub write
/// them. Replacing a model removes only such files.
fn is_model_file(name: &str) -> bool {
    const NAMES: [&str; 9] =
        ["README.md", "LICENSE", "vocab.txt", "merges.txt", ".gitattributes", ".cache", "adapter", "onnx", "openvino"];
    const EXTENSIONS: [&str; 9] =
        [".json", ".safetensors", ".bin", ".onnx", ".onnx_data", ".model", ".jinja", ".msgpack", ".h5"];
    NAMES.contains(&name)
        || EXTENSIONS.iter().any(|end| name.ends_with(end))
        || modules::is_module_folder(name)
        // Belongs to the file system, and is not removed.
        || name == "lost+found"
}

fn write_files(base: &ModelDir, weights: &NewWeights, folder: &Path) -> Result<(), ModelError> {
    let tokenizer_files = OF_TOKENIZER.map(|name| (base.tokenizer_folder(), name));
    let model_files =
        [sentence_config::FILE].into_iter().chain(base.other_heads()).map(|name| (base.root().to_owned(), name));
    let config = [(base.encoder_folder(), CONFIG)];
    for (from, name) in config.into_iter().chain(tokenizer_files).chain(model_files) {
        let from = from.join(name);
        match files::read_bytes(&from) {
            Ok(bytes) => write_file(&folder.join(name), &bytes)?,
            Err(ModelError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    for (name, content) in missing_tokenizer_files(base)? {
        write_json(&folder.join(name), &content)?;
    }
    write_prompts(base, &folder.join(sentence_config::FILE))?;
    let [transformer_file, ..] = transformer_config::FILES;
    write_json(&folder.join(transformer_file), &base.transformer().legacy(base.max_seq_length()))?;
    let mut modules = vec![module(0, "", "Transformer")];
    let mut add = |class: &str| {
        let name = format!("{}_{class}", modules.len());
        modules.push(module(modules.len(), &name, class));
        let path = folder.join(name);
        fs::create_dir(&path).map_err(|error| ModelError::io(&path, error))?;
        Ok::<_, ModelError>(path)
    };
    let pooling = base.pooling().legacy_config(base.config().hidden_size, base.includes_prompt());
    write_json(&add("Pooling")?.join("config.json"), &pooling)?;
    let old = base.weights()?;
    let types = base
        .parameters()
        .into_iter()
        .map(|Parameter { name, .. }| Ok(saved_type(&old.require(&name)?, weights.get(&name))));
    if types.collect::<Result<Vec<_>, ModelError>>()?.contains(&Dtype::F32) {
        mark_float32(&folder.join(CONFIG))?;
    }
    for dense in base.dense() {
        let path = add("Dense")?;
        write_json(&path.join("config.json"), &dense.config())?;
        write_dense(&old, dense, weights, &path.join("model.safetensors"))?;
    }
    if base.normalizes() {
        add("Normalize")?;
    }
    write_json(&folder.join("modules.json"), &Value::Array(modules))?;
    write_weights(&old, weights, &folder.join("model.safetensors"))
}

fn module(index: usize, path: &str, class: &str) -> Value {
    json!({"idx": index, "name": index.to_string(), "path": path, "type": format!("sentence_transformers.models.{class}")})
}

/// transformers loads all weights in the type that the config names, which must not round those that are f32.
fn mark_float32(config: &Path) -> Result<(), ModelError> {
    let mut object: Map<String, Value> = files::read_json(config)?;
    for name in ["torch_dtype", "dtype"] {
        if let Some(dtype) = object.get_mut(name) {
            *dtype = "float32".into();
        }
    }
    write_json(config, &Value::Object(object))
}

/// Writes the prompts into the file if they differ from those in it; the file's other settings stay.
fn write_prompts(base: &ModelDir, path: &Path) -> Result<(), ModelError> {
    let mut config: Map<String, Value> = files::read_optional_json(path)?.unwrap_or_default();
    let stored = config.get("prompts").and_then(Value::as_object).cloned().unwrap_or_default();
    let mut prompts = stored.clone();
    prompts.extend(base.prompts().iter().map(|(name, text)| (name.clone(), text.as_str().into())));
    if prompts == stored {
        return Ok(());
    }
    config.insert("prompts".into(), prompts.into());
    config.entry("default_prompt_name").or_insert(Value::Null);
    write_json(path, &Value::Object(config))
}

fn write_json(path: &Path, value: &Value) -> Result<(), ModelError> {
    let mut text = format!("{value:#}");
    text.push('\n');
    write_file(path, text.as_bytes())
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), ModelError> {
    fs::write(path, bytes).map_err(|error| ModelError::io(path, error))
}

/// Writes the encoder's file: the tensors with new values, and the base's other tensors, such as a pooler. If a tensor
/// with new values has a second name (tied weights), the second name is left out, as usual in safetensors files:
/// readers tie them again.
fn write_weights(old: &Weights, new: &NewWeights, path: &Path) -> Result<(), ModelError> {
    let stored = old.stored();
    let new: BTreeMap<String, &Vec<f32>> = new.iter().map(|(name, values)| (old.stored_name(name), values)).collect();
    let places: BTreeSet<Place<'_>> = new.keys().filter_map(|name| stored.place(name)).collect();
    let mut tensors = Vec::new();
    for name in &stored.names() {
        let tensor = stored.require(name)?;
        let values = new.get(name);
        let is_tied = !tensor.is_empty() && stored.place(name).is_some_and(|place| places.contains(&place));
        if values.is_some() || !is_tied {
            tensors.push((name.clone(), tensor, values.copied()));
        }
    }
    write_tensor_file(&tensors, path)
}

fn write_dense(old: &Weights, dense: &Dense, new: &NewWeights, path: &Path) -> Result<(), ModelError> {
    let parameters = dense.parameters().into_iter().map(|parameter| {
        let name = parameter.name.strip_prefix(&format!("{}.", dense.name)).unwrap_or(&parameter.name).to_owned();
        Ok((name, old.require(&parameter.name)?, new.get(&parameter.name)))
    });
    write_tensor_file(&parameters.collect::<Result<Vec<_>, ModelError>>()?, path)
}

/// The type in which new values are written: that of the tensor that they replace, unless it would round them.
///
/// sentence-transformers writes the type in which the model was loaded, because it trains in that type. Here, values
/// are trained in f32, and their changes are often smaller than the steps of a type of 16 bits.
fn saved_type(old: &Tensor<'_>, new: Option<&Vec<f32>>) -> Dtype {
    match new {
        Some(values) if !fits(values, old.dtype) => Dtype::F32,
        _ => old.dtype,
    }
}

/// Writes tensors by name: with new values if they have any, else unchanged.
fn write_tensor_file(tensors: &[(String, Tensor<'_>, Option<&Vec<f32>>)], path: &Path) -> Result<(), ModelError> {
    let spec = |(name, old, new): &(String, Tensor<'_>, Option<&Vec<f32>>)| TensorSpec {
        name: name.clone(),
        dtype: saved_type(old, *new),
        shape: old.shape.to_vec(),
    };
    let specs: Vec<_> = tensors.iter().map(spec).collect();
    let write = || {
        let mut out = BufWriter::new(File::create(path)?);
        stream_tensors(&specs, Some(("format", "pt")), &mut out, |index| {
            let (_, old, new) = &tensors[index];
            Ok(new.map_or(Cow::Borrowed(old.bytes), |values| float_bytes(values, specs[index].dtype)))
        })?;
        out.flush()
    };
    write().map_err(|error| ModelError::io(path, error))
}
