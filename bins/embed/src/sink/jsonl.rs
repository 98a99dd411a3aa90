//! Records with their vectors, as JSON Lines.

use std::borrow::Cow;
use std::io::{self, Write as _};

use embtune_cli::{Outcome, Output};
use embtune_records::{Document, Location, Object};
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

/// The numbers that are stored of a vector.
enum Numbers<'a> {
    Floats(Cow<'a, [f32]>),
    Signed(Vec<u8>),
    Unsigned(Vec<u8>),
}

impl Serialize for Numbers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Floats(floats) => floats.serialize(serializer),
            Self::Signed(bytes) => serializer.collect_seq(bytes.iter().map(|byte| *byte as i8)),
            Self::Unsigned(bytes) => serializer.collect_seq(bytes),
        }
    }
}

/// What is written of a vector: its numbers, and their scale where they have one.
fn numbers(stored: VectorType, vector: &[f32]) -> (Numbers<'_>, Option<f32>) {
    let mut bytes = Vec::new();
    match stored {
        VectorType::F32 => (Numbers::Floats(vector.into()), None),
        VectorType::F16 | VectorType::Bf16 => (Numbers::Floats(stored.rounded(vector).into()), None),
        VectorType::Int8 => {
            let scale = stored.store(vector, &mut bytes);
            (Numbers::Signed(bytes), Some(scale))
        }
        VectorType::Ubinary => {
            stored.store(vector, &mut bytes);
            (Numbers::Unsigned(bytes), None)
        }
    }
}

impl Jsonl {
    pub(super) fn new(stored: VectorType) -> Self {
        Self { stored }
    }
}

impl Sink for Jsonl {
    fn write(&mut self, record: Document, _place: &Location, vector: &[f32], out: &mut Output) -> anyhow::Result<bool> {
        let mut record = record.into_object();
        for name in [EMBEDDING, DTYPE, SCALE] {
            record.remove(name);
        }
        let dtype = matches!(self.stored, VectorType::Int8 | VectorType::Ubinary).then(|| self.stored.name());
        let (embedding, scale) = numbers(self.stored, vector);
        let line = Line { record, dtype, scale, embedding };
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
