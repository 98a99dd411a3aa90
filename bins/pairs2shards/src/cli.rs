//! The flags of pairs2shards.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Parser;
use clap::builder::ArgPredicate;
use embtune_cli::{CommonArgs, HoldoutArgs, ModelArgs, NearDuplicateArgs, RecordArgs, ThreadArgs, output_path_parser};

const SECTIONS: &str = "\
Pairs:
  A record with several positives is as many pairs of one query, each with all negatives of the
  record. Rows of the same pair with other negatives, such as triplets with one negative each, are
  merged into one pair that has them all: rows with the same texts, ids, group, prompt and score of
  the positive, among the 4,096 pairs that are read together (and no more than 32,768 rows). A row
  that comes later is a pair of its own, with the negatives that it has. In a batch, pairs of the
  same texts are never negatives of each other.

Dropped pairs:
  Dropped, and counted by reason, are pairs with a blank anchor or positive, pairs that have nothing
  that an earlier pair of the same texts has not (negatives, or a score), near-duplicates of an
  earlier pair (--near-duplicate), and pairs with a query of --exclude-queries, or a near-duplicate
  of one. -v says which, by line. Negatives that are blank, repeated, or a positive of the same
  record are dropped and counted, too. Texts that are longer than the model takes are cut, and
  counted.

  Of two pairs, the similarities of the anchors and of the positives are multiplied: two questions
  about one text are no near-duplicates, and neither is one question about two texts. Pairs with
  different positive_ids (or groups, where there is none), or with different labels, are never
  near-duplicates. Similarities are estimated (MinHash, with a standard deviation of 0.04 to 0.06 at
  0.8); of texts under 44 bytes only equal ones count, case, spaces and the marks around words apart.

Held-out split:
  With --holdout, the pairs of the documents that are held out go to --holdout-dir instead of the
  shard, so no document is on both sides. A document is told by the pair's group, else by its
  positive_id. A negative that is held out (by negative_groups, else negative_ids) is taken out of
  its pair; mine-negatives with the same --holdout and --seed finds others in the first place. The
  directory gets, in BEIR's form,
    queries.jsonl   the queries
    qrels.tsv       which document answers them
    corpus-ids.txt  the ids of the documents that are held out, one a line
  The evaluation searches the whole corpus: held out means that nothing was learnt from them. So a
  query is left out that a training pair has too, or nearly (--near-duplicate), and a held-out pair
  whose text is that of a training document of another group, or nearly; of negatives, only equal
  texts are found. A query without a pair left is left out with it. -v says which, and why.

Scores:
  A pair's scores (of the positive, then of each negative: those of a teacher, or mine-negatives')
  go into the shard as they are, for the losses that learn from them. So does a label: a pair
  without negatives has its score also from the fields score, label or labels. Pairs of the same
  texts with different scores, such as the labels 1 and 0, are counted, and the first is named: they
  contradict each other. All of them go into the shard.

