//! The flags that name an embedding model.

use clap::Args;
use clap::builder::FalseyValueParser;

/// Which embedding model.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    /// Embedding model: a sentence-transformers directory or a Hugging Face name
    #[arg(long, value_name = "MODEL")]
    pub model: String,

    /// Where a name is looked up.
    #[command(flatten)]
    pub hub: HubArgs,
}

/// Where Hugging Face names are looked up.
#[derive(Debug, Clone, Args)]
pub struct HubArgs {
    /// Take a Hugging Face name from the local cache only
    #[arg(long, env = "HF_HUB_OFFLINE", value_parser = FalseyValueParser::new(), action = clap::ArgAction::SetTrue, hide_short_help = true)]
    pub offline: bool,
}
