//! The flags of pairs2shards.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Parser;
use clap::builder::ArgPredicate;
use embtune_cli::{CommonArgs, HoldoutArgs, ModelArgs, NearDuplicateArgs, RecordArgs, ThreadArgs, output_path_parser};

const SECTIONS: &str = "\
Pairs:
  A record with several positives becomes one pair for each of them, with the same query and all
  negatives of the record. Rows of the same pair with different negatives, such as triplets with one
  negative each, are merged into one pair with all of them, if they have the same texts, ids, group,
  prompt and score of the positive, and are among the 4,096 pairs that are processed together (at
  most 32,768 rows). A later row becomes a separate pair with its own negatives. Pairs with
  the same texts are never negatives of each other within a batch.

Dropped pairs:
  These pairs are dropped, and counted by reason: pairs with a blank anchor or positive, pairs that
  add nothing to an earlier pair with the same texts (no new negatives or score), near-duplicates of
  an earlier pair (--near-duplicate), and pairs with a query of --exclude-queries, or a
  near-duplicate of one. -v reports each by line. Negatives that are blank, repeated, or equal to a
  positive of the same record are also dropped and counted. Texts that are longer than the model
  takes are cut and counted.

  The similarity of two pairs is the product of the similarities of their anchors and of their
  positives: two questions about one text are not near-duplicates, and neither is one question about
  two texts. Pairs with different positive_ids (or groups, where they have no positive_id) or with
  different labels are never near-duplicates. Similarities are estimated (MinHash, with a standard
  deviation of 0.04 to 0.06 at 0.8). Texts under 44 bytes match only if they are equal, apart from
  case, spaces and punctuation around words.

Held-out split:
  With --holdout, the pairs of the held-out documents go to --holdout-dir instead of the shard, so
  that no document is on both sides. A document is identified by the pair's group, else by its
  positive_id. A negative that is held out (by negative_groups, else negative_ids) is removed from
  its pair; with the same --holdout and --seed, mine-negatives does not choose it in the first
  place. The directory gets, in BEIR's format,
    queries.jsonl   the queries
    qrels.tsv       which documents answer them
    corpus-ids.txt  the ids of the held-out documents, one a line
  The evaluation searches the whole corpus; the held-out documents are those that nothing was
  learnt from. A query is therefore left out if a training pair has the same query, or nearly
  (--near-duplicate), and a held-out pair if its text is that of a training document of another
  group, or nearly; among negatives, only equal texts are found. A query without any pair left is
  left out as well. -v reports each omission and its reason.

Scores:
  The scores of a pair (of the positive, then of each negative, from a teacher or mine-negatives)
  go into the shard unchanged, for the losses that learn from them. So do labels: a pair without
  negatives may have its score in the field score, label or labels instead. Pairs with the same
  texts but different scores, such as the labels 1 and 0, contradict each other; they are kept and
  counted, and the first is reported.

