//! Everything that decides the result of a training.
//!
//! A checkpoint stores it, because to continue with other settings would give a result that belongs to neither. The names
//! are those of messages, and must stay the same in all later versions.

use std::num::NonZero;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::schedule::Decay;
use crate::checkpoint::first_difference;
use crate::data::sampler::BatchFrom;
use crate::distributed::ProcessGroup;
use crate::network::Precision;
use crate::weights::lora::Lora;
use crate::weights::param_groups::Freeze;

/// Everything that decides the result of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TrainingConfig {
    /// Fingerprint of the base model.
    #[serde(rename = "base model")]
    pub(crate) base_model: String,
    #[serde(rename = "the prompt of queries")]
    pub(crate) query_prompt: String,
    #[serde(rename = "the prompt of documents")]
    pub(crate) document_prompt: String,
    /// Fingerprint of the shards.
    #[serde(rename = "training data")]
    pub(crate) training_data: String,
    #[serde(rename = "--weights")]
    pub(crate) weights: Vec<f64>,
    #[serde(rename = "--batch-from")]
    pub(crate) batch_from: BatchFrom,
    #[serde(rename = "--no-duplicates")]
    pub(crate) no_duplicates: bool,
    #[serde(rename = "--epochs")]
    pub(crate) epochs: u32,
    #[serde(rename = "--batch-size")]
    pub(crate) batch_size: u32,
    #[serde(rename = "--gradient-accumulation")]
    pub(crate) gradient_accumulation: u32,
    #[serde(rename = "--dropout")]
    pub(crate) dropout: Option<f64>,
    #[serde(rename = "--seed")]
    pub(crate) seed: u64,
    /// `--loss` and the flags that belong to it.
    #[serde(flatten)]
    pub(crate) objective: Map<String, Value>,
    #[serde(rename = "--learning-rate")]
    pub(crate) learning_rate: f64,
    #[serde(rename = "--schedule")]
    pub(crate) decay: Decay,
    #[serde(rename = "--warmup-steps")]
    pub(crate) warmup_steps: u64,
    #[serde(rename = "--warmup-ratio")]
    pub(crate) warmup_ratio: Option<f64>,
    #[serde(rename = "--weight-decay")]
    pub(crate) weight_decay: f64,
    #[serde(rename = "--max-grad-norm")]
    pub(crate) max_grad_norm: f64,
    #[serde(rename = "--layer-decay")]
    pub(crate) layer_decay: f64,
    #[serde(rename = "--freeze")]
    pub(crate) freeze: Option<Freeze>,
    #[serde(rename = "--lora")]
    pub(crate) lora: Option<Lora>,
    #[serde(rename = "--ema")]
    pub(crate) ema: Option<f64>,
    #[serde(rename = "--precision")]
    pub(crate) precision: Precision,
    #[serde(rename = "--batch-tokens")]
    pub(crate) batch_tokens: Option<u32>,
    #[serde(rename = "--metric")]
    pub(crate) metric: String,
    #[serde(rename = "--eval-every")]
    pub(crate) eval_every: Option<NonZero<u64>>,
    #[serde(rename = "--patience")]
    pub(crate) patience: Option<NonZero<u32>>,
    /// Fingerprint of the dev set, which only process 0 has.
    #[serde(rename = "the dev set")]
    pub(crate) dev_set: Option<String>,
}

impl TrainingConfig {
    /// The settings by name, as a checkpoint stores them.
    ///
    /// # Errors
    /// None in practice: every field has a JSON form.
    pub(crate) fn to_map(&self) -> serde_json::Result<Map<String, Value>> {
        Ok(match serde_json::to_value(self)? {
            Value::Object(settings) => settings,
            _ => Map::new(),
        })
    }
}

/// Refuses to train with processes that were started with other settings.
///
/// # Errors
/// The first setting that differs from process 0's; in the other processes, which ranks differ.
pub(crate) fn check_same_settings(group: &ProcessGroup, settings: &Map<String, Value>) -> anyhow::Result<()> {
    let of_main = group.on_main_process(|| Ok(settings.clone()))?;
    let difference = first_difference(&of_main, settings);
    let different = group.ranks_where(difference.is_some())?;
    let hint = "\nhint: start all processes with the same flags, data and model";
    if let Some((name, of_main, own)) = difference {
        anyhow::bail!("{name} is {own} here, but {of_main} in rank 0{hint}");
    }
    let ranks = different.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    anyhow::ensure!(different.is_empty(), "rank {ranks} was started with different flags or data{hint}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A checkpoint that was written by an earlier version. This text must not change.
    const STORED: &str = r#"{
        "base model": "xxh3:1", "the prompt of queries": "query: ", "the prompt of documents": "",
        "training data": "xxh3:2+xxh3:3", "--weights": [1.0, 0.5], "--batch-from": "one-set", "--no-duplicates": true,
        "--epochs": 3, "--batch-size": 32, "--gradient-accumulation": 2, "--dropout": 0.1, "--seed": 42,
        "--loss": "mnrl", "--scale": 20.0, "--similarity": "cosine", "--directions": ["q2d"], "partition": "joint",
        "--matryoshka": [384, 64], "--no-mask": false, "--learning-rate": 2e-5, "--schedule": "linear",
        "--warmup-steps": 100, "--warmup-ratio": 0.1, "--weight-decay": 0.01, "--max-grad-norm": 1.0,
        "--layer-decay": 0.9, "--freeze": "layers:2", "--lora": "r=16,alpha=32,targets=query,value", "--ema": 0.999,
        "--precision": "fp32", "--batch-tokens": 2048, "--metric": "ndcg@10", "--eval-every": 100, "--patience": 5,
        "the dev set": "00ff"
    }"#;

    #[test]
    fn stored_settings_read_back() {
        let stored: Map<String, Value> = serde_json::from_str(STORED).unwrap();
        let config: TrainingConfig = serde_json::from_str(STORED).unwrap();
        assert_eq!(config.to_map().unwrap(), stored);
        assert_eq!(config.freeze, Some(Freeze::Layers(2)));
        assert_eq!(config.lora.unwrap().targets, ["query", "value"]);
    }

    #[test]
    fn every_stored_variant_reads_back() {
        let with = |name: &str, value: &str| {
            let mut stored: Map<String, Value> = serde_json::from_str(STORED).unwrap();
            stored[name] = value.into();
            let config: TrainingConfig = serde_json::from_value(Value::Object(stored.clone())).unwrap();
            assert_eq!(config.to_map().unwrap(), stored, "{name} {value}");
            config
        };
        assert_eq!(with("--batch-from", "one-set").batch_from, BatchFrom::OneSet);
        assert_eq!(with("--batch-from", "mixed").batch_from, BatchFrom::Mixed);
        assert_eq!(with("--schedule", "linear").decay, Decay::Linear);
        assert_eq!(with("--schedule", "cosine").decay, Decay::Cosine);
        assert_eq!(with("--schedule", "constant").decay, Decay::Constant);
        assert_eq!(with("--precision", "fp32").precision, Precision::Fp32);
        assert_eq!(with("--precision", "bf16").precision, Precision::Bf16);
        assert_eq!(with("--freeze", "embeddings").freeze, Some(Freeze::Embeddings));
        assert_eq!(with("--freeze", "layers:12").freeze, Some(Freeze::Layers(12)));
    }
}
