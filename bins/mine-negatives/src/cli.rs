//! The command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, ValueEnum};
use embtune_cli::{CommonArgs, HoldoutArgs, NearDuplicateArgs, OrtArgs, RecordArgs, output_path_parser, parse_rank};
use embtune_search::Similarity;

use crate::candidates::Sampling;

const SECTIONS: &str = "\
Vectors:
  A pair names its query with anchor_id and its document with positive_id; both need a vector:
    embed --model DIR --role query --field anchor --id anchor_id pairs.jsonl -o queries.safetensors
    embed --model DIR --role document corpus.jsonl -o corpus.safetensors
  A query may have several positives: pairs with the same anchor, or one record with a list of them
  and of positive_ids. They come out as pairs, one each.
  A pair that lacks an id or a vector is a bad record (--on-error).

Rules:
  The corpus is searched exactly, and its documents are considered in order of their scores. Never
  taken are
    - the documents of the query's positives, in all pairs of the input with the same anchor,
    - documents of the same group: the field group of these pairs and of the documents,
    - documents that are reserved for the evaluation (--holdout, --exclude-documents),
    - blank documents,
    - documents whose text is that of a positive, or of a document that ranks higher,
    - near-duplicates of a positive (--near-duplicate).
  The limits on scores drop some of the others; a score equal to a limit passes. Of at most
  --range-max that pass, the first --range-min are skipped, and of the rest the best
  --num-negatives are taken (--sampling top), or as many at random. A pair may get fewer negatives,
  or none at all.

  Apart from groups, reserved and blank documents and near-duplicates, these are the rules of
  sentence-transformers' mine_hard_negatives. --relative-margin 0.05 is the 95 % of the positive's
  score that NV-Retriever found best. If a query has several positives, the lowest of their scores
  counts.

Held-out split:
  With the --holdout and --seed of pairs2shards, no document of the evaluation is a negative of a
  training pair. The pairs that pairs2shards will hold out are written too, without negatives, and
  are never dropped for their rank, because an evaluation of what the base model already finds would
  prove nothing. --exclude-documents does the same for an evaluation that was made elsewhere:
    cut -f 2 qrels/test.tsv | tail -n +2 > test-documents

Round-trip filter:
  A generated query that does not find its own document is often too general or about something
  else. --keep-rank 1 keeps the pairs whose document is the first that the query finds, --keep-rank
  20 those whose document is among the first 20. The filter helps large sets and can harm small
  ones. --exact-ranks writes the rank of every positive, so that a later filter can decide:
    mine-negatives --exact-ranks ... | jq -c 'select(.positive_rank <= 5)'

Fields:
  The pairs are written in their order, with these fields in place of existing ones:
    negatives        texts, with the title first if there is one; the hardest first
    negative_ids     the ids of their documents
    negative_groups  the groups of these documents, if any document has one
    scores           of the positive, then of each negative
    positive_rank    the rank of the positive among all documents, from 1; null if it is below
                     those that were considered (never with --exact-ranks)
    negative_ranks   the rank of each negative
    dropped          the other documents that were considered, best first: id, rank, score and
                     reason, which is positive, group, held_out, excluded, blank, same_text,
                     near_duplicate, absolute_margin, relative_margin, max_score, min_score or
                     range_min
    group            that of the positive's document, if the pair had none
  -v says which pairs --keep-rank drops, with their ranks.

Memory:
  The vectors are memory-mapped, and the texts stay in their file. About 100 bytes are held in
  memory for each document and each query, and 1,024 pairs with their hits. The input is read twice,
  first to collect all positives, so a pipe is copied to an unnamed temporary file, as is that of
  --texts.

Examples:
  mine-negatives --queries q.safetensors --corpus c.safetensors --texts corpus.jsonl \\
    -n 4 pairs.jsonl -o hard.jsonl
  Without documents that are probably answers too:
    mine-negatives --queries q.safetensors --corpus c.safetensors --texts corpus.jsonl \\
      --relative-margin 0.05 pairs.jsonl
  Training pairs and an evaluation without a common document:
    mine-negatives --queries q.safetensors --corpus c.safetensors --texts corpus.jsonl \\
      --holdout 0.1 pairs.jsonl |
      pairs2shards --model DIR --holdout 0.1 --holdout-dir heldout -o train.safetensors
";

