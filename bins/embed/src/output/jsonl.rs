//! Records with their vectors, as JSON Lines.

use std::borrow::Cow;
use std::io::{self, Write as _};

use embtune_cli::{Outcome, Output};
use embtune_records::{Document, Location, Object};
use embtune_tensors::{EmbeddingsMeta, VectorType};
use serde::{Serialize, Serializer};

use super::VectorWriter;

pub(super) struct JsonlWriter {
    vector_type: VectorType,
}

/// The fields that are added to a record.
const EMBEDDING: &str = "embedding";
const DTYPE: &str = "embedding_dtype";
const SCALE: &str = "embedding_scale";

/// An output line: the record with its vector, and with the number type if the numbers are not the elements themselves.
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

/// The numbers that represent a vector.
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

/// The numbers that represent a vector, and their scale if the type has one.
fn numbers(vector_type: VectorType, vector: &[f32]) -> (Numbers<'_>, Option<f32>) {
    let mut bytes = Vec::new();
    match vector_type {
        VectorType::F32 => (Numbers::Floats(vector.into()), None),
        VectorType::F16 | VectorType::Bf16 => (Numbers::Floats(vector_type.rounded(vector).into()), None),
        VectorType::Int8 => {
            let scale = vector_type.store(vector, &mut bytes);
            (Numbers::Signed(bytes), Some(scale))
        }
        VectorType::Ubinary => {
            vector_type.store(vector, &mut bytes);
            (Numbers::Unsigned(bytes), None)
        }
    }
}

impl JsonlWriter {
    pub(super) fn new(vector_type: VectorType) -> Self {
        Self { vector_type }
    }
}

impl VectorWriter for JsonlWriter {
    fn write(
        &mut self,
        record: Document,
        _location: &Location,
        vector: &[f32],
        out: &mut Output,
    ) -> anyhow::Result<bool> {
        let mut record = record.into_object();
        for name in [EMBEDDING, DTYPE, SCALE] {
            record.remove(name);
        }
        let dtype = matches!(self.vector_type, VectorType::Int8 | VectorType::Ubinary).then(|| self.vector_type.name());
        let (embedding, scale) = numbers(self.vector_type, vector);
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
