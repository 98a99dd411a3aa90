//! The flags of mnrl-train.

mod help;

use std::num::NonZero;
use std::path::PathBuf;

use clap::{Args, Parser};
use embtune_cli::{CommonArgs, EnvironmentSetting, ModelArgs, OrtArgs, parse_bytes, parse_not_negative, parse_share};
use embtune_metrics::Metric;

use crate::data::sampler::BatchFrom;
use crate::loss::LossArgs;
use crate::network::Precision;
use crate::training::final_weights::MergeBase;
use crate::training::schedule::Decay;
use crate::weights::lora::Lora;
use crate::weights::param_groups::Freeze;

/// Fine-tune an embedding model with in-batch negatives
///
/// Reads shards that pairs2shards wrote for the same tokenizer, trains a BERT, RoBERTa, XLM-RoBERTa, MPNet or DistilBERT
/// encoder with the modules after it (pooling, Dense layers), and writes a model directory that replaces the base model
/// everywhere: same shape, same vector size, new weights.
#[derive(Debug, Parser)]
#[command(name = "mnrl-train", version, after_long_help = help::SECTIONS)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    #[command(flatten)]
    pub(crate) data: DataArgs,

    /// Directory for the fine-tuned model
    #[arg(long, value_name = "DIR", help_heading = "Files")]
    pub(crate) out: PathBuf,

    /// Replace an existing model
    #[arg(long, help_heading = "Files", hide_short_help = true)]
    pub(crate) overwrite: bool,

    #[command(flatten)]
    pub(crate) training: TrainingArgs,

    #[command(flatten)]
    pub(crate) loss: LossArgs,

    #[command(flatten)]
    pub(crate) optimizer: OptimizerArgs,

    #[command(flatten)]
    pub(crate) engine: EngineArgs,

    #[command(flatten)]
    pub(crate) dev: DevArgs,

    #[command(flatten)]
    pub(crate) checkpoint: CheckpointArgs,

    /// Folder for TensorBoard's event files
    #[arg(long, value_name = "DIR", help_heading = "Files", hide_short_help = true)]
    pub(crate) tensorboard: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) ort: OrtArgs,

    #[command(flatten)]
    pub(crate) distributed: DistributedArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Settings of C libraries that are read when they are loaded.
///
/// - Waiting threads of libgomp spin by default. If another process uses the core, they take time from the thread that
///   they wait for: training ran at a quarter of its speed beside a compiler. Without spinning it is as fast when alone.
/// - glibc raises the size above which memory is returned to the system up to 32 MB, so that tensors of every size
///   fragment the heap, which grew by a quarter over 20 steps. With 16 MB it does not grow, at the same speed.
/// - With that size fixed, glibc returns every free 128 kB at the end of the heap, which the next tensor takes again, page
///   by page: a twelfth of the time in bf16. So the process keeps the memory that a batch needs.
/// - oneDNN and torch's layer above it cache the last 1,024 programs each, of a megabyte each, but no two batches have the
///   same number of tokens: MiniLM grew from 0.8 to 1.7 GB in 30 steps, and nothing was used twice. A micro-batch needs
///   about 20 programs; with 32 the memory does not grow after some steps, at the same speed.
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

/// The training data, and how batches are drawn from it.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DataArgs {
    /// Shards, 'patterns', directories of pairs2shards --out; none, or -, is stdin
    #[arg(value_name = "SET", help_heading = "Files")]
    pub(crate) sets: Vec<PathBuf>,

    /// How many times the pairs of each set are seen in an epoch, separated by commas [default: 1 for each]
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        value_parser = parse_weight,
        help_heading = "Files",
        hide_short_help = true
    )]
    pub(crate) weights: Vec<f64>,

    /// Where the pairs of a batch come from
    #[arg(long, value_name = "WHERE", value_enum, default_value_t, help_heading = "Training", hide_short_help = true)]
    pub(crate) batch_from: BatchFrom,

    /// Keep pairs that share a text or a document out of each other's batches
    #[arg(long, help_heading = "Training", hide_short_help = true)]
    pub(crate) no_duplicates: bool,
}

/// The length of the training, and the size of a batch.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Training")]
pub(crate) struct TrainingArgs {
    /// Passes over all pairs
    #[arg(long, value_name = "NUM", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) epochs: u32,

    /// Pairs in a batch; each is a negative of all others
    ///
    /// The memory does not grow with it, see Memory below.
    #[arg(long, value_name = "NUM", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) batch_size: u32,

