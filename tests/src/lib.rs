//! The testkit: runs the real programs as a person would, each test in a folder of its own.
//!
//! ```no_run
//! use embtune_tests::Folder;
//!
//! let folder = Folder::new();
//! let vectors = folder.run("embed --model BASE --text").stdin("notice period\n").stdout();
//! ```
//!
//! Programs get a scrubbed environment, so that no variable of the developer's shell changes a result. A run that does
//! not end as a test expects panics with everything that is known of it: the command line, the folder's files, the exit
//! code, stdout and stderr.

mod fixtures;
mod folder;
mod programs;
mod ran;
mod run;
mod running;
mod shim;
mod skip;
mod terminal;
mod unread;
mod vectors;

pub use fixtures::fixture;
pub use folder::Folder;
pub use programs::{FILTERS, programs};
pub use ran::Ran;
pub use run::Run;
pub use running::Running;
pub use rustix::process::Signal;
pub use skip::skip;
pub use unread::UnreadPipe;

/// The root of the workspace.
pub fn workspace() -> &'static std::path::Path {
    std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