Prompts:
  A shard has one query prompt: --query-prompt, else that of the pairs (query_prompt, or prompt in
  FlagEmbedding's records), else the model's. Without the flag, a pair with a different prompt than
  the first pair is a bad record (--on-error).

Guide model:
  --loss gist ignores negatives that another model, the guide, finds as near to the query as the
  positive. The guide's vectors go into the shard, so that training needs no second model:
      embed --model GUIDE --role document corpus.jsonl -o gc.safetensors
      embed --model GUIDE --role query --field anchor --id anchor_id pairs.jsonl -o gq.safetensors
  A pair without the id of a vector, or with an id that has none, is a bad record (--on-error). The
  vectors take 2 bytes per dimension, for every text of every pair.

Describing:
  --describe prints what is in a shard: pairs, duplicates, lengths, tokens, languages. The languages
  are those of a sample (the first 1,024 pairs and every 32nd after them) that was taken when the
  shard was written, detected from the first 300 bytes; und is a text that is too short. The time
  that an epoch takes is measured by mnrl-train --plan.

Memory:
  Two batches of 4,096 pairs, of at most 32,768 rows; 16 bytes per pair to find duplicates, 16 more
  for a pair with negatives or a score, 80 for a score that another may contradict, and 300 to find
  near-duplicates (of the first 4,000,000 pairs: at most 1.2 GB). Token ids are kept in an unnamed
  temporary file beside the output (in TMPDIR for stdout). Also held in memory are the queries of
  --exclude-queries (300 bytes each) and, with --holdout, the held-out queries and 800 bytes per
  held-out pair; 280 bytes per training pair are kept in a temporary file in --holdout-dir. The
  guide's vectors are mapped; their ids take about 100 bytes each. --describe takes 60 bytes per
  pair.

Examples:
  One shard, with a tenth of the documents held out:
      pairs2shards --model BASE --holdout 0.1 --holdout-dir heldout pairs.jsonl -o train.safetensors
  What is in it:
      pairs2shards --describe train.safetensors
  Training pairs without the queries of a public benchmark:
      pairs2shards --model BASE --exclude-queries benchmark/queries.jsonl pairs.jsonl \\
        -o train.safetensors
  Shards of 100,000 pairs:
      pairs2shards --model BASE --out shards --shard-pairs 100000 < pairs.jsonl
  Prompts for a model whose files do not have them; the trained model's files will:
      pairs2shards --model BASE --query-prompt 'query: ' --document-prompt 'passage: ' pairs.jsonl \\
        -o train.safetensors";

/// Tokenise training pairs into safetensors shards
///
/// Reads pairs as JSON Lines ({"anchor", "positive", "negatives"?, ...}, and the column names of sentence-transformers
/// and FlagEmbedding) and writes token ids that mnrl-train maps into memory, so that training never waits for a
/// tokenizer. Prompts and lengths come from the model directory.
#[derive(Debug, Parser)]
#[command(name = "pairs2shards", version, after_long_help = SECTIONS)]
#[command(mut_arg("threads", |arg| arg.hide_short_help(true)))]
// --describe needs no model.
#[command(mut_arg("model", |arg| arg.required(false).required_unless_present("describe").default_value_if("describe", ArgPredicate::IsPresent, "")))]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    /// Text to put before each anchor, instead of the model's or the pairs' prompt
    ///
    /// It becomes the query prompt of the model that is trained with the shard.
    #[arg(long, value_name = "TEXT", help_heading = "Model", hide_short_help = true)]
    pub(crate) query_prompt: Option<String>,

    /// Text to put before each positive and negative, instead of the model's prompt
    ///
    /// It becomes the document prompt of the model that is trained with the shard.
    #[arg(long, value_name = "TEXT", help_heading = "Model", hide_short_help = true)]
    pub(crate) document_prompt: Option<String>,

    /// Tokens at which an anchor is cut [default: the model's]
    #[arg(long, value_name = "NUM", help_heading = "Model")]
    pub(crate) query_max_length: Option<usize>,

    /// Tokens at which a document is cut [default: the model's]
    #[arg(long, value_name = "NUM", help_heading = "Model")]
    pub(crate) document_max_length: Option<usize>,

    #[command(flatten)]
    pub(crate) records: RecordArgs,

    /// A guide model's vectors of the anchors, by anchor_id
    #[arg(long, value_name = "FILE", help_heading = "Guide model", hide_short_help = true, requires = "guide_corpus")]
    pub(crate) guide_queries: Option<PathBuf>,

    /// A guide model's vectors of the documents, by positive_id and negative_ids
    #[arg(long, value_name = "FILE", help_heading = "Guide model", hide_short_help = true, requires = "guide_queries")]
    pub(crate) guide_corpus: Option<PathBuf>,

    /// Output file: one shard; - is stdout
    #[arg(short, long, value_name = "FILE", help_heading = "Output", conflicts_with = "out", value_parser = output_path_parser(&["safetensors"]))]
    pub(crate) output: Option<PathBuf>,

    /// Output directory: shards of --shard-pairs pairs each
    ///
    /// It appears when all shards are written, and must not exist before, unless it is empty.
    #[arg(long, value_name = "DIR", help_heading = "Output", requires = "shard_pairs")]
    pub(crate) out: Option<PathBuf>,

    /// Pairs in a shard of --out
    #[arg(long, value_name = "NUM", help_heading = "Output", requires = "out")]
    pub(crate) shard_pairs: Option<NonZeroUsize>,

    #[command(flatten)]
    pub(crate) near_duplicates: NearDuplicateArgs,

    /// Evaluation queries (JSON Lines): pairs with one of them are dropped
    ///
    /// May be given several times.
    #[arg(long, value_name = "FILE", help_heading = "Choice")]
    pub(crate) exclude_queries: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) split: HoldoutArgs,

    /// Directory for the held-out queries.jsonl, qrels.tsv and corpus-ids.txt
    #[arg(long, value_name = "DIR", help_heading = "Held-out split")]
    pub(crate) holdout_dir: Option<PathBuf>,

    /// Print what is in shards, and write nothing
    #[arg(long, value_name = "SHARD", num_args = 1.., help_heading = "Describing", conflicts_with_all = ["files", "output", "out", "holdout", "holdout_dir", "guide_queries", "exclude_queries"])]
    pub(crate) describe: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) threads: ThreadArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

embtune_cli::filter!(Cli {
    unit: "batch",
    example: "pairs2shards --model BASE --holdout 0.1 --holdout-dir heldout pairs.jsonl -o train.safetensors"
});
