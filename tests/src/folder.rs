//! A folder of its own for each test.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::Run;

/// A folder with files for one test; programs run in it. It is removed at the end.
pub struct Folder(TempDir);

impl Folder {
    /// An empty folder.
    #[expect(clippy::new_without_default, reason = "a folder on the disk is no default value")]
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Where the folder is.
    pub fn root(&self) -> &Path {
        self.0.path()
    }

    /// Where a file of the folder is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    /// Removes a folder, if it is there.
    pub fn remove(&self, name: &str) {
        let _ = fs::remove_dir_all(self.path(name));
    }

    /// Lets the tokenizer of a copy of a BERT fixture add no tokens of its own.
    pub fn remove_special_tokens(&self, model: &str) {
        let name = format!("{model}/tokenizer.json");
        let tokenizer = self.read(&name);
        let (before, _) = tokenizer.split_once("\"post_processor\"").unwrap();
        let (_, after) = tokenizer.split_once("\"decoder\"").unwrap();
        self.write(&name, format!("{before}\"post_processor\": null, \"decoder\"{after}"));
        let name = format!("{model}/tokenizer_config.json");
        self.write(&name, self.read(&name).replace("BertTokenizer", "PreTrainedTokenizerFast"));
    }

    /// Reads a file of text.
    pub fn read(&self, name: &str) -> String {
        String::from_utf8(self.bytes(name)).unwrap()
    }

    /// Reads a file.
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}; there are {:?}", self.listing()))
    }

    /// All files and folders, hidden ones too, by their paths from here; a folder's path ends in a slash.
    pub fn listing(&self) -> Vec<String> {
        listing(self.root())
    }

    /// A command line, to be run here: a filter or another program, and its arguments, separated by blanks.
    pub fn run(&self, line: &str) -> Run {
        Run::new(line, self.root())
    }

    /// A script for bash that stops at the first failure, also inside a pipe.
    pub fn shell(&self, script: &str) -> Run {
        Run::new("bash -euo pipefail -c", self.root()).arg(script)
    }
}

/// All files and folders under `root`, sorted.
pub(crate) fn listing(root: &Path) -> Vec<String> {
    let mut paths = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            paths.push(if is_folder { name + "/" } else { name });
            if is_folder {
                folders.push(path);
            }
        }
    }
    paths.sort();
    paths
}