    /// Batches whose gradients are averaged for one step; they are not negatives of each other
    #[arg(
        long,
        value_name = "NUM",
        default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..),
        hide_short_help = true
    )]
    pub(crate) gradient_accumulation: u32,

    /// Dropout on hidden states and attention, below 1 [default: the model's]
    #[arg(long, value_name = "SHARE", value_parser = parse_share, hide_short_help = true)]
    pub(crate) dropout: Option<f64>,

    /// Seed of every random choice
    #[arg(long, value_name = "NUM", default_value_t = 42, hide_short_help = true)]
    pub(crate) seed: u64,
}

/// How the weights are updated.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Optimizer")]
pub(crate) struct OptimizerArgs {
    /// Highest learning rate
    #[arg(
        long,
        value_name = "RATE",
        default_value = "2e-5",
        value_parser = parse_not_negative,
        help_heading = "Training"
    )]
    pub(crate) learning_rate: f64,

    /// How the learning rate changes after the warm-up
    #[arg(long, value_name = "SHAPE", value_enum, default_value_t = Decay::Linear, hide_short_help = true)]
    pub(crate) schedule: Decay,

    /// Steps in which the learning rate rises from 0
    #[arg(long, value_name = "NUM", default_value_t = 100, conflicts_with = "warmup_ratio", hide_short_help = true)]
    pub(crate) warmup_steps: u64,

    /// Length of the warm-up as a share of all steps, below 1
    #[arg(long, value_name = "SHARE", value_parser = parse_share, hide_short_help = true)]
    pub(crate) warmup_ratio: Option<f64>,

    /// Weight decay, on all weights except biases and norms
    #[arg(
        long,
        value_name = "RATE",
        default_value_t = 0.0,
        value_parser = parse_not_negative,
        hide_short_help = true
    )]
    pub(crate) weight_decay: f64,

    /// Largest norm of the gradient, to which a longer one is scaled down; 0 turns clipping off
    #[arg(
        long,
        value_name = "NORM",
        default_value_t = 1.0,
        value_parser = parse_not_negative,
        hide_short_help = true
    )]
    pub(crate) max_grad_norm: f64,

    /// Factor on the learning rate from each layer to the one below it, at most 1
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = parse_factor, hide_short_help = true)]
    pub(crate) layer_decay: f64,

    /// Parts that are not trained: embeddings, or layers:NUM for these and the lowest NUM layers
    #[arg(long, value_name = "PART", hide_short_help = true)]
    pub(crate) freeze: Option<Freeze>,

    /// Train low-rank changes of linear layers only, as in r=16,alpha=32,targets=query,value
    ///
    /// The default of alpha is twice r, that of targets is query and value. The model is saved with the changes merged,
    /// and the changes alone as a PEFT adapter in its folder adapter.
    #[arg(long, value_name = "SPEC", hide_short_help = true)]
    pub(crate) lora: Option<Lora>,

    /// Save the exponential moving average of the weights, with this decay per step
    #[arg(long, value_name = "DECAY", value_parser = parse_share, hide_short_help = true)]
    pub(crate) ema: Option<f64>,

    /// Mix this share of the base model into the result, against forgetting; auto picks the share with the best dev score
    #[arg(long, value_name = "SHARE|auto", conflicts_with = "lora", hide_short_help = true)]
    pub(crate) merge_base: Option<MergeBase>,
}

/// How the result is computed. These flags change speed and memory, and only the rounding of the result.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Engine")]
pub(crate) struct EngineArgs {
    /// Type of matrices
    ///
    /// Hidden states have it too. Weights, norms, sums and the loss are fp32 in any case.
    #[arg(long, value_name = "TYPE", value_enum, default_value_t = Precision::Fp32, help_heading = "Training")]
    pub(crate) precision: Precision,

    /// Tokens that go through the network at once [default: 2048 on the CPU, 65536 on CUDA, fewer for large models]
    ///
    /// A text with more tokens goes alone. By default they need at most 1 GB on the CPU, and half of --memory on CUDA.
    #[arg(long, value_name = "NUM", value_parser = clap::value_parser!(u32).range(1..), hide_short_help = true)]
    pub(crate) batch_tokens: Option<u32>,

    /// Memory for a batch's activations; those that do not fit are recomputed in the backward pass
    ///
    /// The default is 2G on the CPU, and 70 % of the free memory on CUDA. The result is the same bit for bit.
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, hide_short_help = true)]
    pub(crate) memory: Option<usize>,

    /// Print the steps, memory and time of the training, and do not train
    #[arg(long, help_heading = "Training")]
    pub(crate) plan: bool,
}

