//! The flags that decide the result of a training.

use clap::Args;
use serde::Serialize;
use serde_json::{Map, Value};

use super::learner::LearnerArgs;
use super::schedule::ScheduleArgs;
use crate::checkpoint::first_difference;
use crate::data::sampler::SamplerArgs;
use crate::data::shards::SetArgs;
use crate::dev_set::DevArgs;
use crate::distributed::ProcessGroup;
use crate::loss::{LossArgs, Objective};

/// The flags that decide the result of a training, each where it is read. What is not serialised does not change the
/// result.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct TrainingArgs {
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) data: SetArgs,

    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) sampler: SamplerArgs,

    #[command(flatten)]
    #[serde(skip)]
    pub(crate) loss: LossArgs,

    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) schedule: ScheduleArgs,

    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) learner: LearnerArgs,

    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) dev: DevArgs,
}

impl TrainingArgs {
    /// All values by the names of their flags. A checkpoint stores them, because to continue with other settings would
    /// give a result that belongs to neither; the names must stay the same in all later versions.
    ///
    /// # Errors
    /// None in practice: every value has a JSON form.
    pub(crate) fn values(&self, objective: &Objective) -> serde_json::Result<Map<String, Value>> {
        let own = serde_json::to_value(self)?;
        let own = own.as_object().into_iter().flatten();
        let own = own.map(|(name, value)| (format!("--{}", name.replace('_', "-")), value.clone()));
        Ok(own.chain(objective.values()).collect())
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
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    #[command(no_binary_name = true)]
    struct Flags {
        #[command(flatten)]
        training: TrainingArgs,
    }

    /// What earlier versions have stored. This text must not change.
    const STORED: &str = r#"{
        "--weights": [1.0, 0.5], "--batch-from": "one-set", "--no-duplicates": true,
        "--epochs": 3, "--batch-size": 32, "--gradient-accumulation": 2, "--dropout": 0.1, "--seed": 42,
        "--loss": "mnrl", "--scale": 20.0, "--similarity": "cosine", "--directions": ["q2d"], "partition": "joint",
        "--matryoshka": [384, 64], "--no-mask": false, "--learning-rate": 2e-5, "--schedule": "linear",
        "--warmup-steps": 100, "--warmup-ratio": 0.1, "--weight-decay": 0.01, "--max-grad-norm": 1.0,
        "--layer-decay": 0.9, "--freeze": "layers:2", "--lora": "r=16,alpha=32,targets=query,value", "--ema": 0.999,
        "--precision": "fp32", "--batch-tokens": 2048, "--metric": "ndcg@10", "--eval-every": 100, "--patience": 5
    }"#;

    /// The flags with these values.
    const FLAGS: &str = "--weights 1,0.5 --no-duplicates --gradient-accumulation 2 --dropout 0.1 --matryoshka 384,64 \
        --warmup-ratio 0.1 --weight-decay 0.01 --layer-decay 0.9 --freeze layers:2 --lora r=16 --ema 0.999 \
        --batch-tokens 2048 --dev-queries q --dev-corpus c --dev-qrels r --eval-every 100 --patience 5";

    fn stored(flags: &str) -> Map<String, Value> {
        let Flags { training } = Flags::try_parse_from(flags.split_whitespace()).unwrap();
        training.values(&training.loss.objective(384).unwrap()).unwrap()
    }

    #[test]
    fn stored_settings_do_not_change() {
        let expected: Map<String, Value> = serde_json::from_str(STORED).unwrap();
        assert_eq!(stored(FLAGS), expected);
    }

    #[test]
    fn stored_variants_do_not_change() {
        for (flag, values) in [
            ("--batch-from", ["one-set", "mixed"].as_slice()),
            ("--schedule", &["linear", "cosine", "constant"]),
            ("--precision", &["fp32", "bf16"]),
            ("--freeze", &["embeddings", "layers:12"]),
            ("--lora", &["r=2,alpha=3,targets=key"]),
        ] {
            for value in values {
                assert_eq!(stored(&format!("{flag} {value}"))[flag], *value);
            }
        }
    }

    #[test]
    fn flags_that_do_not_change_the_result_are_not_stored() {
        assert_eq!(stored("--memory 1G shard"), stored(""));
    }
}
