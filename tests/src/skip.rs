//! Tests that cannot run on this machine.

use std::fs::OpenOptions;
use std::io::Write as _;

/// Notes that the running test is skipped because the machine lacks something; the test then returns.
///
/// A test that returns early counts as passed, so its name and the reason are appended to `skipped-tests`, in the folder
/// of the programs. `make test` removes that file before it begins, and its last line names what it then holds.
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
