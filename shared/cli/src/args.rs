//! Flags that several filters share: one name, one meaning, one wording.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::{OnError, parse_bytes};

/// Flags that every filter has.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Logging")]
pub struct CommonArgs {
    /// Print errors only
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Print what is done; twice: debugging details
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,

    /// Format of the messages on stderr
    #[arg(long, value_name = "FORM", value_enum, default_value_t = LogFormat::Text, hide_short_help = true)]
    pub log_format: LogFormat,

    /// Print the man page, made from these flags
    #[arg(long, value_name = "WHAT", value_parser = ["man"], exclusive = true, hide = true)]
    pub generate: Option<String>,
}

/// Format of the messages on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// `prog: message`, for people
    Text,
    /// One JSON object a line, for machines
    Json,
}

/// Flags of a filter that reads records.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Input")]
pub struct RecordArgs {
    /// Input files, read one after the other; none, or `-`, is stdin
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// What to do about a record that cannot be used
    ///
    /// `fail` stops at the first one; `skip` warns, goes on, and exits with 1 at the end.
    #[arg(long, value_name = "POLICY", value_enum, default_value_t = OnError::Fail, hide_short_help = true)]
    pub on_error: OnError,

    /// Longest record that is accepted, in bytes (suffixes K, M, G)
    ///
    /// At most 1G: a record is held in memory as a whole.
    #[arg(long, value_name = "BYTES", default_value = "16M", value_parser = parse_record_bytes, hide_short_help = true)]
    pub max_record_bytes: usize,
}

/// More would not be a record.
const MOST_RECORD_BYTES: usize = 1 << 30;

fn parse_record_bytes(text: &str) -> Result<usize, String> {
    match parse_bytes(text)? {
        bytes if bytes <= MOST_RECORD_BYTES => Ok(bytes),
        _ => Err("a record has at most 1G".into()),
    }
}