/// Add hard negatives to training pairs
///
/// A hard negative is a document that is similar to a query without answering it. This filter searches the corpus with
/// the query of each pair and adds documents that rank high but are not the pair's own.
#[derive(Debug, Parser)]
#[command(name = "mine-negatives", version, after_long_help = SECTIONS)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) records: RecordArgs,

    /// Vectors of the queries, by anchor_id; or a glob pattern
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    pub(crate) queries: PathBuf,

    /// Vectors of the documents, by positive_id; or a glob pattern
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    pub(crate) corpus: PathBuf,

    /// The documents themselves, as JSON Lines
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    pub(crate) texts: PathBuf,

    /// Write the pairs to this file, which appears whole or not at all
    #[arg(short, long, value_name = "FILE", help_heading = "Output", value_parser = output_path_parser(&["jsonl", "ndjson"]))]
    pub(crate) output: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) choice: ChoiceArgs,

    #[command(flatten)]
    pub(crate) near_duplicates: NearDuplicateArgs,

    #[command(flatten)]
    pub(crate) split: HoldoutArgs,

    /// Documents that never become negatives: ids or groups, one per line
    #[arg(long, value_name = "FILE", help_heading = "Held-out split", hide_short_help = true)]
    pub(crate) exclude_documents: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) round_trip: RoundTripArgs,

    /// How query and document vectors are compared
    #[arg(long, value_name = "HOW", default_value = "cosine", value_parser = parse_similarity(), help_heading = "Search", hide_short_help = true)]
    pub(crate) similarity: Similarity,

    #[command(flatten)]
    pub(crate) ort: OrtArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Which documents are taken.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Choice")]
pub(crate) struct ChoiceArgs {
    /// Negatives per pair, at most
    #[arg(short, long, value_name = "NUM", default_value = "3", value_parser = parse_rank)]
    pub(crate) num_negatives: NonZeroUsize,

    /// Skip this many of the best candidates
    #[arg(long, value_name = "NUM", default_value_t = 0)]
    pub(crate) range_min: usize,

    /// Candidates to consider after the limits on scores, at most
    ///
    /// By default --range-min plus --num-negatives (10 times --num-negatives with a limit that drops the best
    /// candidates: --max-score, --absolute-margin or --relative-margin), plus the largest number of positives that a
    /// query has.
    #[arg(long, value_name = "NUM", hide_short_help = true)]
    pub(crate) range_max: Option<usize>,

    /// Drop candidates with a score above this
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true, value_parser = parse_finite, hide_short_help = true)]
    pub(crate) max_score: Option<f32>,

    /// Drop candidates with a score below this
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true, value_parser = parse_finite, hide_short_help = true)]
    pub(crate) min_score: Option<f32>,

    /// Drop candidates not at least this much below the positive's score
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true, value_parser = parse_finite, hide_short_help = true)]
    pub(crate) absolute_margin: Option<f32>,

    /// Drop candidates not at least this share below the positive's score
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true, value_parser = parse_finite)]
    pub(crate) relative_margin: Option<f32>,

    /// Which of the remaining candidates are taken
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Sampling::Top, hide_short_help = true)]
    pub(crate) sampling: Sampling,
}

/// Flags that act on the rank of a pair's own document.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Round-trip filter")]
pub(crate) struct RoundTripArgs {
    /// Drop pairs whose positive is not among this many best documents
    #[arg(long, value_name = "RANK", value_parser = parse_rank)]
    pub(crate) keep_rank: Option<NonZeroUsize>,

    /// Find the rank of every positive, however far below it is
    ///
    /// This takes one more pass over the corpus.
    #[arg(long, hide_short_help = true)]
    pub(crate) exact_ranks: bool,
}

/// Distances are left out because the score limits are meant for similarities.
fn parse_similarity() -> impl TypedValueParser<Value = Similarity> {
    PossibleValuesParser::new(["cosine", "dot"]).try_map(|name| Similarity::from_str(&name, false))
}

fn parse_finite(text: &str) -> Result<f32, String> {
    text.parse().ok().filter(|number: &f32| number.is_finite()).ok_or_else(|| "expected a number".into())
}

embtune_cli::filter!(Cli {
    unit: "block",
    example: "mine-negatives --queries q.safetensors --corpus c.safetensors --texts corpus.jsonl pairs.jsonl"
});
