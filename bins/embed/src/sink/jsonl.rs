//! Records with their vectors, as JSON Lines.

use std::io::{self, Write as _};

use embtune_cli::{Outcome, Output};
use embtune_records::{Document, Object, Place};
use embtune_tensors::{EmbeddingsMeta, VectorType};
use serde::{Serialize, Serializer};

use super::Sink;

pub(super) struct Jsonl {
    stored: VectorType,
}

/// An output line: the record as it was, with its vector.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    record: Object,
    embedding: Numbers<'a>,
}

/// A vector with the numbers that are stored of it.
struct Numbers<'a> {
    stored: VectorType,
    vector: &'a [f32],
}

impl Serialize for Numbers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = || {
            let mut bytes = Vec::new();
            self.stored.store(self.vector, &mut bytes);
            bytes
        };
        match self.stored {
            VectorType::F32 => self.vector.serialize(serializer),
            VectorType::F16 | VectorType::Bf16 => self.stored.rounded(self.vector).serialize(serializer),
            VectorType::Int8 => serializer.collect_seq(bytes().into_iter().map(|byte| byte as i8)),
            VectorType::Ubinary => serializer.collect_seq(bytes()),
        }
    }
}

impl Jsonl {
    pub(super) fn new(stored: VectorType) -> Self {
        Self { stored }
    }
}

impl Sink for Jsonl {
    fn write(&mut self, record: Document, _place: &Place, vector: &[f32], out: &mut Output) -> anyhow::Result<bool> {
        let mut record = record.into_object();
        record.remove("embedding");
        let line = Line { record, embedding: Numbers { stored: self.stored, vector } };
        serde_json::to_writer(&mut *out, &line).map_err(io::Error::from)?;
        out.write_all(b"\n")?;
        Ok(true)
    }

    fn finish(
        self: Box<Self>,
        _meta: &mut dyn FnMut() -> anyhow::Result<EmbeddingsMeta>,
        _out: &mut Output,
    ) -> anyhow::Result<Outcome> {
        Ok(Outcome::Done)
    }
}
