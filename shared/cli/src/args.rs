//! Flags that several filters share: one name, one meaning, one wording.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::OnError;

/// Flags that every filter has.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Logging")]
pub struct Common {
    /// Print errors only
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Print what is done; twice: debugging details
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,

    /// Form of the messages on stderr
    #[arg(long, value_name = "FORM", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// Print the man page, made from these flags
    #[arg(long, value_name = "WHAT", value_parser = ["man"], exclusive = true, hide = true)]
    pub generate: Option<String>,
}

/// Form of the messages on stderr.
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
    #[arg(long, value_name = "POLICY", value_enum, default_value_t = OnError::Fail)]
    pub on_error: OnError,

    /// Longest record that is accepted, in bytes (suffixes K, M, G)
    #[arg(long, value_name = "BYTES", default_value = "16M", value_parser = parse_bytes)]
    pub max_record_bytes: usize,
}

/// Parses a number of bytes with an optional binary suffix K, M or G.
///
/// # Errors
/// When the text is not a positive whole number with such a suffix, or the product does not fit.
pub fn parse_bytes(text: &str) -> Result<usize, String> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'K' | b'k') => (&text[..text.len() - 1], 10),
        Some(b'M' | b'm') => (&text[..text.len() - 1], 20),
        Some(b'G' | b'g') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number: usize = digits.parse().map_err(|_| "expected a number of bytes such as 65536, 64K or 16M")?;
    match number.checked_mul(1 << shift) {
        Some(0) => Err("must be more than 0".into()),
        Some(bytes) => Ok(bytes),
        None => Err("too large".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::parse_bytes;

    #[test]
    fn bytes_have_binary_suffixes() {
        assert_eq!(parse_bytes("16M"), Ok(16 << 20));
        assert_eq!(parse_bytes("7"), Ok(7));
        for bad in ["", "M", "0", "-1", "1.5K", "99999999999999999999", "18446744073709551615K"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
    }
}
