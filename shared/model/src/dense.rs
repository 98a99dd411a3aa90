//! Linear layers after the pooling: `N_Dense/config.json`, and the tensors beside it.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use embtune_encoders::{Linear, Parameter, Part};
use embtune_tensors::Tensor;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::parameters::check;
use crate::tensor_files::{TensorFiles, WeightFiles};
use crate::{ModelError, files};

/// The key under which sentence-transformers' modules pass a text's vector to each other.
const SENTENCE_EMBEDDING: &str = "sentence_embedding";

/// A layer `activation(W x + b)`.
///
/// Source: `sentence_transformers/base/modules/dense.py`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dense {
    /// Name of the module, such as `2_Dense`: the prefix of its tensors' names, and its folder in a saved directory.
    pub name: String,
    /// Number of input elements.
    pub in_features: usize,
    /// Number of output elements.
    pub out_features: usize,
    /// Whether the layer has a bias.
    pub bias: bool,
    /// Activation function.
    pub activation: DenseActivation,
    /// Folder of the module in the directory that was read.
    pub(crate) path: PathBuf,
}

/// Activation function of a [`Dense`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DenseActivation {
    /// `x`.
    Identity,
    /// `tanh(x)`.
    Tanh,
    /// `x · Φ(x)` with the exact error function.
    Gelu,
    /// `max(x, 0)`.
    Relu,
}

#[derive(Deserialize)]
struct RawDense {
    in_features: usize,
    out_features: usize,
    #[serde(default = "default_bias")]
    bias: bool,
    activation_function: Option<String>,
    module_input_name: Option<String>,
    module_output_name: Option<String>,
    #[serde(default)]
    use_residual: bool,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

fn default_bias() -> bool {
    true
}

impl DenseActivation {
    const ALL: [Self; 4] = [Self::Identity, Self::Tanh, Self::Gelu, Self::Relu];

    /// The class in PyTorch.
    fn class(self) -> &'static str {
        match self {
            Self::Identity => "torch.nn.modules.linear.Identity",
            Self::Tanh => "torch.nn.modules.activation.Tanh",
            Self::Gelu => "torch.nn.modules.activation.GELU",
            Self::Relu => "torch.nn.modules.activation.ReLU",
        }
    }
}

impl Dense {
    /// Reads the module `index` from its folder `path` below `root`. `input_dimension` is the number of elements that
    /// the module before it outputs.
    pub(crate) fn read(
        root: &Path,
        path: PathBuf,
        index: usize,
        input_dimension: Option<usize>,
    ) -> Result<Self, ModelError> {
        let file = root.join(&path).join("config.json");
        let raw: RawDense = files::read_json(&file)?;
        let refuse = |what: String| Err(ModelError::content(&file, what));
        if let Some(dimension) = input_dimension.filter(|dimension| *dimension != raw.in_features) {
            return refuse(format!("in_features is {}, but its input has {dimension} elements", raw.in_features));
        }
        if raw.out_features == 0 {
            return refuse("out_features is 0".into());
        }
        if let Some((key, value)) = raw.rest.iter().find(|(_, value)| !value.is_null()) {
            return refuse(format!("{key} {value} is unknown"));
        }
        if raw.use_residual {
            return refuse("use_residual is not supported".into());
        }
        for name in [raw.module_input_name, raw.module_output_name].into_iter().flatten() {
            if name != SENTENCE_EMBEDDING {
                return refuse(format!(
                    "module input or output \"{name}\" is not supported (supported: {SENTENCE_EMBEDDING})"
                ));
            }
        }
        // The module paths differ between versions of PyTorch; the names of the classes do not.
        let class = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
        let activation = match &raw.activation_function {
            None => DenseActivation::Tanh,
            Some(name) => {
                let known = DenseActivation::ALL.into_iter().find(|known| class(known.class()) == class(name));
                match known.filter(|_| name.starts_with("torch.")) {
                    Some(activation) => activation,
                    None => {
                        let known = DenseActivation::ALL.map(|known| class(known.class())).join(", ");
                        return refuse(format!(
                            "activation_function \"{name}\" is not supported (supported: PyTorch's {known})"
                        ));
                    }
                }
            }
        };
        Ok(Self {
            name: format!("{index}_Dense"),
            in_features: raw.in_features,
            out_features: raw.out_features,
            bias: raw.bias,
            activation,
            path,
        })
    }

    /// The tensors `linear.weight` `[out, in]` and, with a bias, `linear.bias` `[out]`, prefixed with [`Dense::name`].
    pub fn parameters(&self) -> Vec<Parameter> {
        self.linear().parameters(Part::Head)
    }

    /// The layer without its activation function.
    pub fn linear(&self) -> Linear {
        Linear::new(format!("{}.linear", self.name), [self.out_features, self.in_features], self.bias)
    }

    /// `config.json` of the module.
    pub(crate) fn config(&self) -> Value {
        json!({
            "in_features": self.in_features,
            "out_features": self.out_features,
            "bias": self.bias,
            "activation_function": self.activation.class(),
        })
    }
}

/// The mapped tensors of all [`Dense`] modules, which have the right shapes.
pub struct DenseWeights {
    /// The name of each module, and its tensors.
    modules: Vec<(String, TensorFiles)>,
}

impl DenseWeights {
    /// Opens `files`, which are those of each module below `root`.
    pub(crate) fn open(modules: &[Dense], files: &[WeightFiles], root: &Path) -> Result<Self, ModelError> {
        let mut opened = Vec::new();
        for (module, files) in modules.iter().zip(files) {
            let tensors = files.open(root)?;
            let mut names = tensors.names();
            for parameter in module.parameters() {
                let stored = stored_name(&module.name, &parameter.name).unwrap_or_default();
                check(&parameter, &tensors, stored)?;
                names.retain(|name| name != stored);
            }
            if let Some(name) = names.first() {
                let what = format!("unexpected tensor \"{name}\" for a Dense module");
                return Err(ModelError::content(tensors.file_of(name), what));
            }
            opened.push((module.name.clone(), tensors));
        }
        Ok(Self { modules: opened })
    }

    /// A tensor of [`Dense::parameters`]; `None` if the name belongs to no module.
    ///
    /// # Errors
    /// The module has no tensor of this name.
    pub(crate) fn get(&self, name: &str) -> Result<Option<Tensor<'_>>, ModelError> {
        let Some((tensors, stored)) = self.find(name) else { return Ok(None) };
        Ok(Some(tensors.require(stored)?))
    }

    /// A tensor of [`Dense::parameters`] as f32, row-major.
    ///
    /// # Errors
    /// There is no such tensor, or it is not made of floats.
    pub fn floats(&self, parameter: &Parameter) -> Result<Cow<'_, [f32]>, ModelError> {
        let missing = || ModelError::content(Path::new(&parameter.name), "belongs to no Dense module");
        let (tensors, stored) = self.find(&parameter.name).ok_or_else(missing)?;
        let not_floats = |kind| ModelError::content(tensors.file_of(stored), format!("tensor \"{stored}\" is {kind}"));
        tensors.require(stored)?.to_f32().map_err(not_floats)
    }

    /// The tensors of the module that a tensor belongs to, and its name among them.
    fn find<'a>(&self, name: &'a str) -> Option<(&TensorFiles, &'a str)> {
        self.modules.iter().find_map(|(module, tensors)| Some((tensors, stored_name(module, name)?)))
    }
}

/// The name of a tensor in its module's own file.
fn stored_name<'a>(module: &str, name: &'a str) -> Option<&'a str> {
    name.strip_prefix(module)?.strip_prefix('.')
}
