//! Vectors by their ids.

use std::collections::HashMap;

use crate::Embeddings;

/// The vectors that records name; takes about 100 bytes of memory a vector.
pub struct VectorsById<'a> {
    vectors: &'a Embeddings,
    /// What the vectors are of, for messages: `query` or `document`.
    kind: &'static str,
    rows: HashMap<&'a str, usize>,
}

impl<'a> VectorsById<'a> {
    /// Vectors that messages call those of a `query` or of a `document`.
    pub fn new(vectors: &'a Embeddings, kind: &'static str) -> Self {
        Self { vectors, kind, rows: vectors.ids().zip(0..).collect() }
    }

    /// Row of the vector with this id.
    pub fn row(&self, id: &str) -> Option<usize> {
        self.rows.get(id).copied()
    }

    /// Row of the vector that a record names in `field`.
    ///
    /// # Errors
    /// What is wrong with the record, which lacks the field or names a vector that is not there.
    pub fn find(&self, field: &str, id: Option<&str>) -> Result<usize, String> {
        let (file, kind) = (self.vectors.name(), self.kind);
        let id = id.ok_or_else(|| format!("no field \"{field}\": it names the {kind}'s vector in {file}"))?;
        self.row(id).ok_or_else(|| format!("no vector of {kind} \"{id}\" in {file}"))
    }
}
