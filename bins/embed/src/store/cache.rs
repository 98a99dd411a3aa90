//! Embeddings of all runs, for `--cache`.
//!
//! Each model has a redb database. That is a single file, whose transactions survive a crash at any moment, and which
//! any number of processes may use at once.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use embtune_cli::catch_panic;
use redb::{Builder, ConcurrencyMode, Database, ReadableDatabase as _, TableDefinition, TableError};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::EmbeddingSettings;
use crate::embedding::{Origin, RecordEmbedding};
use crate::input::fields::Text;

/// Maps [`Cache::key`] to the encoded embedding, followed by a checksum (u64). The table's name dates from older
/// versions.
const EMBEDDINGS: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("answers");
/// Memory that the database may use, in bytes.
const MAX_MEMORY: usize = 64 << 20;

/// Embeddings on disk, by settings and text.
pub(crate) struct Cache {
    name: String,
    /// `None` only while the cache is dropped.
    database: Option<Database>,
    /// Hash of the [`EmbeddingSettings`], to which the text is added.
    settings: Xxh3,
    dim: usize,
}

impl Cache {
    /// Opens or creates the database of a model in a folder.
    ///
    /// # Errors
    /// The folder cannot be written, or the database is damaged.
    pub(crate) fn open(folder: &Path, settings: &EmbeddingSettings) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let path = folder.join(format!("{}.redb", settings.model.trim_start_matches("xxh3:")));
        let name = path.display().to_string();
        let database = catching_panics(&name, || {
            let mut builder = Builder::new();
            builder.set_cache_size(MAX_MEMORY).set_concurrency_mode(ConcurrencyMode::MultiWriter);
            Ok(builder.create(&path)?)
        })?;
        let mut hash = Xxh3::new();
        hash.update(serde_json::to_string(settings)?.as_bytes());
        hash.update(&[0]);
        Ok(Self { name, database: Some(database), settings: hash, dim: settings.dim })
    }

    /// The key of a text: the 128-bit XXH3 of settings and text.
    pub(crate) fn key(&self, text: &Text<'_>) -> u128 {
        let mut hash = self.settings.clone();
        text.hash(&mut hash);
        hash.digest128()
    }

    /// The embeddings with these keys, as far as they are stored.
    ///
    /// # Errors
    /// The database is damaged.
    pub(crate) fn find(&self, keys: impl Iterator<Item = u128>) -> anyhow::Result<Vec<Option<RecordEmbedding>>> {
        let Some(database) = &self.database else { return Ok(Vec::new()) };
        catching_panics(&self.name, || {
            let table = match database.begin_read()?.open_table(EMBEDDINGS) {
                Ok(table) => Some(table),
                Err(TableError::TableDoesNotExist(_)) => None,
                Err(error) => return Err(error.into()),
            };
            keys.map(|key| {
                let value = table.as_ref().map(|table| table.get(key)).transpose()?.flatten();
                value.map(|value| self.decode(key, value.value())).transpose()
            })
            .collect()
        })
    }

    /// Stores embeddings in a single transaction.
    ///
    /// # Errors
    /// The disk is full, or the database is damaged.
    pub(crate) fn add<'a>(&self, embeddings: impl Iterator<Item = (u128, &'a RecordEmbedding)>) -> anyhow::Result<()> {
        let mut new = embeddings.filter(|(_, embedding)| embedding.origin != Origin::Cache).peekable();
        if new.peek().is_none() {
            return Ok(());
        }
        let Some(database) = &self.database else { return Ok(()) };
        catching_panics(&self.name, || {
            let transaction = database.begin_write()?;
            {
                let mut table = transaction.open_table(EMBEDDINGS)?;
                let mut bytes = Vec::new();
                for (key, embedding) in new {
                    bytes.clear();
                    embedding.write(&mut bytes);
                    bytes.extend(checksum(key, &bytes).to_le_bytes());
                    table.insert(key, bytes.as_slice())?;
                }
            }
            Ok(transaction.commit()?)
        })
    }

    fn decode(&self, key: u128, value: &[u8]) -> Result<RecordEmbedding, redb::Error> {
        let embedding = value.split_last_chunk().and_then(|(mut bytes, sum)| {
            let is_intact = checksum(key, bytes) == u64::from_le_bytes(*sum);
            let embedding = is_intact.then(|| RecordEmbedding::read(&mut bytes, self.dim, Origin::Cache))?;
            embedding.filter(|_| bytes.is_empty())
        });
        embedding.ok_or_else(|| redb::Error::Corrupted("a stored vector has changed".into()))
    }
}

/// A checksum of a value. redb verifies its pages only after a crash, and a vector must not change if the disk flips a
/// bit.
fn checksum(key: u128, bytes: &[u8]) -> u64 {
    xxh3_64(bytes) ^ key as u64
}

impl Drop for Cache {
    fn drop(&mut self) {
        // redb may panic on pages that it cannot read. Nothing is lost: everything has been committed.
        let database = self.database.take();
        let _ = catch_panic(|| drop(database));
    }
}

/// Runs code of redb, which may panic on a damaged file.
fn catching_panics<T>(name: &str, code: impl FnOnce() -> Result<T, redb::Error>) -> anyhow::Result<T> {
    catch_panic(code).unwrap_or_else(|panic| Err(redb::Error::Corrupted(panic))).map_err(|error| explain(name, error))
}

fn explain(name: &str, error: redb::Error) -> anyhow::Error {
    match error {
        redb::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => damaged(name, &error),
        redb::Error::Io(error) => anyhow!("{name}: {error}"),
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => {
            anyhow!(
                "{name}: in use by a program with another version of redb\nhint: wait until it ends, or use another folder"
            )
        }
        other => damaged(name, &other),
    }
}

fn damaged(name: &str, error: &dyn std::fmt::Display) -> anyhow::Error {
    let error = error.to_string();
    let error = error.lines().next().unwrap_or_default();
    anyhow!("{name}: the cache is damaged: {error}\nhint: remove that file; its vectors are computed again")
}
