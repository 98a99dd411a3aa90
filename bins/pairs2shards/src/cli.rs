//! The flags of pairs2shards.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Parser;
use embtune_cli::{Common, ModelArgs, RecordArgs, ThreadArgs, parse_share};

const SECTIONS: &str = "\
Dropped pairs:
  Pairs with a blank anchor or positive, and pairs whose anchor and positive were both seen before,
  are dropped and counted. With --holdout, the pairs of the documents that are held out go to
  DIR/queries.jsonl and DIR/qrels.tsv instead of the shard, so no document is on both sides. A
  document is told by the pair's group, else by its positive_id.

Scores:
  A pair's scores (of the positive, then of each negative: those of a teacher, or mine-negatives')
  go into the shard as they are, for the losses that learn from them. So does a label: a pair
  without negatives has its score also from the fields score, label or labels.

Guide model:
  --loss gist leaves out what another model, the guide, finds as near as the positive. Its vectors
  go into the shard, and training needs no second model:
      embed --model GUIDE --role document corpus.jsonl -o gc.safetensors
      jq -c '{_id: .anchor_id, text: .anchor}' pairs.jsonl |
        embed --model GUIDE --role query -o gq.safetensors
  A pair that names no vector, or one that is not there, is a bad record (--on-error). The vectors
  take 2 bytes an element, for every text of every pair.

Memory:
  A window of 4,096 pairs, and 8 bytes a pair to find double ones. Token ids wait in an unnamed
  temporary file beside the output (in TMPDIR for stdout). Held-out ids are kept in memory. The
  guide's vectors are mapped; their ids take about 100 bytes each.

Examples:
  One shard, with a tenth of the documents held out:
      pairs2shards --model BASE --holdout 0.1 --holdout-dir heldout pairs.jsonl -o train.safetensors
  Shards of 100,000 pairs:
      pairs2shards --model BASE --out shards --shard-pairs 100000 < pairs.jsonl
  A set with its own prompt, which training mixes with others:
      pairs2shards --model BASE --query-prompt 'which paper says: ' cite.jsonl -o cite.safetensors";

/// Tokenise training pairs into safetensors shards
///
/// Reads pairs as JSON Lines ({"anchor", "positive", "negatives"?, ...}, and the column names of sentence-transformers
/// and FlagEmbedding) and writes token ids that mnrl-train maps into memory, so that training never waits for a
/// tokenizer. Prompts and lengths come from the model directory.
#[derive(Debug, Parser)]
#[command(name = "pairs2shards", version, after_long_help = SECTIONS)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    /// Text to put before each anchor, instead of the model's own
    #[arg(long, value_name = "TEXT", help_heading = "Model")]
    pub(crate) query_prompt: Option<String>,

    /// Text to put before each positive and negative, instead of the model's own
    #[arg(long, value_name = "TEXT", help_heading = "Model")]
    pub(crate) document_prompt: Option<String>,

    /// Tokens at which an anchor is cut [default: the model's]
    #[arg(long, value_name = "NUM", help_heading = "Model")]
    pub(crate) query_max_length: Option<usize>,

    /// Tokens at which a positive or negative is cut [default: the model's]
    #[arg(long, value_name = "NUM", help_heading = "Model")]
    pub(crate) document_max_length: Option<usize>,

    #[command(flatten)]
    pub(crate) records: RecordArgs,

    /// A guide model's vectors of the anchors, by anchor_id
    #[arg(long, value_name = "FILE", help_heading = "Guide model", requires = "guide_corpus")]
    pub(crate) guide_queries: Option<PathBuf>,

    /// A guide model's vectors of the documents, by positive_id and negative_ids
    #[arg(long, value_name = "FILE", help_heading = "Guide model", requires = "guide_queries")]
    pub(crate) guide_corpus: Option<PathBuf>,

    /// Output file: one shard; - is stdout
    #[arg(short, long, value_name = "FILE", help_heading = "Output", conflicts_with = "out")]
    pub(crate) output: Option<PathBuf>,

    /// Output directory: shards of --shard-pairs pairs each
    ///
    /// It appears when all shards are written, and must not be there before, unless it is empty.
    #[arg(long, value_name = "DIR", help_heading = "Output", requires = "shard_pairs")]
    pub(crate) out: Option<PathBuf>,

    /// Pairs in a shard of --out
    #[arg(long, value_name = "NUM", help_heading = "Output", requires = "out")]
    pub(crate) shard_pairs: Option<NonZeroUsize>,

    /// Share of the documents to hold out for evaluation, below 1
    #[arg(long, value_name = "SHARE", help_heading = "Held-out split", requires = "holdout_dir", value_parser = parse_share)]
    pub(crate) holdout: Option<f64>,

    /// Directory for the held-out queries.jsonl and qrels.tsv
    #[arg(long, value_name = "DIR", help_heading = "Held-out split", requires = "holdout")]
    pub(crate) holdout_dir: Option<PathBuf>,

    /// Seed of every random choice
    #[arg(long, value_name = "NUM", default_value_t = 42, help_heading = "Held-out split")]
    pub(crate) seed: u64,

    #[command(flatten)]
    pub(crate) threads: ThreadArgs,

    #[command(flatten)]
    pub(crate) common: Common,
}

embtune_cli::filter!(Cli);
