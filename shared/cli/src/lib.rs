//! How every filter behaves as a process: flags, exit codes, signals, inputs, outputs and messages.
//!
//! The `main` of a filter is one call of [`main`]: it parses the flags, answers `--generate`, runs the filter's body,
//! and turns the result into an exit code and, if there is an error, one message on stderr.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | everything was done, or the reader of stdout closed it |
//! | 1 | finished, but a check failed or records were skipped ([`Outcome::Incomplete`]) |
//! | 2 | usage, input or output, model or device error |
//! | 129, 130, 143 | ended by SIGHUP, SIGINT, SIGTERM |
//!
//! Messages have the form `prog: source:line: what`. A remedy follows on a second line that begins with `hint: `; it is
//! part of the error's text, so that libraries can give one without knowing how it is printed.

mod args;
mod atomic_dir;
mod atomic_file;
mod descriptors;
mod device;
mod disk;
mod environment;
mod escape;
mod filter;
mod input;
mod interrupt;
mod log;
mod man_page;
mod numbers;
mod output;
mod output_format;
mod panics;
mod paths;
mod progress;
mod proxies;
mod replayable;
mod session;
mod signals;
mod skip;
mod temporary;

pub use args::{
    CommonArgs, ComputeArgs, HoldoutArgs, HubArgs, ModelArgs, NearDuplicateArgs, OrtArgs, RecordArgs, ThreadArgs,
};
pub use atomic_dir::{AtomicDir, free_bytes};
pub use atomic_file::AtomicFile;
pub use device::Device;
pub use disk::{Lock, sync, sync_data, sync_folder};
pub use environment::EnvironmentSetting;
pub use filter::{Filter, main};
pub use input::Input;
pub use interrupt::{Interrupt, Interrupted};
pub use log::LogFormat;
pub use numbers::{counted, format_duration, group_digits, parse_bytes, parse_not_negative, parse_rank, parse_share};
pub use output::{Output, is_stream, spool_directory};
pub use output_format::{OutputFormat, output_format, output_path_parser, value_name};
pub use panics::catch_panic;
pub use paths::is_inside;
pub use progress::Progress;
pub use proxies::{Proxies, Proxy};
pub use replayable::{Replayable, is_regular_file};
pub use session::{Outcome, Session};
pub use skip::{OnError, Skipper};
