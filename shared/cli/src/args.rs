//! Flags that several filters share, with one name, one meaning and one wording.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread;

use clap::Args;
use clap::builder::FalseyValueParser;

use crate::log::Level;
use crate::numbers::{parse_count, parse_similarity};
use crate::{Device, LogFormat, OnError, parse_bytes, parse_share};

/// Flags that every filter has.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Logging")]
pub struct CommonArgs {
    /// Print errors only
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Print progress messages; -vv also prints debugging details
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,

    /// Format of the messages on stderr
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text, hide_short_help = true)]
    pub log_format: LogFormat,

    /// Print the man page, generated from these flags
    #[arg(long, value_name = "WHAT", value_parser = ["man"], exclusive = true, hide = true)]
    pub generate: Option<String>,
}

impl CommonArgs {
    /// The least important messages that are printed.
    pub(crate) fn level(&self) -> Level {
        match (self.quiet, self.verbose) {
            (true, _) => Level::Error,
            (false, 0) => Level::Notice,
            (false, 1) => Level::Info,
            (false, _) => Level::Debug,
        }
    }
}

/// Flags of a filter that reads records.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Input")]
pub struct RecordArgs {
    /// Input files, read in order; without any, or with `-`, stdin
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// What to do with a record that cannot be used
    ///
    /// `fail` stops at the first one; `skip` warns, continues, and exits with 1 at the end.
    #[arg(long, value_name = "POLICY", value_enum, default_value_t = OnError::Fail, hide_short_help = true)]
    pub on_error: OnError,

    /// Maximum length of a record, in bytes (suffixes K, M, G)
    ///
    /// At most 1G, because all of a record is held in memory.
    #[arg(long, value_name = "BYTES", default_value = "16M", value_parser = parse_record_bytes, hide_short_help = true)]
    pub max_record_bytes: usize,
}

/// The largest --max-record-bytes.
const MOST_RECORD_BYTES: usize = 1 << 30;

fn parse_record_bytes(text: &str) -> Result<usize, String> {
    match parse_bytes(text)? {
        bytes if bytes <= MOST_RECORD_BYTES => Ok(bytes),
        _ => Err("a record has at most 1G".into()),
    }
}

/// The embedding model.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    /// Embedding model: a directory or a Hugging Face name
    ///
    /// The directory has the layout of sentence-transformers.
    #[arg(long, value_name = "MODEL")]
    pub model: String,

    /// Where its name is looked up.
    #[command(flatten)]
    pub hub: HubArgs,
}

/// Where Hugging Face names are looked up.
#[derive(Debug, Clone, Args)]
pub struct HubArgs {
    /// Look up a Hugging Face name in the local cache only
    #[arg(long, env = "HF_HUB_OFFLINE", value_parser = FalseyValueParser::new(), action = clap::ArgAction::SetTrue, hide_short_help = true)]
    pub offline: bool,
}

/// Where a model runs, and on how many threads.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Compute")]
pub struct ComputeArgs {
    /// Device to compute on: auto, cpu, cuda or cuda:N
    ///
    /// `auto` uses CUDA if its driver and libraries load, else the CPU, and reports which. `cuda` is an error if it
    /// cannot run.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: Device,

    /// Number of threads.
    #[command(flatten)]
    pub threads: ThreadArgs,
}

/// Number of threads.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Compute")]
pub struct ThreadArgs {
    /// Number of CPU threads [default: all cores]
    #[arg(long, value_name = "NUM", value_parser = parse_threads)]
    threads: Option<NonZeroUsize>,
}

/// More than machines have cores; each thread takes memory.
const MOST_THREADS: usize = 1024;

fn parse_threads(text: &str) -> Result<NonZeroUsize, String> {
    parse_count(text, MOST_THREADS)
}

impl ThreadArgs {
    /// Number of CPU threads.
    pub fn count(&self) -> usize {
        self.share(1)
    }

    /// Number of CPU threads for each of several processes that share the machine.
    pub fn share(&self, processes: usize) -> usize {
        let cores = || thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.threads.map_or_else(|| (cores() / processes.max(1)).max(1), NonZeroUsize::get)
    }
}

/// Id of the flag that every filter with ONNX Runtime has.
pub(crate) const ORT_LIBRARY: &str = "ort_library";

/// [`ComputeArgs`] of a filter that uses ONNX Runtime.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Compute")]
pub struct OrtArgs {
    /// Device and threads.
    #[command(flatten)]
    pub compute: ComputeArgs,

    /// ONNX Runtime's library [default: next to the program, then where make deps installed it]
    #[arg(id = ORT_LIBRARY, long = "ort-library", value_name = "FILE", env = "ORT_DYLIB_PATH", hide_short_help = true)]
    pub ort_library: Option<PathBuf>,
}

/// The held-out split.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Held-out split")]
pub struct HoldoutArgs {
    /// Share of the documents to hold out for evaluation, below 1
    ///
    /// It is decided by the hash of a document's group, else of its id, so with the same share and seed mine-negatives
    /// and pairs2shards hold out the same documents.
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    pub holdout: Option<f64>,

    /// Seed of all random choices
    #[arg(long, value_name = "NUM", default_value_t = 42, hide_short_help = true)]
    pub seed: u64,
}

/// When two texts are near-duplicates.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Choice")]
pub struct NearDuplicateArgs {
    /// Similarity from which texts count as near-duplicates, from 0.5 to 1
    ///
    /// The Jaccard similarity of their sets of five-character shingles, ignoring case, spaces and punctuation around
    /// words; with 1, only texts with the same set.
    #[arg(long, value_name = "SHARE", default_value_t = 0.8, value_parser = parse_similarity, hide_short_help = true)]
    pub near_duplicate: f64,
}
