//! Process manners, the same for every filter.
//!
//! A filter's `main` is one call of [`main`]: it parses the flags, answers `--generate`, runs the filter's body and
//! turns what comes back into an exit code and, where there is something to say, one message on stderr.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | all that was asked is done; also when the reader of stdout went away |
//! | 1 | finished, but the answer is no or records were skipped ([`Outcome::Incomplete`]) |
//! | 2 | usage, input or output, model or device error |
//! | 129, 130, 143 | ended by SIGHUP, SIGINT, SIGTERM |
//!
//! Messages are `prog: source:line: what`; a remedy follows on a line of its own that begins with `hint: `, which is
//! part of the error's text (so libraries can give one without knowing how it is shown).

mod args;
mod atomic_dir;
mod atomic_file;
mod catch_panic;
mod compute;
mod descriptors;
mod device;
mod disk;
mod entry;
mod environment;
mod figures;
mod generate;
mod input;
mod interrupt;
mod log;
mod model_args;
mod output;
mod output_format;
mod parsers;
mod place;
mod progress;
mod proxies;
mod replayable;
mod session;
mod short_help;
mod shown;
mod signals;
mod skip;
mod split_args;
mod temporary;

pub use args::{CommonArgs, LogFormat, RecordArgs};
pub use atomic_dir::{AtomicDir, free_bytes};
pub use atomic_file::AtomicFile;
pub use catch_panic::catch_panic;
pub use compute::{ComputeArgs, OrtArgs, ThreadArgs};
pub use device::Device;
pub use disk::{Lock, sync, sync_data, sync_folder};
pub use entry::{Filter, Outcome, main};
pub use environment::EnvironmentSetting;
pub use figures::{counted, format_duration, group_digits};
pub use input::Input;
pub use interrupt::{Interrupt, Interrupted};
pub use model_args::{HubArgs, ModelArgs};
pub use output::{ClosedPipe, Output, is_stream, spool_directory};
pub use output_format::{OutputFormat, output_format, output_path_parser, value_name};
pub use parsers::{parse_bytes, parse_not_negative, parse_rank, parse_share, parse_similarity};
pub use place::is_inside;
pub use progress::Progress;
pub use proxies::{Proxies, Proxy};
pub use replayable::{Replayable, is_regular_file};
pub use session::Session;
pub use short_help::check_short_help;
pub use skip::{OnError, Skipper};
pub use split_args::{HoldoutArgs, NearDuplicateArgs};
