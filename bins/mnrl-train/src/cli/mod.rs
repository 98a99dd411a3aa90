//! The flags of mnrl-train.

mod loss;

use std::path::PathBuf;

use clap::Parser;
use embtune_cli::{Common, ComputeArgs, ModelArgs, parse_not_negative, parse_share};

pub(crate) use loss::{LossArgs, Supply};

const SECTIONS: &str = "\
Loss:
  Formulas and defaults are sentence-transformers'. mnrl, symmetric and gist compare each pair with
  the whole batch. triplet and margin-mse take a pair's anchor and positive with each negative of the
  pair, contrastive and cosent the anchor with each document of the pair. A pair may have any number
  of negatives. contrastive, cosent and margin-mse read the shard's scores, gist its guide vectors.

False negatives:
  Pairs with one anchor text are one question, and the positives of all of them answer it. What has
  the question's text, or the text, document id or group of an answer, is no negative of it. Two
  questions are no negatives of each other when they have an answer in common in this sense; nor are
  their positives. So it is in every direction, and with the negatives of triplet and, without
  scores, of contrastive. The log counts what is left out as masked; --no-mask leaves out nothing.

Metrics:
  Stdout carries one JSON object a step: step, epoch, loss, learning_rate, grad_norm (before
  clipping), tokens, tokens_per_sec, masked. A reader that goes away does not end the training.

Output directory:
  A sentence-transformers directory with fp32 weights, model.onnx and a model card. It appears when
  the training is done, whole or not at all.

Memory:
  Weights, gradients and two moments (16 bytes a parameter), and the activations of one batch: with
  all-MiniLM-L6-v2 about 0.25 MB a token, so 32 pairs of 200 tokens take 1.6 GB. Shards are mapped.

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

    /// Training shards; none, or -, is stdin
    #[arg(value_name = "SHARD", help_heading = "Input")]
    pub(crate) shards: Vec<PathBuf>,

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

    /// Seed of every random choice
    #[arg(long, value_name = "NUM", default_value_t = 42)]
    pub(crate) seed: u64,

    #[command(flatten)]
    pub(crate) loss: LossArgs,
}

embtune_cli::filter!(Cli);
