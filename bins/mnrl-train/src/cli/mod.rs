//! The flags of mnrl-train.

mod engine;
mod loss;
mod optimizer;
mod training;

use std::path::PathBuf;

use clap::Parser;
use embtune_cli::{Common, ComputeArgs, ModelArgs};

pub(crate) use engine::EngineArgs;
pub(crate) use loss::{LossArgs, Supply};
pub(crate) use optimizer::OptimizerArgs;
pub(crate) use training::TrainingArgs;

use crate::checkpoint::CheckpointArgs;
use crate::dev::DevArgs;
use crate::merge::MergeBase;

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
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub(crate) tensorboard: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) compute: ComputeArgs,

    #[command(flatten)]
    pub(crate) common: Common,
}

impl Cli {
    /// What clap cannot say about flags that do not go together.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.optimizer.merge_base != Some(MergeBase::Auto) || self.dev.dev_queries.is_some(),
            "--merge-base auto is decided by a dev set\nhint: --dev-queries, --dev-corpus and --dev-qrels name one"
        );
        Ok(())
    }
}

embtune_cli::filter!(Cli);
