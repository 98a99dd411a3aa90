//! The flags of the training's course.

use clap::Args;
use embtune_cli::parse_share;

/// What is seen, how often.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Training")]
pub(crate) struct TrainingArgs {
    /// Passes over all pairs
    #[arg(long, value_name = "NUM", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) epochs: u32,

    /// Pairs in a batch: each is a negative of all others
    ///
    /// Memory does not grow with it, see Memory below.
    #[arg(long, value_name = "NUM", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) batch_size: u32,

    /// Batches whose gradients are averaged for one step; they are no negatives of each other
    #[arg(long, value_name = "NUM", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) gradient_accumulation: u32,

    /// Dropout on hidden states and attention, below 1 [default: the model's]
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    pub(crate) dropout: Option<f64>,

    /// Seed of every random choice
    #[arg(long, value_name = "NUM", default_value_t = 42)]
    pub(crate) seed: u64,
}
