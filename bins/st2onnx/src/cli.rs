//! The command line.

use std::path::PathBuf;

use clap::Parser;
use embtune_cli::CommonArgs;

const SECTIONS: &str = "\
Output file:
  model.onnx, operator set 17, fp32. Inputs: input_ids, attention_mask and, for BERT and NomicBERT,
  token_type_ids, int64 [batch_size, sequence_length]. Output: last_hidden_state, float
  [batch_size, sequence_length, hidden]. Pooling and normalisation are left to the program that
  loads the file, as sentence-transformers, fastembed and text-embeddings-inference expect. The file
  has a few dozen kilobytes: the weights are external data in model.safetensors or its shards, or
  else in pytorch_model.bin, so that these files must stay together. tokenizer_config.json and
  special_tokens_map.json, which fastembed needs, are written if they are missing.

Memory:
  Little more than the file that is written: weights are mapped, not loaded.

Examples:
  Add the file to a model (mnrl-train does this by itself):
      st2onnx TUNED";

/// Write model.onnx into a sentence-transformers model directory
///
/// The graph is built from config.json and the names of the weights, not traced from a program; embed runs the same
/// graph. Its weights are not copied: it refers to the directory's own files of weights.
#[derive(Debug, Parser)]
#[command(name = "st2onnx", version, after_long_help = SECTIONS)]
pub(crate) struct Cli {
    /// Model directory, to which model.onnx is added
    #[arg(value_name = "DIR")]
    pub(crate) model: PathBuf,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

embtune_cli::filter!(Cli { unit: "file", example: "st2onnx TUNED" });
