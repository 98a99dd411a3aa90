//! Activation functions.

use crate::config_json::ConfigError;

/// Activation function of a feed-forward part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x · Φ(x)` with the exact error function.
    Gelu,
    /// The tanh approximation (`gelu_new`, `gelu_pytorch_tanh`).
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
    /// `x · σ(x)`, also called swish.
    Silu,
}

impl Activation {
    /// The function that the key `key` of a `config.json` names.
    pub(crate) fn parse(key: &str, name: &str) -> Result<Self, ConfigError> {
        match name {
            "gelu" => Ok(Self::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Ok(Self::GeluTanh),
            "relu" => Ok(Self::Relu),
            "silu" | "swish" => Ok(Self::Silu),
            other => {
                let what = format!("{key} \"{other}\" is not supported (supported: gelu, gelu_new, relu, silu)");
                Err(ConfigError::Unsupported(what))
            }
        }
    }
}
