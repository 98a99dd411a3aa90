//! What all families' `config.json` have in common.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Activation;

/// More layers than any encoder has: a damaged file must not make embtune list the tensors of billions.
const MAX_LAYERS: usize = 1000;

/// Why a configuration was refused.
pub(crate) enum Refusal {
    /// The file does not hold what its family writes.
    Content(String),
    /// It says something that embtune does not compute.
    Unsupported(String),
}

pub(super) fn parse<T: DeserializeOwned>(json: &Value) -> Result<T, Refusal> {
    T::deserialize(json).map_err(|error| Refusal::Content(error.to_string()))
}

pub(super) fn activation(key: &str, name: &str) -> Result<Activation, Refusal> {
    match name {
        "gelu" => Ok(Activation::Gelu),
        "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Ok(Activation::GeluTanh),
        "relu" => Ok(Activation::Relu),
        other => {
            Err(Refusal::Unsupported(format!("{key} \"{other}\" is not supported (supported: gelu, gelu_new, relu)")))
        }
    }
}

/// Refuses a file in which one of these keys has another value than the one that embtune computes; a key that is
/// missing has it.
pub(super) fn check_fixed(json: &Value, fixed: &[(&str, Value)]) -> Result<(), Refusal> {
    for (key, expected) in fixed {
        let is_same = |found: &Value| found == expected || (found.is_number() && found.as_f64() == expected.as_f64());
        if let Some(found) = json.get(key).filter(|found| !is_same(found)) {
            return Err(Refusal::Unsupported(format!("{key} {found} is not supported (supported: {expected})")));
        }
    }
    Ok(())
}

/// Refuses sizes that no forward pass can have.
pub(super) fn check_sizes(hidden: usize, layers: usize, max_length: usize) -> Result<(), Refusal> {
    if layers > MAX_LAYERS {
        return Err(Refusal::Unsupported(format!("{layers} layers are not supported (at most {MAX_LAYERS})")));
    }
    for (size, what) in [(hidden, "hidden states without elements"), (max_length, "no positions")] {
        if size == 0 {
            return Err(Refusal::Unsupported(format!("has {what}")));
        }
    }
    Ok(())
}

/// Elements of each of some heads that share the hidden states equally.
pub(super) fn head_size(hidden: usize, heads: usize) -> Result<usize, Refusal> {
    if hidden.checked_rem(heads) == Some(0) {
        return Ok(hidden / heads);
    }
    Err(Refusal::Unsupported(format!("hidden_size {hidden} does not divide into {heads} attention heads")))
}
