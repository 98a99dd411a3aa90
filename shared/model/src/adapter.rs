//! Low-rank adapters as PEFT saves them: `adapter_config.json`, and beside it the matrices A and B of each layer that
//! they change.
//!
//! Source: `LoraConfig` and `Linear.get_delta_weight` in `peft/tuners/lora`.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use embtune_encoders::Parameter;
use embtune_tensors::{Dtype, Tensor, TensorSpec, f32_le_bytes, stream_tensors};
use serde::Deserialize;
use serde_json::{Map, Value};
use tempfile::TempPath;

use crate::tensor_files::TensorFiles;
use crate::weights::{Weights, without_prefix};
use crate::{ModelError, files};

pub(crate) const CONFIG: &str = "adapter_config.json";

/// Names of the adapter's tensors, in order of preference.
pub(crate) const WEIGHTS: [&str; 2] = ["adapter_model.safetensors", "adapter_model.bin"];

/// The only kind of adapter that is merged.
const KIND: &str = "LORA";

/// What PEFT puts before the name of a layer.
const PREFIX: &str = "base_model.model.";

/// The ends of the names of A and B.
const A: &str = ".lora_A.weight";
const B: &str = ".lora_B.weight";

/// Keys that do not affect the merged weights. Which layers are changed, and the ranks, are seen from the tensors.
#[rustfmt::skip]
const WITHOUT_EFFECT: [&str; 14] = [
    "auto_mapping", "exclude_modules", "inference_mode", "layers_pattern", "layers_to_transform", "lora_dropout",
    "megatron_core", "peft_version", "qalora_group_size", "r", "rank_pattern", "runtime_config", "target_modules",
    "task_type",
];

/// An adapter, which changes weights W of another model to `W + s · B A`.
#[derive(Debug, Clone)]
pub(crate) struct Adapter {
    pub(crate) folder: PathBuf,
    /// The model that it changes: a directory or a Hugging Face name.
    pub(crate) base: String,
    alpha: f64,
    /// α of the layers whose name is, or ends with, such a name.
    alpha_pattern: Vec<(String, f64)>,
    /// Whether s is `α / √r` (rank-stabilised, Kalajdzievski 2023), and not `α / r`.
    is_rank_stabilised: bool,
}

#[derive(Deserialize)]
struct Raw {
    peft_type: Option<String>,
    base_model_name_or_path: Option<String>,
    lora_alpha: Option<f64>,
    alpha_pattern: Option<Map<String, Value>>,
    use_rslora: Option<bool>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl Adapter {
    /// Reads the adapter in a folder, if there is one.
    ///
    /// # Errors
    /// It is of a kind that cannot be merged, or has a setting that embtune does not support.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>, ModelError> {
        let file = folder.join(CONFIG);
        let Some(raw) = files::read_optional_json::<Raw>(&file)? else { return Ok(None) };
        Self::new(folder, raw).map(Some).map_err(|what| ModelError::content(&file, what))
    }

    fn new(folder: &Path, raw: Raw) -> Result<Self, String> {
        match raw.peft_type.as_deref() {
            Some(KIND) => {}
            Some(other) => return Err(format!("peft_type \"{other}\" is not supported (supported: {KIND})")),
            None => return Err(format!("has no peft_type (supported: {KIND})")),
        }
        for (key, value) in &raw.rest {
            let is_off = value.is_null()
                || *value == false
                || value.as_array().is_some_and(Vec::is_empty)
                || value.as_object().is_some_and(Map::is_empty);
            let is_known = match key.as_str() {
                "bias" => *value == "none",
                // The others change the base's weights when an adapter is made.
                "init_lora_weights" => *value == true || *value == "gaussian",
                "revision" => *value == "main",
                key => WITHOUT_EFFECT.contains(&key),
            };
            if !is_off && !is_known {
                return Err(format!(
                    "{key} {value} is not supported\nhint: merge it (peft: merge_and_unload) and save the model"
                ));
            }
        }
        let number = |key: &str, value: f64| match value.is_finite() {
            true => Ok(value),
            false => Err(format!("{key} {value} is not a number")),
        };
        let pattern = raw.alpha_pattern.unwrap_or_default().into_iter().map(|(name, alpha)| {
            let is_name = name.chars().all(|c| c.is_alphanumeric() || "._-".contains(c));
            match alpha.as_f64().filter(|_| is_name) {
                Some(alpha) => Ok((name, alpha)),
                None => {
                    Err(format!("\"{name}\": {alpha} of alpha_pattern is not supported (supported: names of layers)"))
                }
            }
        });
        Ok(Self {
            // Without the slash at the end that joining an empty path adds.
            folder: folder.components().collect(),
            base: raw.base_model_name_or_path.ok_or("has no base_model_name_or_path")?,
            alpha: number("lora_alpha", raw.lora_alpha.ok_or("has no lora_alpha")?)?,
            alpha_pattern: pattern.collect::<Result<_, String>>()?,
            is_rank_stabilised: raw.use_rslora.unwrap_or(false),
        })
    }

    /// The files of the adapter.
    ///
    /// # Errors
    /// The file of its tensors is missing.
    pub(crate) fn files(&self) -> Result<[PathBuf; 2], ModelError> {
        let weights = WEIGHTS.into_iter().map(|name| self.folder.join(name)).find(|path| path.exists());
        let [first, second] = WEIGHTS;
        let missing =
            || ModelError::content(&self.folder.join(first), format!("No such file, and no {second} beside it"));
        Ok([self.folder.join(CONFIG), weights.ok_or_else(missing)?])
    }

