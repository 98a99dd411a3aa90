//! Vectors of earlier runs, for `--cache`.
//!
//! A redb database for each model: a single file, in pure Rust, whose transactions survive the end of the process at
//! any moment, and which any number of processes may use at once.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use embtune_cli::catch_panic;
use redb::{Builder, ConcurrencyMode, Database, ReadableDatabase as _, TableDefinition, TableError};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::input::fields::Text;
use crate::kept::answer::{Answer, Origin};
use crate::kept::recipe::Recipe;

/// [`Cache::key`] to the answer's bytes and their XXH3 (u64).
const ANSWERS: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("answers");
/// Memory that the database may use.
const MEMORY: usize = 64 << 20;

/// Answers on disk, by recipe and text.
pub(crate) struct Cache {
    name: String,
    /// Always there, until the end.
    database: Option<Database>,
    recipe: Xxh3,
    dim: usize,
}

impl Cache {
    /// Opens or creates the database of the recipe's model in a folder.
    ///
    /// # Errors
    /// A folder that cannot be written, a damaged database.
    pub(crate) fn open(folder: &Path, recipe: &Recipe) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let path = folder.join(format!("{}.redb", recipe.model.trim_start_matches("xxh3:")));
        let name = path.display().to_string();
        let database = guarded(&name, || {
            let mut builder = Builder::new();
            builder.set_cache_size(MEMORY).set_concurrency_mode(ConcurrencyMode::MultiWriter);
            Ok(builder.create(&path)?)
        })?;
        let mut hash = Xxh3::new();
        hash.update(recipe.to_json()?.as_bytes());
        hash.update(&[0]);
        Ok(Self { name, database: Some(database), recipe: hash, dim: recipe.dim })
    }

    /// The name of a text's answer: XXH3 with 128 bits of the recipe and the text.
    pub(crate) fn key(&self, text: &Text<'_>) -> u128 {
        let mut hash = self.recipe.clone();
        text.hash(&mut hash);
        hash.digest128()
    }

    /// The answers that are there.
    ///
    /// # Errors
    /// A damaged database.
    pub(crate) fn find(&self, keys: impl Iterator<Item = u128>) -> anyhow::Result<Vec<Option<Answer>>> {
        let Some(database) = &self.database else { return Ok(Vec::new()) };
        guarded(&self.name, || {
            let table = match database.begin_read()?.open_table(ANSWERS) {
                Ok(table) => Some(table),
                Err(TableError::TableDoesNotExist(_)) => None,
                Err(error) => return Err(error.into()),
            };
            keys.map(|key| {
                let value = table.as_ref().map(|table| table.get(key)).transpose()?.flatten();
                value.map(|value| self.read(key, value.value())).transpose()
            })
            .collect()
        })
    }

    /// Keeps answers, all or none.
    ///
    /// # Errors
    /// A full disk, a damaged database.
    pub(crate) fn keep<'a>(&self, answers: impl Iterator<Item = (u128, &'a Answer)>) -> anyhow::Result<()> {
        let mut answers = answers.filter(|(_, answer)| answer.origin != Origin::Cache).peekable();
        if answers.peek().is_none() {
            return Ok(());
        }
        let Some(database) = &self.database else { return Ok(()) };
        guarded(&self.name, || {
            let transaction = database.begin_write()?;
            {
                let mut table = transaction.open_table(ANSWERS)?;
                let mut bytes = Vec::new();
                for (key, answer) in answers {
                    bytes.clear();
                    answer.write(&mut bytes);
                    bytes.extend(checksum(key, &bytes).to_le_bytes());
                    table.insert(key, bytes.as_slice())?;
                }
            }
            Ok(transaction.commit()?)
        })
    }

    fn read(&self, key: u128, value: &[u8]) -> Result<Answer, redb::Error> {
        let answer = value.split_last_chunk().and_then(|(mut bytes, sum)| {
            let is_whole = checksum(key, bytes) == u64::from_le_bytes(*sum);
            let answer = is_whole.then(|| Answer::read(&mut bytes, self.dim, Origin::Cache))?;
            answer.filter(|_| bytes.is_empty())
        });
        answer.ok_or_else(|| redb::Error::Corrupted("a vector is not what was kept".into()))
    }
}

/// redb checks its pages after a crash only, and a disk that changes a bit must not change a vector.
fn checksum(key: u128, bytes: &[u8]) -> u64 {
    xxh3_64(bytes) ^ key as u64
}

impl Drop for Cache {
    fn drop(&mut self) {
        // What it writes at its end is committed already; it may panic on what it could not read.
        let database = self.database.take();
        let _ = catch_panic(|| drop(database));
    }
}

/// Runs redb, which may panic on a damaged file.
fn guarded<T>(name: &str, code: impl FnOnce() -> Result<T, redb::Error>) -> anyhow::Result<T> {
    catch_panic(code).unwrap_or_else(|panic| Err(redb::Error::Corrupted(panic))).map_err(|error| explain(name, error))
}

fn explain(name: &str, error: redb::Error) -> anyhow::Error {
    match error {
        redb::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => damaged(name, &error),
        redb::Error::Io(error) => anyhow!("{name}: {error}"),
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => {
            anyhow!(
                "{name}: in use by a program with another version of redb\nhint: wait for it, or take another folder"
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