Prompts:
  A shard has one query prompt: --query-prompt, else the one that the pairs name (query_prompt, or
  prompt in FlagEmbedding's records), else the model's. Without the flag, a pair that names another
  one than the first pair, or none where that names one, is a bad record (--on-error).

Guide model:
  --loss gist leaves out what another model, the guide, finds as near as the positive. Its vectors
  go into the shard, and training needs no second model:
      embed --model GUIDE --role document corpus.jsonl -o gc.safetensors
      embed --model GUIDE --role query --field anchor --id anchor_id pairs.jsonl -o gq.safetensors
  A pair that names no vector, or one that is not there, is a bad record (--on-error). The vectors
  take 2 bytes an element, for every text of every pair.

Describing:
  --describe prints what a shard holds: pairs, duplicates, lengths, tokens, languages. Languages are
  those of a sample (the first 1,024 pairs and every 32nd) that was taken when it was written, told
  by the first 300 bytes; und is a text that is too short to tell. With --tokens-per-second, which
  mnrl-train --plan measures on your machine, it says how long an epoch takes.

Memory:
  Two windows of 4,096 pairs, of 32,768 rows at most; 16 bytes a pair to find double ones, 16 more
  for one with negatives or a score, 80 for a score that others may contradict, and 300 to find
  near-duplicates (of the first 4,000,000 pairs: 1.2 GB at most). Token ids wait in an unnamed
  temporary file beside the output (in TMPDIR for stdout). Held in memory are also the queries of
  --exclude-queries (300 bytes each), and with --holdout the held-out queries and 800 bytes a
  held-out pair; of a training pair, 280 bytes wait in a temporary file in --holdout-dir. The
  guide's vectors are mapped; their ids take about 100 bytes each. --describe takes 60 bytes a pair.

Examples:
  One shard, with a tenth of the documents held out:
      pairs2shards --model BASE --holdout 0.1 --holdout-dir heldout pairs.jsonl -o train.safetensors
  What it holds, and how long an epoch takes at 1,500 tokens a second:
      pairs2shards --describe train.safetensors --tokens-per-second 1500
  Training pairs without the queries of a public benchmark:
      pairs2shards --model BASE --exclude-queries benchmark/queries.jsonl pairs.jsonl -o train.safetensors
  Shards of 100,000 pairs:
      pairs2shards --model BASE --out shards --shard-pairs 100000 < pairs.jsonl
  The prefixes of a model whose files do not name them, which the trained model's files will:
      pairs2shards --model BASE --query-prompt 'query: ' --document-prompt 'passage: ' pairs.jsonl -o train.safetensors";

/// Tokenise training pairs into safetensors shards
///
/// Reads pairs as JSON Lines ({"anchor", "positive", "negatives"?, ...}, and the column names of sentence-transformers
/// and FlagEmbedding) and writes token ids that mnrl-train maps into memory, so that training never waits for a
/// tokenizer. Prompts and lengths come from the model directory.
#[derive(Debug, Parser)]
#[command(name = "pairs2shards", version, after_long_help = SECTIONS)]
// A shard says itself which model it is for.
#[command(mut_arg("model", |arg| arg.required(false).required_unless_present("describe").default_value_if("describe", ArgPredicate::IsPresent, "")))]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    /// Text to put before each anchor, instead of the model's own and the pairs'
    ///
    /// The model that is trained with the shard has it as its prompt for queries.
    #[arg(long, value_name = "TEXT", help_heading = "Model")]
    pub(crate) query_prompt: Option<String>,

    /// Text to put before each positive and negative, instead of the model's own
    ///
    /// The model that is trained with the shard has it as its prompt for documents.
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
    #[arg(short, long, value_name = "FILE", help_heading = "Output", conflicts_with = "out", value_parser = output_path_parser(&["safetensors"]))]
    pub(crate) output: Option<PathBuf>,

    /// Output directory: shards of --shard-pairs pairs each
    ///
    /// It appears when all shards are written, and must not be there before, unless it is empty.
    #[arg(long, value_name = "DIR", help_heading = "Output", requires = "shard_pairs")]
    pub(crate) out: Option<PathBuf>,

    /// Pairs in a shard of --out
    #[arg(long, value_name = "NUM", help_heading = "Output", requires = "out")]
    pub(crate) shard_pairs: Option<NonZeroUsize>,

    #[command(flatten)]
    pub(crate) near_duplicates: NearDuplicateArgs,

    /// Queries of an evaluation: pairs that have one of them are dropped (JSON Lines; may be given several times)
    #[arg(long, value_name = "FILE", help_heading = "Choice")]
    pub(crate) exclude_queries: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) split: HoldoutArgs,

    /// Directory for the held-out queries.jsonl, qrels.tsv and corpus-ids.txt
    #[arg(long, value_name = "DIR", help_heading = "Held-out split")]
    pub(crate) holdout_dir: Option<PathBuf>,

    /// Print what shards hold, and do nothing else
    #[arg(long, value_name = "SHARD", num_args = 1.., help_heading = "Describing", conflicts_with_all = ["files", "output", "out", "holdout", "holdout_dir", "guide_queries", "exclude_queries"])]
    pub(crate) describe: Vec<PathBuf>,

    /// Speed of the training, for the time that an epoch takes
    #[arg(long, value_name = "NUM", help_heading = "Describing", requires = "describe", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) tokens_per_second: Option<u64>,

    #[command(flatten)]
    pub(crate) threads: ThreadArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

embtune_cli::filter!(Cli, "batch");
