//! Flags about what a run may cost.

use embtune_cli::parse_not_negative;

/// Flags about money.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Cost")]
pub(crate) struct MoneyArgs {
    /// Most dollars to spend, replies in the journal included
    #[arg(long, value_name = "USD", value_parser = parse_not_negative)]
    pub(crate) max_usd: Option<f64>,

    /// Most tokens to spend, of prompts and completions together, replies in the journal included
    #[arg(long, value_name = "NUM")]
    pub(crate) max_tokens: Option<u64>,

    /// Dollars for a million tokens of prompts
    #[arg(long, value_name = "USD", value_parser = parse_not_negative)]
    pub(crate) price_in: Option<f64>,

    /// Dollars for a million tokens of completions
    #[arg(long, value_name = "USD", value_parser = parse_not_negative)]
    pub(crate) price_out: Option<f64>,
}
