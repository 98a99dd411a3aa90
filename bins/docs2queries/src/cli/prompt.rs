//! Flags about what the language model is asked.

use std::path::PathBuf;

use embtune_text::Language;

use crate::prompt::{DEFAULT_STYLES, Styles};

/// Flags of the prompt.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Prompt")]
pub(crate) struct PromptArgs {
    /// Take the prompt from this file, a Jinja template, instead of the one that is built in
    #[arg(long, value_name = "FILE")]
    pub(crate) prompt: Option<PathBuf>,

    /// Print the prompt's template and stop
    #[arg(long)]
    pub(crate) show_prompt: bool,

    /// Pairs of documents and good queries, as JSON Lines, which every request shows as examples
    ///
    /// Pairs with the same positive are one example, and 20 are the most. A handful is enough.
    #[arg(long, value_name = "FILE")]
    pub(crate) examples: Option<PathBuf>,

    /// Mix of kinds of queries, as weights: question, keyword, claim, exact (a term or paragraph number), lay, typo
    #[arg(long, value_name = "MIX", default_value = DEFAULT_STYLES, value_parser = Styles::parse)]
    pub(crate) styles: Styles,

    /// Language of the queries, as a code (de) or an English name (German); without it, the document's own
    #[arg(long, value_name = "NAME", value_parser = parse_language)]
    pub(crate) language: Option<Language>,

    /// Longest passage that one request is about, in characters
    ///
    /// A longer document is cut into passages of about the same length, between paragraphs where that can be done. A
    /// passage should not be longer than what the embedding model will see of it.
    #[arg(long, value_name = "NUM", default_value_t = 2000, value_parser = parse_passage_chars)]
    pub(crate) passage_chars: usize,
}

fn parse_language(text: &str) -> Result<Language, String> {
    Language::named(text).ok_or_else(|| "expected a code such as de or deu, or an English name such as German".into())
}

fn parse_passage_chars(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|chars| *chars >= 100).ok_or_else(|| "expected a number of characters from 100 on".into())
}
