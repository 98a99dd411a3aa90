//! The flags of st2onnx.

use std::path::PathBuf;

use clap::Parser;
use embtune_cli::CommonArgs;

const SECTIONS: &str = "\
Output file:
  model.onnx, operator set 17, fp32. Inputs input_ids, attention_mask and, for BERT and NomicBERT,
  token_type_ids: int64 [batch_size, sequence_length]. Output last_hidden_state: float
  [batch_size, sequence_length, hidden]. Pooling and normalisation are the reader's, as
  sentence-transformers, fastembed and text-embeddings-inference expect. The file is tens of
  kilobytes: the weights are external data inside model.safetensors, or the pytorch_model.bin of a
  model that has only that, so the two stay together. tokenizer_config.json and
  special_tokens_map.json, which fastembed wants beside it, are written where they are missing.

Memory:
  Little more than the file that is written: weights are mapped, not read.

Examples:
  Give a fine-tuned model an ONNX file (mnrl-train has done so already):
      st2onnx TUNED";

/// Write model.onnx into a sentence-transformers model directory
///
/// The graph is built from config.json and the names of the weights, not traced from a program, and is the same that
/// embed runs. Its weights are not copied: it points into the directory's own file of weights.
#[derive(Debug, Parser)]
#[command(name = "st2onnx", version, after_long_help = SECTIONS)]
pub(crate) struct Cli {
    /// Model directory, which gets a file model.onnx
    #[arg(value_name = "DIR")]
    pub(crate) model: PathBuf,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

embtune_cli::filter!(Cli, "file");
