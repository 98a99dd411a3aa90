//! Linear layers behind the pooling: `N_Dense/config.json`.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{ModelError, Parameter, json};

/// The key under which a module finds, and leaves, a text's vector.
const VECTOR: &str = "sentence_embedding";

/// `activation(W x + b)`, from one vector to the next.
///
/// Source: `sentence_transformers/base/modules/dense.py`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dense {
    /// What stands before the names of its tensors, and names its folder in a saved directory: such as `2_Dense`.
    pub name: String,
    /// Elements that go in.
    pub in_features: usize,
    /// Elements that come out.
    pub out_features: usize,
    /// Whether there is a `b`.
    pub bias: bool,
    /// What is done to the result.
    pub activation: DenseActivation,
    /// Its folder in the directory that was read.
    pub(crate) path: PathBuf,
}

/// What a [`Dense`] does to its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DenseActivation {
    /// Nothing.
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
    #[serde(default = "yes")]
    bias: bool,
    activation_function: Option<String>,
    module_input_name: Option<String>,
    module_output_name: Option<String>,
    #[serde(default)]
    use_residual: bool,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

fn yes() -> bool {
    true
}

impl DenseActivation {
    const ALL: [Self; 4] = [Self::Identity, Self::Tanh, Self::Gelu, Self::Relu];

    /// The class in torch.
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
    /// Reads module `index` from its folder, `path` under `root`; `dimension` elements come out of the one before.
    pub(crate) fn read(root: &Path, path: PathBuf, index: usize, dimension: Option<usize>) -> Result<Self, ModelError> {
        let file = root.join(&path).join("config.json");
        let raw: RawDense = json::read(&file)?;
        let refuse = |what: String| Err(ModelError::content(&file, what));
        if let Some(dimension) = dimension.filter(|dimension| *dimension != raw.in_features) {
            return refuse(format!("in_features is {}, but vectors of {dimension} elements come in", raw.in_features));
        }
        if raw.out_features == 0 {
            return refuse("out_features is 0".into());
        }
        if let Some((key, value)) = raw.rest.iter().find(|(_, value)| !value.is_null()) {
            return refuse(format!("{key} {value} is not known"));
        }
        if raw.use_residual {
            return refuse("use_residual is not supported".into());
        }
        for name in [raw.module_input_name, raw.module_output_name].into_iter().flatten() {
            if name != VECTOR {
                return refuse(format!("module input or output \"{name}\" is not supported (supported: {VECTOR})"));
            }
        }
        // Paths move between torch's versions; the class has kept its name.
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
                            "activation_function \"{name}\" is not supported (supported: torch's {known})"
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

    /// Its tensors: `linear.weight` `[out, in]` and, with a bias, `linear.bias` `[out]`, behind [`Dense::name`].
    pub fn parameters(&self) -> Vec<Parameter> {
        let mut shapes = vec![("weight", vec![self.out_features, self.in_features])];
        if self.bias {
            shapes.push(("bias", vec![self.out_features]));
        }
        let name = |part| format!("{}.linear.{part}", self.name);
        shapes.into_iter().map(|(part, shape)| Parameter { name: name(part), shape }).collect()
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
