//! A temporary folder for each test, with the files that a test needs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use embtune_tensors::{EmbeddingsMeta, EmbeddingsWriter, TensorFile, VectorType, write_tensors};
use tempfile::TempDir;

use crate::Run;

/// A folder with files for one test; programs run in it. It is removed at the end.
pub struct Folder(TempDir);

impl Folder {
    /// An empty folder.
    #[expect(clippy::new_without_default, reason = "a folder on the disk is not a default value")]
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

    /// Removes a folder if it exists.
    pub fn remove(&self, name: &str) {
        let _ = fs::remove_dir_all(self.path(name));
    }

    /// Divides the weights of a copied fixture into two shards with an index, and returns the names of all three files.
    pub fn shard_weights(&self, model: &str) -> [String; 3] {
        const SHARDS: [&str; 2] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
        const INDEX: &str = "model.safetensors.index.json";
        let whole = self.path(&format!("{model}/model.safetensors"));
        let file = TensorFile::open(&whole).unwrap();
        let mut map = serde_json::Map::new();
        for (number, shard) in SHARDS.iter().enumerate() {
            let names: Vec<String> = file.names().into_iter().skip(number).step_by(2).collect();
            let tensor = |name: &String| file.require(name).unwrap();
            let tensors: Vec<_> = names.iter().map(|name| (name.as_str(), tensor(name))).collect();
            let tensors: Vec<_> = tensors.iter().map(|(name, x)| (*name, x.dtype, x.shape.to_vec(), x.bytes)).collect();
            let mut bytes = Vec::new();
            write_tensors(&tensors, Some(("format", "pt")), &mut bytes).unwrap();
            self.write(&format!("{model}/{shard}"), bytes);
            map.extend(names.into_iter().map(|name| (name, (*shard).into())));
        }
        self.write(&format!("{model}/{INDEX}"), serde_json::json!({"weight_map": map}).to_string());
        fs::remove_file(whole).unwrap();
        [SHARDS[0].into(), SHARDS[1].into(), INDEX.into()]
    }

    /// Keeps the tokenizer of a copied BERT fixture from adding special tokens.
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

    /// All files and folders, including hidden ones, by their relative paths; the path of a folder ends in a slash.
    pub fn listing(&self) -> Vec<String> {
        listing(self.root())
    }

    /// A command line to run in this folder: a filter or another program and its arguments, separated by blanks.
    pub fn run(&self, line: &str) -> Run {
        Run::new(line, self.root())
    }

    /// A script for bash that stops at the first failure, also in a pipe.
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

/// A file or folder under `tests/fixtures`.
pub fn fixture(name: &str) -> PathBuf {
    crate::workspace().join("tests/fixtures").join(name)
}

impl Folder {
    /// A folder with `BASE`, a copy of a model of `tests/fixtures/parity`, and `corpus.jsonl`, the documents of the
    /// pipeline's tests.
    pub fn with_corpus(model: &str) -> Self {
        let folder = Self::new();
        folder.copy_fixture(&format!("parity/{model}"), "BASE");
        folder.copy_fixture("pipeline/corpus.jsonl", "corpus.jsonl");
        folder
    }

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

impl Folder {
    /// Writes a file of vectors with this role in its metadata.
    pub fn write_vectors(&self, name: &str, role: &str, rows: &[(&str, &[f32])]) {
        self.write_vectors_of("model", name, role, rows);
    }

    /// Writes a file of vectors with this model and role in its metadata.
    pub fn write_vectors_of(&self, model: &str, name: &str, role: &str, rows: &[(&str, &[f32])]) {
        let mut writer = EmbeddingsWriter::new(self.root(), rows[0].1.len(), VectorType::F32).unwrap();
        for (id, vector) in rows {
            writer.push(id, vector).unwrap();
        }
        let meta = EmbeddingsMeta {
            model: model.into(),
            pooling: "mean".into(),
            role: Some(role.into()),
            ..EmbeddingsMeta::default()
        };
        writer.finish(meta, &mut File::create(self.path(name)).unwrap()).unwrap();
    }
}

impl Folder {
    /// A command line whose programs call these functions, written in C, instead of those of the C library.
    ///
    /// # Panics
    /// When they cannot be compiled.
    pub fn run_with(&self, functions: &str, line: &str) -> Run {
        const HEAD: &str = "#define _GNU_SOURCE\n#include <dlfcn.h>\n#include <errno.h>\n#include <fcntl.h>\n\
                            #include <stdio.h>\n#include <string.h>\n#include <sys/stat.h>\n#include <unistd.h>\n";
        let place = tempfile::tempdir().unwrap();
        let source = place.path().join("shim.c");
        std::fs::write(&source, format!("{HEAD}{functions}\n")).unwrap();
        let library = self.path(".shim.so");
        let mut compiler = Command::new("cc");
        let output = compiler.args(["-shared", "-fPIC", "-Wall", "-o"]).args([&library, &source]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.run(&format!("env LD_PRELOAD={} {line}", library.display()))
    }

    /// A script for sh that may mount file systems; no other process sees them, and they are gone when it ends. Where
    /// the system does not allow it, the test is noted as skipped and there is no run.
    pub fn mounting(&self, script: &str) -> Option<Run> {
        static WAY: OnceLock<Option<&str>> = OnceLock::new();
        let way = WAY.get_or_init(|| {
            ["unshare --mount", "unshare --mount --map-root-user"].into_iter().find(|way| {
                let mut words = way.split(' ');
                let mut command = Command::new(words.next().unwrap_or_default());
                command.args(words).args(["mount", "-t", "tmpfs", "none", "/mnt"]);
                command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
            })
        });
        if way.is_none() {
            crate::skip("needs the right to mount: unshare --mount");
        }
        way.map(|way| self.run(&format!("{way} sh -euc")).arg(script))
    }
}
