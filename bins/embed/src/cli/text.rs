//! The flags of what the model is given.

use clap::{Args, ValueEnum};

/// What is put around texts.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model")]
pub(crate) struct TextArgs {
    /// What the texts are for: takes the model's own prompt for it
    ///
    /// Without a role the model's default prompt is taken (default_prompt_name), if it has one.
    #[arg(long, value_name = "ROLE", value_enum)]
    pub(crate) role: Option<Role>,

    /// Text to put before each text, instead of the model's own
    #[arg(long, value_name = "TEXT")]
    pub(crate) prompt: Option<String>,

    /// Tokens that the model takes at once, special tokens included [default: the model's]
    #[arg(long, value_name = "NUM")]
    pub(crate) max_seq_length: Option<usize>,
}

/// What texts are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Search queries
    Query,
    /// Documents that are searched
    Document,
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Document => "document",
        }
    }
}

impl From<Role> for embtune_model::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Query => Self::Query,
            Role::Document => Self::Document,
        }
    }
}
