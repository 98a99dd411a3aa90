//! Runs the real program in a folder of its own.

use std::fs;
use std::path::PathBuf;
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
        let mut command = Command::new(env!("CARGO_BIN_EXE_mine-negatives"));
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

    /// Runs the program, which must end well, and reads its stdout as JSON Lines.
    pub(crate) fn records(&self, arguments: &str) -> Vec<Value> {
        self.stdout(arguments).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
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

/// The flags that every run needs; all files are made by [`plane`].
pub(crate) const FILES: &str = "-q --queries q --corpus c --texts corpus.jsonl";

/// A unit vector of the plane.
pub(crate) fn at(degrees: f32) -> [f32; 2] {
    [degrees.to_radians().cos(), degrees.to_radians().sin()]
}

/// Documents d0 to d9 at 0°, 10°, … 90°, so that a query at 0° finds them in this order; queries q0, q14 and q90.
pub(crate) fn plane() -> Folder {
    let folder = Folder::new();
    let vectors: Vec<(String, [f32; 2])> = (0..10_u8).map(|n| (format!("d{n}"), at(10.0 * f32::from(n)))).collect();
    let rows: Vec<(&str, &[f32])> = vectors.iter().map(|(id, vector)| (id.as_str(), &vector[..])).collect();
    folder.write_vectors("c", "document", &rows);
    folder.write_vectors("q", "query", &[("q0", &at(0.0)), ("q14", &at(14.0)), ("q90", &at(90.0))]);
    let documents = (0..10).map(|n| format!("{{\"_id\":\"d{n}\",\"title\":\"T{n}\",\"text\":\"text {n}\"}}\n"));
    folder.write("corpus.jsonl", &documents.collect::<String>());
    folder.write("pairs.jsonl", &pair("q0", "d0"));
    folder
}

/// A pair whose anchor is the query's id and whose positive is no document's text.
pub(crate) fn pair(query: &str, document: &str) -> String {
    let anchor = format!("anchor of {query}");
    format!(
        "{{\"anchor\":\"{anchor}\",\"positive\":\"a part of {document}\",\"anchor_id\":\"{query}\",\
         \"positive_id\":\"{document}\"}}\n"
    )
}
