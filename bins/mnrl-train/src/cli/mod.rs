//! The flags of mnrl-train.

mod data;
mod distributed;
mod engine;
mod environment;
mod inside;
mod loss;
mod optimizer;
mod training;

use std::path::PathBuf;

use clap::Parser;
use embtune_cli::{CommonArgs, ModelArgs, OrtArgs};

pub(crate) use data::{BatchFrom, DataArgs};
pub(crate) use distributed::DistributedArgs;
pub(crate) use engine::EngineArgs;
pub(crate) use loss::{LossArgs, Supply};
pub(crate) use optimizer::OptimizerArgs;
pub(crate) use training::TrainingArgs;

use crate::checkpoint::CheckpointArgs;
use crate::training::dev::DevArgs;
use crate::weights::merge::MergeBase;

const SECTIONS: &str = "\
Loss:
  Formulas and defaults are sentence-transformers'. mnrl, symmetric and gist compare each pair with
  the whole batch. triplet and margin-mse take a pair's anchor and positive with each negative of
  the pair, contrastive and cosent the anchor with each document of the pair. A pair may have any
  number of negatives. cosent and margin-mse read the shard's scores, contrastive its labels, gist
  its guide vectors.

False negatives:
  Pairs with one anchor text are one question, and the positives of all of them answer it. What has
  the question's text, or the text, document id or group of an answer, is no negative of it. Two
  questions are no negatives of each other when they have an answer in common in this sense; nor are
  their positives. So it is in every direction, and with the negatives of triplet and, without
  labels, of contrastive. The log counts what is left out as masked; --no-mask leaves out nothing.

Sets:
  Each operand is a set. A directory that pairs2shards --out wrote is one set, and so is a 'quoted
  pattern' of shards. A batch comes from one set, unless --batch-from mixed, and the sets take turns
  at random, each as often as it has batches. --weights 1,0.5,2: in an epoch,
  every pair of the first set is seen once, a random half of the second set's (the other half in the
  next epoch), and the third set's pairs twice. The last batch of a set may be smaller.

Prompts:
  The prompts that pairs2shards put before queries and documents, the base model's or those of
  --query-prompt and --document-prompt, are the trained model's: the dev set is measured with them,
  the saved config_sentence_transformers.json has them, so that embed --role and sentence-transformers'
  encode_query and encode_document use them, and the model card names them. A notice says where they
  are not the base model's. Shards with different prompts are refused: a model has one for each role.

Metrics:
  Stdout carries one JSON object a step: step, epoch, loss, learning_rate, grad_norm (before
  clipping), tokens, tokens_per_sec, masked, memory_mb (the most so far) and, of several processes,
  sent_bytes (what each sent to others in the step). An evaluation on the dev set is an object of its
  own: step, the metric's name with the figure, best, seconds. A reader that goes away does not end
  the training. Nor does a full disk: a warning says where the log ends, the model is saved, and the exit
  code is 2. --plan prints a table instead, and trains nothing.

  The final loss is the mean over the pairs of the last epoch. A batch with nothing to compare, as a
  last pair alone or pairs that are all masked, has a loss of 0 whatever the weights: it does not count
  in the final loss, and stderr says how many there were. Where no step has a negative, nothing is
  learnt, which is said after the first epoch and is an error at the end.

Output directory:
  A sentence-transformers directory with fp32 weights, model.onnx and a model card; with --lora also
  the folder adapter, in PEFT's form. It appears when the training is done, whole or not at all. A mount
  point, or another directory that cannot be replaced in one step, is filled in the end; a notice says
  so before the training. If the system refuses in the end, the finished directory is kept, and the
  message names it. Nothing that the training reads or writes may lie inside. With
  a dev set it has the weights that did best there; a warning says so when the base model's did.

  Before it appears, it is opened again by the code of embed, by ONNX Runtime on the CPU: every tensor
  has to read back as it was, some rows of the shards (the shortest, one from the middle, the longest)
  and 16 queries and documents of the dev set have to get the network's vectors, and the dev set's
  figure has to be the one that chose the weights. A training on a GPU leaves the figure out where it
  would take the CPU more than 5 minutes. A difference is an error, exit code 2, and the trained weights
  are kept in a checkpoint; so they are when the disk refuses. Weights that are still the base model's
  are an error unless --learning-rate is 0 or the base model did best on the dev set. Without ONNX
  Runtime libtorch opens the directory, and a warning says so. Weights are read from model.safetensors or
  pytorch_model.bin, of which only tensors are read: nothing in it is executed.

Checkpoints:
  One file each, in OUT.checkpoints unless --checkpoint-dir names another folder: weights, moments,
  position, random state. They are removed when the model is saved. SIGINT, SIGTERM and SIGHUP let the
  step in hand finish, save a checkpoint and end with 130, 143 or 129, also without --checkpoint-every;
  a second one of them ends the training at once. --resume goes on from the newest one; on the CPU,
  with the same --threads, the result has the same bytes as without the break. Other settings than
  before are refused.

