//! Flags of filters that keep data apart.

use clap::Args;

use crate::{parse_share, parse_similarity};

/// The held-out split.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Held-out split")]
pub struct HoldoutArgs {
    /// Share of the documents to hold out for evaluation, below 1
    ///
    /// The hash of a document's group, else of its id, decides: with the same share and seed, mine-negatives and
    /// pairs2shards hold out the same documents.
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    pub holdout: Option<f64>,

    /// Seed of every random choice
    #[arg(long, value_name = "NUM", default_value_t = 42, hide_short_help = true)]
    pub seed: u64,
}

/// From where on two texts count as one.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Choice")]
pub struct NearDuplicateArgs {
    /// Similarity from which on texts are near-duplicates, from 0.5 to 1
    ///
    /// The share of pieces of five characters that both have among those that either has (Jaccard), case, spaces and
    /// the marks around words apart; 1 leaves only texts that have all of them in common.
    #[arg(long, value_name = "SHARE", default_value_t = 0.8, value_parser = parse_similarity, hide_short_help = true)]
    pub near_duplicate: f64,
}
