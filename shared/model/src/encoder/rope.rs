//! Rotary position embeddings: what `config.json` says of them.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::Refusal;

/// `rope_parameters` of transformers 5, or `rope_scaling` of the versions before it.
#[derive(Deserialize, Default)]
pub(super) struct RawRope {
    rope_theta: Option<f64>,
    rope_type: Option<String>,
    /// The older name of `rope_type`.
    r#type: Option<String>,
    partial_rotary_factor: Option<f64>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// What other types of positions read, and `default` does not.
const OF_OTHER_TYPES: [&str; 2] = ["factor", "original_max_position_embeddings"];

impl RawRope {
    /// The base θ of the frequencies `θ^(−2i/d)`, which may stand beside this too.
    pub(super) fn theta(self, beside: Option<f64>, default: f64) -> Result<f64, Refusal> {
        if let Some(kind) = self.rope_type.or(self.r#type).filter(|kind| kind != "default") {
            return Err(Refusal::Unsupported(format!("rope_type \"{kind}\" is not supported (supported: default)")));
        }
        if let Some(factor) = self.partial_rotary_factor.filter(|factor| *factor != 1.0) {
            let what = format!("partial_rotary_factor {factor} is not supported (supported: 1)");
            return Err(Refusal::Unsupported(what));
        }
        let is_unknown = |key: &&String| !OF_OTHER_TYPES.contains(&key.as_str());
        if let Some(key) = self.rest.keys().filter(|key| !self.rest[*key].is_null()).find(is_unknown) {
            return Err(Refusal::Unsupported(format!("{key} of the rotary positions is not known")));
        }
        let theta = self.rope_theta.or(beside).unwrap_or(default);
        if theta.is_finite() && theta > 0.0 {
            return Ok(theta);
        }
        Err(Refusal::Content(format!("rope_theta must be a positive number, found {theta}")))
    }
}

/// Refuses heads whose elements do not go in pairs, which are what a rotation turns.
pub(super) fn check_head_size(size: usize) -> Result<(), Refusal> {
    if size > 0 && size.is_multiple_of(2) {
        return Ok(());
    }
    Err(Refusal::Unsupported(format!("attention heads of {size} elements are not supported with rotary positions")))
}
