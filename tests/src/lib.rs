//! The testkit: runs the real programs as a user would, each test in a temporary folder.
//!
//! ```no_run
//! use embtune_tests::Folder;
//!
//! let folder = Folder::new();
//! let vectors = folder.run("embed --model BASE --text").stdin("notice period\n").stdout();
//! ```
//!
//! Programs get an almost empty environment, so that no variable of the developer's shell changes a result. A run that
//! does not end as a test expects panics with all that is known about it: the command line, the folder's files, the
//! exit code, stdout and stderr.

mod folder;
mod programs;
mod ran;
mod run;
mod running;

pub use folder::{Folder, fixture};
pub use programs::{FILTERS, programs};
pub use ran::Ran;
pub use run::{Run, UnreadPipe};
pub use running::Running;
pub use rustix::process::Signal;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::sync::Mutex;
use std::thread;

/// The root of the workspace.
pub fn workspace() -> &'static std::path::Path {
    std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Notes that the running test is skipped because the machine lacks something; the test then returns.
///
/// A test that returns early counts as passed, so its name and the reason are appended to `skipped-tests`, in the
/// folder of the programs. `make test` removes that file before it begins, and its last line names the tests in it.
///
/// # Panics
/// When the file cannot be written.
pub fn skip(reason: &str) {
    let package = std::env::var("CARGO_PKG_NAME").unwrap_or_default();
    let thread = std::thread::current();
    let line = format!("{package}: {}\t{reason}\n", thread.name().unwrap_or("main"));
    let path = crate::programs::profile_folder().join("skipped-tests");
    // One write each, because tests run at the same time.
    let written =
        OpenOptions::new().append(true).create(true).open(&path).and_then(|mut file| file.write_all(line.as_bytes()));
    written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Checks many items on all cores, and returns the faults that were found. Each thread has a state made by `start`.
///
/// # Panics
/// When there are no items, or a check panics.
pub fn complaints<T: Sync, S>(
    items: &[T],
    start: impl Fn() -> S + Sync,
    check: impl Fn(&S, &T) -> Option<String> + Sync,
) -> Vec<String> {
    assert!(!items.is_empty());
    let (rest, complaints) = (Mutex::new(items.iter()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                let state = start();
                loop {
                    let Some(item) = rest.lock().unwrap().next() else { break };
                    if let Some(complaint) = check(&state, item) {
                        complaints.lock().unwrap().push(complaint);
                    }
                }
            });
        }
    });
    complaints.into_inner().unwrap()
}