/// The dev set, and how often the model is evaluated on it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Dev set")]
pub(crate) struct DevArgs {
    /// Queries of a dev set (see --help), which chooses the saved model
    ///
    /// JSON Lines in BEIR's form; --dev-corpus and --dev-qrels name the other files. The model with the best score is
    /// saved.
    /// Texts are embedded as `embed --role query` and `--role document` do, with the prompts of the shards, and scores are
    /// those of `ir-eval`.
    #[arg(long, value_name = "FILE", requires_all = ["dev_corpus", "dev_qrels"])]
    pub(crate) dev_queries: Option<PathBuf>,

    /// Documents in which the dev set's queries are searched, as JSON Lines (BEIR's form)
    #[arg(long, value_name = "FILE", requires_all = ["dev_queries", "dev_qrels"], hide_short_help = true)]
    pub(crate) dev_corpus: Option<PathBuf>,

    /// Relevant documents of the dev set's queries, in BEIR's or TREC's form
    #[arg(long, value_name = "FILE", requires_all = ["dev_queries", "dev_corpus"], hide_short_help = true)]
    pub(crate) dev_qrels: Option<PathBuf>,

    /// Steps between two evaluations [default: an epoch]
    #[arg(long, value_name = "STEPS", requires = "dev_queries", hide_short_help = true)]
    pub(crate) eval_every: Option<NonZero<u64>>,

    /// Metric that decides which model is best: ndcg, recall, mrr, precision, map or accuracy, at a rank
    #[arg(long, value_name = "METRIC", default_value = "ndcg@10", requires = "dev_queries", hide_short_help = true)]
    pub(crate) metric: Metric,

    /// Stop after this many evaluations in a row without a better score
    #[arg(long, value_name = "NUM", requires = "dev_queries", hide_short_help = true)]
    pub(crate) patience: Option<NonZero<u32>>,
}

/// When the training is saved, and whether it resumes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Files")]
pub(crate) struct CheckpointArgs {
    /// Steps between two checkpoints; a signal that ends the training also saves one
    #[arg(long, value_name = "STEPS", hide_short_help = true)]
    pub(crate) checkpoint_every: Option<NonZero<u64>>,

    /// Folder for the checkpoints [default: the name of --out with .checkpoints appended]
    #[arg(long, value_name = "DIR", hide_short_help = true)]
    pub(crate) checkpoint_dir: Option<PathBuf>,

    /// Number of checkpoints that are kept, the newest ones
    #[arg(long, value_name = "NUM", default_value = "2", hide_short_help = true)]
    pub(crate) keep: NonZero<usize>,

    /// Continue from the newest checkpoint, with the same flags and data
    ///
    /// On the CPU, with the same number of threads, the weights have the same bytes as without the interruption.
    #[arg(long)]
    pub(crate) resume: bool,
}

/// How several processes work together; the environment says whether there are several.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Several processes")]
pub(crate) struct DistributedArgs {
    /// Seconds for which a process waits for the others before all of them end
    #[arg(long, value_name = "SECONDS", default_value = "300", hide_short_help = true)]
    pub(crate) dist_timeout: NonZero<u32>,
}

/// The largest number of times that a pair is seen in an epoch, whose order is held in memory.
const MAX_WEIGHT: f64 = 1000.0;

fn parse_weight(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(weight) if weight > 0.0 && weight <= MAX_WEIGHT => Ok(weight),
        _ => Err(format!("expected a number above 0, at most {MAX_WEIGHT}")),
    }
}

fn parse_factor(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(factor) if (0.0..=1.0).contains(&factor) => Ok(factor),
        _ => Err("expected a number from 0 to 1".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(flags: &str) -> Result<Cli, String> {
        let line = format!("mnrl-train --model M --out O {flags}");
        Cli::try_parse_from(line.split_whitespace()).map_err(|error| error.to_string())
    }

    #[test]
    fn weights_have_bounds() {
        assert_eq!((parse_weight("0.5"), parse_weight("1e3")), (Ok(0.5), Ok(1000.0)));
        for bad in ["", "x", "0", "-1", "NaN", "inf", "1e4"] {
            assert!(parse_weight(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_dev_set_has_three_files() {
        let none = parse("").unwrap().dev;
        assert!(none.dev_queries.is_none() && none.metric.to_string() == "ndcg@10");
        let all = parse("--dev-queries q --dev-corpus c --dev-qrels r --metric recall@5 --patience 2").unwrap().dev;
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