Several processes:
  With WORLD_SIZE above 1 in the environment, that many processes train one model, which is the model
  that one process trains, but for rounding: --batch-size is that of all together, each process carries
  some rows of every batch through the network, every row meets all others, and neither the loss nor
  the learning rate changes. RANK counts the processes, MASTER_ADDR and MASTER_PORT say where they
  meet; torchrun sets all of it. For srun, WORLD_SIZE=$SLURM_NTASKS and the place to meet are enough.
  All processes get the same flags, model and shards; each reads the lengths and hashes of all rows, and
  the tokens of its own, which it checks as it reads them: a damaged copy is named. The first one alone writes the model, the log and checkpoints, and measures on
  the dev set. What they exchange goes through Gloo, of which
  GLOO_SOCKET_IFNAME names the network interface. On CUDA each process takes the GPU that LOCAL_RANK
  counts, and vectors and gradients go from GPU to GPU by NCCL. Where that does not run, as with two
  processes on one GPU, a warning says why, and they go through the CPU.

  Of N processes each sends, in a step, 2 (N - 1) / N times the bytes of the gradient (4 for each
  parameter that is trained), which is added up in a ring while the backward pass is still at work on
  lower layers; and N - 1 times the bytes of its rows' vectors (4 for each element). The log has the
  sum as sent_bytes: with all-MiniLM-L6-v2, two processes and batches of 32, 90 MB, all but 50 kB of
  it gradients. --plan says it before, and what each process will take, when WORLD_SIZE is set; it
  waits for no other process. LOCAL_WORLD_SIZE processes share the machine's memory.

  Cores are divided among the processes of a machine unless --threads says how many each has. A
  process that fails, is killed or hangs ends all of them within --dist-timeout, with a message that
  names it; --resume goes on from the last checkpoint, also with another number of processes. A signal
  to one of them is a signal to all.

Memory:
  Weights, gradients and two moments: 16 bytes for each parameter that is trained, 4 for each that is
  not (--freeze, --lora). The backward pass needs about 110 kB a token with all-MiniLM-L6-v2 in fp32,
  half of that in bf16; up to --memory of it is kept. The rest of a batch is computed a second time,
  --batch-tokens at a time, dropout included, so that any --batch-size fits. Shards are mapped. At the
  end the saved model is loaded once more, with a dev set once for each thread (models of less than
  512 MB).
  --plan says what a training will take.

Examples:
  Three epochs, the log in a file:
      mnrl-train --model BASE --out TUNED train.safetensors > log.jsonl
  As the end of a pipe:
      pairs2shards --model BASE pairs.jsonl | mnrl-train --model BASE --out TUNED > log.jsonl
  The best of an evaluation every 100 steps, safe from power cuts:
      mnrl-train --model BASE --out TUNED --dev-queries dev/queries.jsonl --dev-corpus corpus.jsonl \\
        --dev-qrels dev/qrels.tsv --eval-every 100 --patience 5 --checkpoint-every 100 --resume train.safetensors
  Two processes on this machine:
      torchrun --no-python --nproc-per-node 2 mnrl-train --model BASE --out TUNED train.safetensors > log.jsonl
  Eight machines under Slurm:
      export WORLD_SIZE=$SLURM_NTASKS MASTER_ADDR=$(hostname) MASTER_PORT=29500
      srun --ntasks-per-node 1 mnrl-train --model BASE --out TUNED --checkpoint-every 500 --resume train.safetensors > log.jsonl
  1,024 negatives a pair, in the memory of a laptop:
      mnrl-train --model BASE --out TUNED --batch-size 1024 --precision bf16 --memory 1G train.safetensors";

/// Fine-tune an embedding model with in-batch negatives
///
/// Reads shards that pairs2shards wrote for the same tokenizer, trains a BERT, RoBERTa, XLM-RoBERTa, MPNet or DistilBERT
/// encoder with what follows it (pooling, Dense layers), and writes a model directory that replaces the base model everywhere: same shape, same vector size, new weights.
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
    pub(crate) ort: OrtArgs,

    #[command(flatten)]
    pub(crate) distributed: DistributedArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
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

    /// What cannot be done by so many processes.
    pub(crate) fn check_world(&self, size: usize) -> anyhow::Result<()> {
        let pairs = self.training.batch_size;
        anyhow::ensure!(
            pairs as usize >= size,
            "--batch-size is {pairs}, and WORLD_SIZE is {size}: there is not a pair for each process\nhint: --batch-size is that of all processes together"
        );
        Ok(())
    }
}

embtune_cli::filter!(Cli, "step", environment::SETTINGS);
