//! Files under `tests/fixtures`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Folder;

/// A file or folder under `tests/fixtures`.
pub fn fixture(name: &str) -> PathBuf {
    crate::workspace().join("tests/fixtures").join(name)
}

impl Folder {
    /// Copies a file or a folder under `tests/fixtures`, so that a test may write into it.
    ///
    /// # Panics
    /// When there is no such fixture.
    pub fn copy_fixture(&self, name: &str, to: &str) {
        copy(&fixture(name), &self.path(to));
    }
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    }
}
