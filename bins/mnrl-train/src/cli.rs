//! The flags of mnrl-train.

mod data;

use std::path::PathBuf;

use clap::Parser;
use embtune_cli::{Common, ComputeArgs, ModelArgs, parse_not_negative, parse_share};

pub(crate) use data::{BatchFrom, DataArgs};

const SECTIONS: &str = "\
Loss:
  MultipleNegativesRankingLoss, as sentence-transformers computes it: each anchor is compared with
  every positive and negative of the batch by cosine, times --scale, and a cross entropy asks for
  its own positive. A document is left out of the sum, and counted in the log as masked, when it has
  the text, the document id or the group of the anchor's own positive, when it is the anchor's text,
  and when it is the positive of another pair with the same anchor.

Sets:
  Each operand is a set, with the prompts that pairs2shards put before its texts; a directory that
  pairs2shards --out wrote is one set. A batch comes from one set, unless --batch-from mixed, and
  the sets take turns at random, each as often as it has batches. --weights 1,0.5,2: in an epoch,
  every pair of the first set is seen once, a random half of the second set's (the other half in the
  next epoch), and the third set's pairs twice. The last batch of a set may be smaller.

  With --no-duplicates, no two pairs of a batch share a text, be it anchor, positive or negative, or
  a document. A pair waits until a batch has room for it, and none is left out: pairs that are left
  at the end, because they all collide, make small batches. These are the batches of
  sentence-transformers' NO_DUPLICATES, which compares the texts alone.

Metrics:
  Stdout carries one JSON object a step: step, epoch, loss, learning_rate, grad_norm (before
  clipping), tokens, tokens_per_sec, masked. A reader that goes away does not end the training.

Output directory:
  A sentence-transformers directory with fp32 weights, model.onnx and a model card. It appears when
  the training is done, whole or not at all.

Memory:
  Weights, gradients and two moments (16 bytes a parameter), and the activations of one batch: with
  all-MiniLM-L6-v2 about 0.25 MB a token, so 32 pairs of 200 tokens take 1.6 GB. Shards are mapped.
  The order of an epoch takes 8 bytes a pair; --no-duplicates, about 100.

Examples:
  Three epochs, the log in a file:
      mnrl-train --model BASE --out TUNED train.safetensors > log.jsonl
  As the end of a pipe:
      pairs2shards --model BASE pairs.jsonl | mnrl-train --model BASE --out TUNED > log.jsonl";

/// Fine-tune an embedding model with in-batch negatives
///
/// Reads shards that pairs2shards wrote for the same tokenizer, trains a BERT, RoBERTa or XLM-RoBERTa encoder, and
/// writes a model directory that replaces the base model everywhere: same shape, same vector size, new weights.
#[derive(Debug, Parser)]
#[command(name = "mnrl-train", version, after_long_help = SECTIONS)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    #[command(flatten)]
    pub(crate) data: DataArgs,

    /// Directory for the fine-tuned model
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub(crate) out: PathBuf,

    /// Replace a model that is there already
    #[arg(long, help_heading = "Output")]
    pub(crate) overwrite: bool,

    #[command(flatten)]
    pub(crate) training: TrainingArgs,

    #[command(flatten)]
    pub(crate) compute: ComputeArgs,

    #[command(flatten)]
    pub(crate) common: Common,
}

/// What decides the result of a training.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Training")]
pub(crate) struct TrainingArgs {
    /// Passes over all pairs
    #[arg(long, value_name = "NUM", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) epochs: u32,

    /// Pairs in a batch: each is a negative of all others
    #[arg(long, value_name = "NUM", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) batch_size: u32,

    /// Highest learning rate
    #[arg(long, value_name = "RATE", default_value = "2e-5", value_parser = parse_not_negative)]
    pub(crate) learning_rate: f64,

    /// Steps in which the learning rate rises from 0; then it falls to 0 in a line
    #[arg(long, value_name = "NUM", default_value_t = 100)]
    pub(crate) warmup_steps: u64,

    /// Weight decay, on all but biases and layer norms
    #[arg(long, value_name = "RATE", default_value_t = 0.0, value_parser = parse_not_negative)]
    pub(crate) weight_decay: f64,

    /// Largest norm of the gradient; a longer one is shortened to it
    #[arg(long, value_name = "NORM", default_value_t = 1.0, value_parser = parse_not_negative)]
    pub(crate) max_grad_norm: f64,

    /// Dropout on hidden states and attention, below 1 [default: the model's]
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    pub(crate) dropout: Option<f64>,

    /// Factor on the cosines: the inverse of the temperature
    #[arg(long, value_name = "FACTOR", default_value_t = 20.0, value_parser = parse_not_negative)]
    pub(crate) scale: f64,

    /// Seed of every random choice
    #[arg(long, value_name = "NUM", default_value_t = 42)]
    pub(crate) seed: u64,
}

embtune_cli::filter!(Cli);
