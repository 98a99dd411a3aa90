//! Writing a training shard pair by pair.

use std::io::{self, Write};
use std::path::Path;

use half::f16;
use safetensors::Dtype;

use super::{Column, Hashes, ShardMeta, VERSION};
use crate::TensorsError;
use crate::numbers::SMALLEST_NORM;
use crate::safetensors_writer::{SpooledTensor, write_spooled};

/// Collects tokenised pairs on disk, then writes them as one shard; memory does not grow with their number.
pub struct ShardWriter {
    columns: [ColumnSpool; 3],
    cu_rows: SpooledTensor,
    has_scores: bool,
}

/// A text of a pair.
#[derive(Debug, Clone, Copy, Default)]
pub struct ShardRow<'a> {
    /// Token ids.
    pub tokens: &'a [u32],
    /// Hashes for in-batch masking.
    pub hashes: Hashes,
    /// Score of a document for its pair's anchor, if known; anchors have none.
    pub score: Option<f32>,
    /// The guide model's vector, finite and of any length; empty in a shard without a guide.
    pub guide: &'a [f32],
}

struct ColumnSpool {
    input_ids: SpooledTensor,
    cu_seqlens: SpooledTensor,
    hashes: [SpooledTensor; 3],
    /// Scores of documents; anchors have none.
    scores: Option<SpooledTensor>,
    /// The dimensions of the guide's vectors, and the vectors.
    guide: Option<(usize, SpooledTensor)>,
}

impl ShardWriter {
    /// A shard that is collected in `directory`, with guide vectors of this number of dimensions.
    ///
    /// # Errors
    /// A directory that cannot be written.
    pub fn new(directory: &Path, guide_dimension: Option<usize>) -> Result<Self, TensorsError> {
        let named = |error| TensorsError::io(&directory.display().to_string(), error);
        let [anchor, positive, negative] =
            Column::ALL.map(|column| ColumnSpool::new(directory, column, guide_dimension));
        let mut cu_rows = SpooledTensor::new(directory, "negative.cu_rows", Dtype::I64, &[]).map_err(named)?;
        cu_rows.push(1, &0_i64.to_le_bytes()).map_err(named)?;
        let columns = [anchor.map_err(named)?, positive.map_err(named)?, negative.map_err(named)?];
        Ok(Self { columns, cu_rows, has_scores: false })
    }

    /// Number of pairs so far.
    pub fn pairs(&self) -> usize {
        self.cu_rows.rows() - 1
    }

    /// Appends a pair.
    ///
    /// # Errors
    /// A full disk; a guide's vector with other dimensions than the shard's.
    pub fn push<'a>(
        &mut self,
        anchor: ShardRow<'_>,
        positive: ShardRow<'_>,
        negatives: impl IntoIterator<Item = ShardRow<'a>>,
    ) -> Result<(), TensorsError> {
        let [anchors, positives, negative_rows] = &mut self.columns;
        self.has_scores |= positive.score.is_some();
        anchors.push(anchor)?;
        positives.push(positive)?;
        for row in negatives {
            self.has_scores |= row.score.is_some();
            negative_rows.push(row)?;
        }
        self.cu_rows.push(1, &(negative_rows.rows() as i64).to_le_bytes()).map_err(write_error)
    }

    /// Writes the shard, without scores if no row has one.
    ///
    /// # Errors
    /// The writer's own.
    pub fn finish(self, mut meta: ShardMeta, out: &mut dyn Write) -> io::Result<()> {
        meta.version = VERSION;
        let json = serde_json::to_string(&meta).map_err(io::Error::from)?;
        let mut spools = vec![self.cu_rows];
        for column in self.columns {
            spools.extend(column.hashes);
            spools.push(column.cu_seqlens);
            spools.push(column.input_ids);
            spools.extend(column.scores.filter(|_| self.has_scores));
            spools.extend(column.guide.map(|(_, vectors)| vectors));
        }
        write_spooled(spools, Some(("embtune", &json)), out)
    }
}

impl ColumnSpool {
    fn new(directory: &Path, column: Column, guide_dimension: Option<usize>) -> io::Result<Self> {
        let spool = |part: &str, dtype| SpooledTensor::new(directory, &column.tensor(part), dtype, &[]);
        let guide = |dimension| {
            SpooledTensor::new(directory, &column.tensor("guide"), Dtype::F16, &[dimension])
                .map(|vectors| (dimension, vectors))
        };
        let mut cu_seqlens = spool("cu_seqlens", Dtype::I64)?;
        cu_seqlens.push(1, &0_i64.to_le_bytes())?;
        let [text, document, group] = Hashes::TENSORS.map(|part| spool(part, Dtype::U64));
        Ok(Self {
            input_ids: spool("input_ids", Dtype::U32)?,
            cu_seqlens,
            hashes: [text?, document?, group?],
            scores: column.is_document().then(|| spool("scores", Dtype::F32)).transpose()?,
            guide: guide_dimension.map(guide).transpose()?,
        })
    }

    fn rows(&self) -> usize {
        self.cu_seqlens.rows() - 1
    }

    fn push(&mut self, row: ShardRow<'_>) -> Result<(), TensorsError> {
        let expected = self.guide.as_ref().map_or(0, |(dimension, _)| *dimension);
        if row.guide.len() != expected {
            let found = row.guide.len();
            return Err(TensorsError::Write(format!("guide's vector has {found} dimensions, expected {expected}")));
        }
        self.append(row).map_err(write_error)
    }

    fn append(&mut self, row: ShardRow<'_>) -> io::Result<()> {
        let tokens: Vec<u8> = row.tokens.iter().flat_map(|token| token.to_le_bytes()).collect();
        self.input_ids.push(row.tokens.len(), &tokens)?;
        self.cu_seqlens.push(1, &(self.input_ids.rows() as i64).to_le_bytes())?;
        for (spool, hash) in self.hashes.iter_mut().zip([row.hashes.text, row.hashes.document, row.hashes.group]) {
            spool.push(1, &hash.to_le_bytes())?;
        }
        if let Some(scores) = &mut self.scores {
            scores.push(1, &row.score.unwrap_or(f32::NAN).to_le_bytes())?;
        }
        if let Some((_, vectors)) = &mut self.guide {
            vectors.push(1, &unit(row.guide))?;
        }
        Ok(())
    }
}

/// A vector normalised to length 1, because training needs only cosines and f16 has no numbers above 65,504, as its
/// bytes.
fn unit(vector: &[f32]) -> Vec<u8> {
    let norm = vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt().max(SMALLEST_NORM);
    vector.iter().flat_map(|x| f16::from_f64(f64::from(*x) / norm).to_le_bytes()).collect()
}

fn write_error(error: io::Error) -> TensorsError {
    TensorsError::Write(error.to_string())
}