    /// Writes the changed weights, f32, by the names that they have in the files of the base, into a temporary file.
    ///
    /// They are f32 whatever the type of the base, because rounding to 16 bits would lose most of a small change.
    ///
    /// # Errors
    /// The adapter changes something else than the encoder's matrices, or the file cannot be written.
    pub(crate) fn merge(&self, base: &Weights, parameters: &[Parameter]) -> Result<TempPath, ModelError> {
        let [_, file] = self.files()?;
        let tensors = TensorFiles::of_file(file)?;
        let layers = self.layers(&tensors, parameters)?;
        let specs: Vec<TensorSpec> = layers
            .iter()
            .map(|layer| TensorSpec {
                name: base.stored_name(&layer.weight.name),
                dtype: Dtype::F32,
                shape: layer.weight.shape.clone(),
            })
            .collect();
        let write = || {
            let mut file = tempfile::Builder::new().prefix("embtune-merged-").suffix(".safetensors").tempfile()?;
            let mut out = BufWriter::new(&mut file);
            stream_tensors(&specs, Some(("format", "pt")), &mut out, |index| {
                let layer = &layers[index];
                let old = base.require(&layer.weight.name).map_err(io::Error::other)?;
                Ok(f32_le_bytes(&layer.merged(&old)?).into_owned().into())
            })?;
            out.flush()?;
            drop(out);
            Ok(file.into_temp_path())
        };
        write().map_err(|error: io::Error| {
            let what = format!("the merged weights cannot be written into the temporary folder: {error}");
            ModelError::content(&self.folder.join(CONFIG), what)
        })
    }

    /// The layers that the adapter changes.
    fn layers<'a>(&self, tensors: &'a TensorFiles, parameters: &'a [Parameter]) -> Result<Vec<Layer<'a>>, ModelError> {
        let refuse = |what: String| ModelError::content(tensors.main(), what);
        let mut stems: BTreeMap<String, [Option<Tensor<'a>>; 2]> = BTreeMap::new();
        for name in tensors.names() {
            let end = [A, B].into_iter().position(|end| name.ends_with(end));
            let stem =
                name.strip_prefix(PREFIX).zip(end).map(|(stem, end)| (stem[..stem.len() - A.len()].to_owned(), end));
            let Some((stem, end)) = stem else {
                return Err(refuse(format!(
                    "tensor \"{name}\" is not supported (supported: {PREFIX}LAYER{A} and {B})"
                )));
            };
            stems.entry(stem).or_default()[end] = tensors.get(&name);
        }
        let mut layers = Vec::new();
        for (stem, matrices) in stems {
            let find = |name: &str| parameters.iter().find(|parameter| parameter.name == format!("{name}.weight"));
            let Some(weight) = without_prefix(&stem, find).filter(|weight| weight.shape.len() == 2) else {
                return Err(refuse(format!("it changes \"{stem}\", which is not a linear layer of its base")));
            };
            let [Some(a), Some(b)] = matrices else {
                return Err(refuse(format!("layer \"{stem}\" has only one of {A} and {B}")));
            };
            let rank = a.shape.first().copied().unwrap_or(0);
            let expected = [[rank, weight.shape[1]], [weight.shape[0], rank]];
            if rank == 0 || a.shape != expected[0] || b.shape != expected[1] {
                return Err(refuse(format!(
                    "{A} {:?} and {B} {:?} of layer \"{stem}\" do not fit its weight {:?}",
                    a.shape, b.shape, weight.shape
                )));
            }
            for matrix in [a, b] {
                if !matches!(matrix.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16) {
                    return Err(refuse(format!("the matrices of layer \"{stem}\" are {:?}, not floats", matrix.dtype)));
                }
            }
            layers.push(Layer { weight, a, b, scale: self.scale(&stem, rank) });
        }
        Ok(layers)
    }

    /// s of a layer.
    fn scale(&self, stem: &str, rank: usize) -> f32 {
        let is_meant = |name: &str| stem.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        let of_layer = self.alpha_pattern.iter().find(|(name, _)| is_meant(name)).map(|(_, alpha)| *alpha);
        let rank = rank as f64;
        (of_layer.unwrap_or(self.alpha) / if self.is_rank_stabilised { rank.sqrt() } else { rank }) as f32
    }
}

/// A layer that an adapter changes.
struct Layer<'a> {
    /// W, `[out, in]`.
    weight: &'a Parameter,
    /// `[r, in]`.
    a: Tensor<'a>,
    /// `[out, r]`.
    b: Tensor<'a>,
    scale: f32,
}

impl Layer<'_> {
    /// `W + s · B A`.
    fn merged(&self, weight: &Tensor<'_>) -> io::Result<Vec<f32>> {
        let floats = |tensor: &Tensor<'_>| tensor.to_f32().map(|values| values.into_owned()).map_err(io::Error::other);
        let (mut merged, a, b) = (floats(weight)?, floats(&self.a)?, floats(&self.b)?);
        let columns = self.weight.shape.last().copied().unwrap_or(1).max(1);
        let rank = (a.len() / columns).max(1);
        let mut change = vec![0.0; columns];
        for (row, factors) in merged.chunks_exact_mut(columns).zip(b.chunks_exact(rank)) {
            change.fill(0.0);
            for (factor, a) in factors.iter().zip(a.chunks_exact(columns)) {
                change.iter_mut().zip(a).for_each(|(sum, a)| *sum += factor * a);
            }
            row.iter_mut().zip(&change).for_each(|(w, change)| *w += change * self.scale);
        }
        Ok(merged)
    }
}
