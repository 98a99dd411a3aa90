//! The vectors of a guide model, which tell false negatives in training.

use std::borrow::Cow;

use anyhow::ensure;
use embtune_records::Pair;
use embtune_tensors::{Embeddings, VectorsById, check_same_space};

/// The vectors of the queries by anchor_id, and of the documents by positive_id and negative_ids.
pub(crate) struct Guide<'a> {
    queries: VectorsById<'a>,
    documents: VectorsById<'a>,
}

/// The rows of a pair's vectors.
pub(crate) struct GuideRows {
    anchor: usize,
    positive: usize,
    negatives: Vec<usize>,
}

/// The vectors of a pair; empty without a guide.
#[derive(Default)]
pub(crate) struct GuideVectors<'a> {
    pub(crate) anchor: Cow<'a, [f32]>,
    pub(crate) positive: Cow<'a, [f32]>,
    /// As many as there are negatives, or none.
    pub(crate) negatives: Vec<Cow<'a, [f32]>>,
}

impl<'a> Guide<'a> {
    /// A guide from two files that `embed` has written.
    ///
    /// # Errors
    /// Files that do not belong together, vectors without dimensions.
    pub(crate) fn new(queries: &'a Embeddings, documents: &'a Embeddings) -> anyhow::Result<Self> {
        check_same_space(queries, documents)?;
        for file in [queries, documents] {
            ensure!(file.dim() > 0, "{}: its vectors have no dimensions", file.name());
        }
        Ok(Self { queries: VectorsById::new(queries, "query"), documents: VectorsById::new(documents, "document") })
    }

    /// Dimensions of a vector.
    pub(crate) fn dimension(&self) -> usize {
        self.documents.vectors.dim()
    }

    /// Fingerprint of the model, if the files have it.
    pub(crate) fn model(&self) -> Option<String> {
        self.documents.vectors.meta().or(self.queries.vectors.meta()).map(|meta| meta.model.clone())
    }

    /// Finds the vectors of a pair, or reports which one is missing.
    pub(crate) fn find(&self, pair: &Pair) -> Result<GuideRows, String> {
        let ids = pair.negative_ids.as_deref();
        let negative =
            |index: usize| self.documents.find("negative_ids", ids.and_then(|ids| ids.get(index)).map(String::as_str));
        let find = || {
            Ok(GuideRows {
                anchor: self.queries.find("anchor_id", pair.anchor_id.as_deref())?,
                positive: self.documents.find("positive_id", pair.positive_id.as_deref())?,
                negatives: (0..pair.negatives.len()).map(negative).collect::<Result<_, _>>()?,
            })
        };
        find().map_err(|what: String| {
            format!("{what}\nhint: --guide-queries and --guide-corpus need a vector for every id in the pairs")
        })
    }

    /// The vectors of a pair.
    ///
    /// # Errors
    /// A vector that holds NaN or infinity.
    pub(crate) fn read(&self, rows: &GuideRows) -> anyhow::Result<GuideVectors<'a>> {
        let document = |row: usize| self.documents.vectors.finite_rows_f32(row..row + 1);
        Ok(GuideVectors {
            anchor: self.queries.vectors.finite_rows_f32(rows.anchor..rows.anchor + 1)?,
            positive: document(rows.positive)?,
            negatives: rows.negatives.iter().map(|row| document(*row)).collect::<Result<_, _>>()?,
        })
    }
}
