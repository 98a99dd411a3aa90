//! Runs the real program in a folder of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use embtune_tensors::{Dtype, EmbeddingsMeta, EmbeddingsWriter};
use serde_json::Value;
use tempfile::TempDir;

/// A folder with files for one test.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Writes a file of vectors, made with this role.
    pub(crate) fn write_vectors(&self, name: &str, role: &str, rows: &[(&str, &[f32])]) {
        self.write_vectors_of("model", name, role, rows);
    }

    /// Writes a file of vectors, made by this model with this role.
    pub(crate) fn write_vectors_of(&self, model: &str, name: &str, role: &str, rows: &[(&str, &[f32])]) {
        let mut writer = EmbeddingsWriter::new(self.0.path(), rows[0].1.len(), Dtype::F32).unwrap();
        for (id, vector) in rows {
            writer.push(id, vector).unwrap();
        }
        let meta = EmbeddingsMeta {
            version: 0,
            model: model.into(),
            pooling: "mean".into(),
            role: Some(role.into()),
            prompt: String::new(),
            normalized: false,
            precision: "fp32".into(),
            max_seq_length: 256,
            truncated: 0,
        };
        writer.finish(meta, &mut fs::File::create(self.path(name)).unwrap()).unwrap();
    }

    /// The program in this folder, with these arguments (separated by blanks).
    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ir-eval"));
        command.current_dir(self.0.path()).args(arguments.split_whitespace()).stdin(Stdio::null());
        command
    }

    /// Runs the program.
    pub(crate) fn run(&self, arguments: &str) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs the program, which must end well; its stdout.
    pub(crate) fn stdout(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Runs the program, which must end well, and reads its stdout as JSON.
    pub(crate) fn json(&self, arguments: &str) -> Value {
        serde_json::from_str(&self.stdout(&format!("{arguments} --format json"))).unwrap()
    }

    /// Runs the program, which must end with 2 and print nothing but one message; that message.
    pub(crate) fn refusal(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {message}");
        assert!(output.stdout.is_empty(), "{arguments}");
        assert!(!message.contains("panicked") && !message.contains("internal error"), "{arguments}: {message}");
        message
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A file of the trec_eval fixture, which stands with the metrics.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/metrics/tests/trec_eval").join(name)
}
