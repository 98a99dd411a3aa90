//! The flags of mnrl-train.

mod help;

use std::num::NonZero;
use std::path::PathBuf;

use clap::Parser;
use embtune_cli::{CommonArgs, EnvironmentSetting, ModelArgs, OrtArgs};

use crate::checkpoint::CheckpointArgs;
use crate::training::config::TrainingArgs;
use crate::training::final_weights::MergeBase;

/// Fine-tune an embedding model with in-batch negatives
///
/// Reads shards that pairs2shards wrote for the same tokenizer, trains an encoder (BERT and its relatives, ModernBERT,
/// Qwen3, Gemma 3, NomicBERT, GTE, T5) with the modules after it (pooling, Dense layers), and writes a model directory
/// that replaces the base model everywhere: same shape, same vector size, new weights.
#[derive(Debug, Parser)]
#[command(name = "mnrl-train", version, after_long_help = help::SECTIONS)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    #[command(flatten)]
    pub(crate) training: TrainingArgs,

    /// Directory for the fine-tuned model
    #[arg(long, value_name = "DIR", help_heading = "Files")]
    pub(crate) out: PathBuf,

    /// Replace an existing model
    #[arg(long, help_heading = "Files", hide_short_help = true)]
    pub(crate) overwrite: bool,

    /// Mix this share of the base model into the result, against forgetting; auto picks the share with the best dev
    /// score
    #[arg(
        long,
        help_heading = "Optimizer",
        value_name = "SHARE|auto",
        conflicts_with = "lora",
        hide_short_help = true
    )]
    pub(crate) merge_base: Option<MergeBase>,

    /// Print the steps, memory and time of the training, and do not train
    #[arg(long, help_heading = "Training")]
    pub(crate) plan: bool,

    #[command(flatten)]
    pub(crate) checkpoint: CheckpointArgs,

    /// Folder for TensorBoard's event files
    #[arg(long, value_name = "DIR", help_heading = "Files", hide_short_help = true)]
    pub(crate) tensorboard: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) ort: OrtArgs,

    /// Seconds for which a process waits for the others before all of them end
    #[arg(
        long,
        help_heading = "Several processes",
        value_name = "SECONDS",
        default_value = "300",
        hide_short_help = true
    )]
    pub(crate) dist_timeout: NonZero<u32>,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Settings of C libraries that are read when they are loaded.
///
/// - Waiting threads of libgomp spin by default. If another process uses the core, they take time from the thread that
///   they wait for: training ran at a quarter of its speed beside a compiler. Without spinning it is as fast when
///   alone.
/// - glibc raises the size above which memory is returned to the system up to 32 MB, so that tensors of every size
///   fragment the heap, which grew by a quarter over 20 steps. With 16 MB it does not grow, at the same speed.
/// - With that size fixed, glibc returns every free 128 kB at the end of the heap, which the next tensor takes again,
///   page by page: a twelfth of the time in bf16. So the process keeps the memory that a batch needs.
/// - oneDNN and torch's layer above it cache the last 1,024 programs each, of a megabyte each, but no two batches have
///   the same number of tokens: MiniLM grew from 0.8 to 1.7 GB in 30 steps, and nothing was used twice. A micro-batch
///   needs about 20 programs; with 32 the memory does not grow after some steps, at the same speed.
const C_LIBRARIES: [EnvironmentSetting; 5] = [
    EnvironmentSetting { names: &["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"], value: "passive" },
    EnvironmentSetting { names: &["MALLOC_MMAP_THRESHOLD_"], value: "16777216" },
    EnvironmentSetting { names: &["MALLOC_TRIM_THRESHOLD_"], value: "1073741824" },
    EnvironmentSetting { names: &["ONEDNN_PRIMITIVE_CACHE_CAPACITY"], value: "32" },
    EnvironmentSetting { names: &["LRU_CACHE_CAPACITY"], value: "32" },
];

embtune_cli::filter!(Cli {
    unit: "step",
    example: "mnrl-train --model BASE --out TUNED --epochs 3 train.safetensors > log.jsonl",
    settings: C_LIBRARIES,
});

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(flags: &str) -> Result<Cli, String> {
        let line = format!("mnrl-train --model M --out O {flags}");
        Cli::try_parse_from(line.split_whitespace()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_dev_set_has_three_files() {
        let none = parse("").unwrap().training.dev;
        assert!(none.dev_queries.is_none() && none.metric.to_string() == "ndcg@10");
        let all =
            parse("--dev-queries q --dev-corpus c --dev-qrels r --metric recall@5 --patience 2").unwrap().training.dev;
        assert!(all.metric.to_string() == "recall@5" && all.patience.unwrap().get() == 2 && all.eval_every.is_none());
        for part in
            ["--dev-queries q --dev-corpus c", "--dev-qrels r", "--patience 2", "--metric map@5", "--eval-every 9"]
        {
            assert!(parse(part).unwrap_err().contains("required arguments were not provided"), "{part}");
        }
    }

    #[test]
    fn an_unknown_metric_is_refused_with_the_known_ones() {
        let message = parse("--dev-queries q --dev-corpus c --dev-qrels r --metric ndgc@10").unwrap_err();
        assert!(
            message.contains("unknown metric \"ndgc\"; similar: ndcg; available: ndcg, ndcg-exp, recall"),
            "{message}"
        );
    }
}
