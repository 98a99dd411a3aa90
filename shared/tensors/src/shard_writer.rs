//! Writing a training shard pair by pair.

use std::io::{self, Write};
use std::path::Path;

use safetensors::Dtype;

use crate::shard::VERSION;
use crate::spool::{self, Spool};
use crate::{Column, Hashes, ShardMeta, TensorsError};

/// Collects tokenised pairs on disk, then writes them as one shard; memory does not grow with their number.
pub struct ShardWriter {
    columns: [ColumnSpool; 3],
    cu_rows: Spool,
}

/// A text as token ids, with its hashes.
type Row<'a> = (&'a [u32], Hashes);

struct ColumnSpool {
    input_ids: Spool,
    cu_seqlens: Spool,
    hashes: [Spool; 3],
}

impl ShardWriter {
    /// A shard that is spooled in `directory`.
    ///
    /// # Errors
    /// A directory that cannot be written.
    pub fn new(directory: &Path) -> Result<Self, TensorsError> {
        let named = |error| TensorsError::io(&directory.display().to_string(), error);
        let [anchor, positive, negative] = Column::ALL.map(|column| ColumnSpool::new(directory, column));
        let mut cu_rows = Spool::new(directory, "negative.cu_rows", Dtype::I64, &[]).map_err(named)?;
        cu_rows.push(1, &0_i64.to_le_bytes()).map_err(named)?;
        Ok(Self { columns: [anchor.map_err(named)?, positive.map_err(named)?, negative.map_err(named)?], cu_rows })
    }

    /// Number of pairs so far.
    pub fn pairs(&self) -> usize {
        self.cu_rows.rows() - 1
    }

    /// Appends a pair: each text as `(token ids, hashes)`.
    ///
    /// # Errors
    /// A full disk.
    pub fn push<'a>(
        &mut self,
        anchor: Row<'_>,
        positive: Row<'_>,
        negatives: impl IntoIterator<Item = Row<'a>>,
    ) -> Result<(), TensorsError> {
        let [anchors, positives, negative_rows] = &mut self.columns;
        let append = || {
            anchors.push(anchor)?;
            positives.push(positive)?;
            negatives.into_iter().try_for_each(|row| negative_rows.push(row))?;
            self.cu_rows.push(1, &(negative_rows.rows() as i64).to_le_bytes())
        };
        append().map_err(|error| TensorsError::Write(error.to_string()))
    }

    /// Writes the shard.
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
        }
        spool::write(spools, Some(("embtune", &json)), out)
    }
}

impl ColumnSpool {
    fn new(directory: &Path, column: Column) -> io::Result<Self> {
        let spool = |part: &str, dtype| Spool::new(directory, &column.tensor(part), dtype, &[]);
        let mut cu_seqlens = spool("cu_seqlens", Dtype::I64)?;
        cu_seqlens.push(1, &0_i64.to_le_bytes())?;
        Ok(Self {
            input_ids: spool("input_ids", Dtype::U32)?,
            cu_seqlens,
            hashes: [
                spool("text_hash", Dtype::U64)?,
                spool("document_hash", Dtype::U64)?,
                spool("group_hash", Dtype::U64)?,
            ],
        })
    }

    fn rows(&self) -> usize {
        self.cu_seqlens.rows() - 1
    }

    fn push(&mut self, (tokens, hashes): Row<'_>) -> io::Result<()> {
        for token in tokens {
            self.input_ids.push(1, &token.to_le_bytes())?;
        }
        self.cu_seqlens.push(1, &(self.input_ids.rows() as i64).to_le_bytes())?;
        for (spool, hash) in self.hashes.iter_mut().zip([hashes.text, hashes.document, hashes.group]) {
            spool.push(1, &hash.to_le_bytes())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Shard;

    fn meta() -> ShardMeta {
        ShardMeta {
            version: 0,
            tokenizer: "t".into(),
            vocab_size: 10,
            query_prompt: String::new(),
            document_prompt: String::new(),
            query_max_length: 8,
            document_max_length: 8,
            truncated: 0,
        }
    }

    fn write(directory: &Path, largest: u32) -> std::path::PathBuf {
        let hash = |n| Hashes { text: n, document: n + 1, group: 0 };
        let mut writer = ShardWriter::new(directory).unwrap();
        writer.push((&[1, 2], hash(1)), (&[3], hash(2)), []).unwrap();
        writer.push((&[4], hash(3)), (&[5, 6], hash(4)), [(&[7][..], hash(5)), (&[8, largest][..], hash(6))]).unwrap();
        let path = directory.join("s.safetensors");
        writer.finish(meta(), &mut std::fs::File::create(&path).unwrap()).unwrap();
        path
    }

    #[test]
    fn what_is_written_reads_back() {
        let directory = tempfile::tempdir().unwrap();
        let shard = Shard::open(&write(directory.path(), 9)).unwrap();
        assert_eq!((shard.pairs(), shard.negatives(0), shard.negatives(1)), (2, 0..0, 0..2));
        assert_eq!(shard.tokens(Column::Anchor, 0), [1, 2]);
        assert_eq!(shard.tokens(Column::Negative, 1), [8, 9]);
        assert_eq!(shard.hashes(Column::Positive, 1), Hashes { text: 4, document: 5, group: 0 });
    }

    #[test]
    fn a_token_outside_the_vocabulary_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let error = Shard::open(&write(directory.path(), 10)).err().unwrap().to_string();
        assert!(error.ends_with("token id 10, but the vocabulary has 10"), "{error}");
    }

    #[test]
    fn damaged_shards_do_not_crash() {
        let directory = tempfile::tempdir().unwrap();
        let path = write(directory.path(), 9);
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(Shard::open(&path).is_err(), "{length} of {} bytes", whole.len());
        }
        for index in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[index] ^= 0x41;
            std::fs::write(&path, bytes).unwrap();
            if let Ok(shard) = Shard::open(&path) {
                for pair in 0..shard.pairs() {
                    shard.negatives(pair).for_each(|row| drop(shard.tokens(Column::Negative, row)));
                }
            }
        }
    }
}
