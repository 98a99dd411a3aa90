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

/// Fields that are written.
const EMBEDDING: &str = "embedding";
const DTYPE: &str = "embedding_dtype";
const SCALE: &str = "embedding_scale";

/// An output line: the record as it was, with its vector, and what the numbers are where they are not its elements.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    record: Object,
    #[serde(rename = "embedding_dtype", skip_serializing_if = "Option::is_none")]
    dtype: Option<&'static str>,
    #[serde(rename = "embedding_scale", skip_serializing_if = "Option::is_none")]
    scale: Option<f32>,
    embedding: Numbers<'a>,
}

/// A vector with the numbers that are stored of it.
struct Numbers<'a> {
    stored: VectorType,
    vector: &'a [f32],
}

impl Serialize for Numbers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = || stored(self.stored, self.vector).0;
        match self.stored {
            VectorType::F32 => self.vector.serialize(serializer),
            VectorType::F16 | VectorType::Bf16 => self.stored.rounded(self.vector).serialize(serializer),
            VectorType::Int8 => serializer.collect_seq(bytes().into_iter().map(|byte| byte as i8)),
            VectorType::Ubinary => serializer.collect_seq(bytes()),
        }
    }
}

/// The bytes of a vector, and their scale.
fn stored(stored: VectorType, vector: &[f32]) -> (Vec<u8>, f32) {
    let mut bytes = Vec::new();
    let scale = stored.store(vector, &mut bytes);
    (bytes, scale)
}

impl Jsonl {
    pub(super) fn new(stored: VectorType) -> Self {
        Self { stored }
    }
}

impl Sink for Jsonl {
    fn write(&mut self, record: Document, _place: &Place, vector: &[f32], out: &mut Output) -> anyhow::Result<bool> {
        let mut record = record.into_object();
        for name in [EMBEDDING, DTYPE, SCALE] {
            record.remove(name);
        }
        let dtype = matches!(self.stored, VectorType::Int8 | VectorType::Ubinary).then(|| self.stored.name());
        let scale = (self.stored == VectorType::Int8).then(|| stored(self.stored, vector).1);
        let line = Line { record, dtype, scale, embedding: Numbers { stored: self.stored, vector } };
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
