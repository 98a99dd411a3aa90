//! Helpers that several tests use.

use embtune_cli::Device;
use embtune_encode::{EncoderOptions, Precision};
use embtune_model::AnyModelDir;
use serde_json::Value;

/// Options for the CPU and the model's own settings.
pub(crate) fn options(model: &AnyModelDir) -> EncoderOptions<'static> {
    EncoderOptions {
        prompt: "",
        max_seq_length: None,
        normalize: model.normalizes(),
        precision: Precision::Fp32,
        batch_tokens: None,
        device: Device::Cpu,
        threads: 2,
        profile: false,
        ort_library: None,
    }
}

/// The texts of a file of figures.
pub(crate) fn texts(figures: &Value) -> Vec<String> {
    figures["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// A vector of a file of figures.
pub(crate) fn vector(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect()
}

pub(crate) fn cosine(a: &[f32], b: &[f32]) -> f64 {
    // A text without tokens has a vector of zeros.
    if [a, b].into_iter().flatten().all(|x| *x == 0.0) {
        return 1.0;
    }
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
