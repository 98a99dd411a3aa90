//! The embeddings of an interrupted run, for `--resume`.
//!
//! They are in a file beside the output. It begins with a line of JSON, the settings of the run. A block for each
//! window follows: the length of the block's content (u32), its XXH3 (u64), and for each record in order its key (u64)
//! and its embedding, all little-endian. A block is written as soon as it is computed, so that it survives a crash of
//! the process. Every ten seconds, the next block is forced to the disk with all blocks before it, so that they survive
//! a power failure. A block that is incomplete or damaged is cut off, with everything after it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use embtune_cli::{Lock, Session, sync_data};
use serde::Serialize;
use serde_json::{Map, Value};
use xxhash_rust::xxh3::xxh3_64;

use super::EmbeddingSettings;
use crate::embedding::{Origin, RecordEmbedding};
use crate::input::InputShard;

/// Longest header that is read; embtune never writes a longer one.
const MAX_HEADER_BYTES: u64 = 1 << 20;
/// Size of a block's length and checksum.
const BLOCK_HEADER_BYTES: usize = 12;
const KEY_BYTES: usize = 8;
/// How long blocks may stay unsynchronised.
const SYNC_INTERVAL: Duration = Duration::from_secs(10);

/// The first line of the file: the settings of the run. A run with other settings cannot continue it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct RunSettings {
    /// Version of embed. Another version may form other batches, whose sums are rounded differently.
    pub(crate) embed: &'static str,
    pub(crate) shard: Option<String>,
    #[serde(flatten)]
    pub(crate) embedding: EmbeddingSettings,
}

impl RunSettings {
    pub(crate) fn new(embedding: EmbeddingSettings, shard: Option<InputShard>) -> Self {
        Self { embed: env!("CARGO_PKG_VERSION"), shard: shard.map(|shard| shard.to_string()), embedding }
    }
}

/// The path of the file for an output: `.NAME.part` beside it.
///
/// # Errors
/// The output is not a file.
pub(crate) fn path(output: Option<&Path>) -> anyhow::Result<PathBuf> {
    let Some(output) = output else {
        bail!("--resume needs an output file\nhint: name it with -o");
    };
    let target = fs::canonicalize(output).unwrap_or_else(|_| output.to_owned());
    let name = format!(".{}.part", target.file_name().unwrap_or_default().to_string_lossy());
    Ok(target.with_file_name(name))
}

/// Opens or creates the file for reading and appending.
///
/// # Errors
/// The file belongs to a run with other settings, or another process uses it.
pub(crate) fn open(
    path: PathBuf,
    settings: &RunSettings,
    session: &Session,
) -> anyhow::Result<(ResumeReader, ResumeWriter)> {
    let name = path.display().to_string();
    let mut file = OpenOptions::new().append(true).create(true).open(&path).with_context(|| name.clone())?;
    let in_use = "in use by another process\nhint: wait until it ends, or choose another output";
    let unlocked = Lock::hold(&file, &name, in_use, "run writes this output")?;
    unlocked.into_iter().for_each(|warning| session.warn(warning));
    let mut reader = BufReader::with_capacity(256 << 10, File::open(&path).with_context(|| name.clone())?);
    let mut line = Vec::new();
    (&mut reader).take(MAX_HEADER_BYTES).read_until(b'\n', &mut line).with_context(|| name.clone())?;
    if line.last() == Some(&b'\n') {
        check(&line, settings, &name)?;
    } else {
        // The file is new, or the first run was interrupted while it wrote this line.
        file.set_len(0).with_context(|| name.clone())?;
        line = serde_json::to_vec(settings)?;
        line.push(b'\n');
        file.write_all(&line).with_context(|| name.clone())?;
        reader = BufReader::with_capacity(256 << 10, File::open(&path).with_context(|| name.clone())?);
        reader.seek_relative(line.len() as i64)?;
    }
    let resume_reader = ResumeReader {
        name: name.clone(),
        reader: Some(reader),
        end: line.len() as u64,
        block: Vec::new(),
        position: 0,
        dim: settings.embedding.dim,
        read: 0,
    };
    let writer = ResumeWriter { path, name, file, block: Vec::new(), synced: Instant::now() };
    Ok((resume_reader, writer))
}

/// Refuses the file of a run with other settings, and names what differs.
fn check(line: &[u8], settings: &RunSettings, name: &str) -> anyhow::Result<()> {
    const HINT: &str = "hint: remove that file to start over";
    let Ok(before) = serde_json::from_slice::<Map<String, Value>>(line) else {
        bail!("{name}: not a file of an interrupted run\n{HINT}");
    };
    let Value::Object(now) = serde_json::to_value(settings)? else { return Ok(()) };
    for (key, now) in &now {
        let before = before.get(key).unwrap_or(&Value::Null);
        ensure!(before == now, "{name}: the interrupted run had {key} {before}, this one has {now}\n{HINT}");
    }
    Ok(())
}

/// Reads the embeddings of the interrupted run, record by record.
pub(crate) struct ResumeReader {
    name: String,
    /// `None` once everything has been read.
    reader: Option<BufReader<File>>,
    /// Where the last complete block ends.
    end: u64,
    /// The content of the current block.
    block: Vec<u8>,
    /// Position in the current block.
    position: usize,
    dim: usize,
    /// Number of records that have been read.
    read: u64,
}

impl ResumeReader {
    /// The embedding of the next record of the input; `None` if the interrupted run did not get that far.
    ///
    /// # Errors
    /// The interrupted run has read another record in this place.
    pub(crate) fn next(&mut self, key: u64) -> anyhow::Result<Option<RecordEmbedding>> {
        if !self.has_more().with_context(|| self.name.clone())? {
            return Ok(None);
        }
        self.read += 1;
        let mut rest = &self.block[self.position..];
        let is_same = rest.split_off(..KEY_BYTES).is_some_and(|stored| *stored == key.to_le_bytes());
        let embedding = is_same.then(|| RecordEmbedding::read(&mut rest, self.dim, Origin::ResumeFile)).flatten();
        self.position = self.block.len() - rest.len();
        match embedding {
            Some(embedding) => Ok(Some(embedding)),
            None => bail!(
                "{}: record {} of the input is not the one that was embedded before: the input has changed\n\
                 hint: remove that file to start over",
                self.name,
                self.read
            ),
        }
    }

    /// Must be called at the end of the input.
    ///
    /// # Errors
    /// The interrupted run has read more records.
    pub(crate) fn finish(&mut self) -> anyhow::Result<()> {
        let left = self.has_more().with_context(|| self.name.clone())?;
        ensure!(
            !left,
            "{}: the input ends after {} records, but more were embedded before: it has changed\n\
             hint: remove that file to start over",
            self.name,
            self.read
        );
        Ok(())
    }

    /// Whether there are more records; reads the next block at the end of the current one.
    fn has_more(&mut self) -> io::Result<bool> {
        if self.position < self.block.len() {
            return Ok(true);
        }
        let Some(reader) = &mut self.reader else { return Ok(false) };
        (self.block, self.position) = (Vec::new(), 0);
        match read_block(reader)? {
            Some(block) => {
                self.end += (BLOCK_HEADER_BYTES + block.len()) as u64;
                self.block = block;
            }
            None => {
                self.reader = None;
                OpenOptions::new().write(true).open(&self.name)?.set_len(self.end)?;
            }
        }
        Ok(!self.block.is_empty())
    }
}

/// The content of the next block; `None` at the end, and if the block is incomplete or damaged.
fn read_block(reader: &mut BufReader<File>) -> io::Result<Option<Vec<u8>>> {
    let mut header = Vec::with_capacity(BLOCK_HEADER_BYTES);
    reader.take(BLOCK_HEADER_BYTES as u64).read_to_end(&mut header)?;
    let Some((length, rest)) = header.split_first_chunk() else { return Ok(None) };
    let Some((checksum, _)) = rest.split_first_chunk() else { return Ok(None) };
    let (length, checksum) = (u32::from_le_bytes(*length), u64::from_le_bytes(*checksum));
    let mut block = Vec::new();
    reader.take(length.into()).read_to_end(&mut block)?;
    Ok((block.len() == length as usize && !block.is_empty() && xxh3_64(&block) == checksum).then_some(block))
}

/// Appends embeddings to the file.
pub(crate) struct ResumeWriter {
    path: PathBuf,
    name: String,
    file: File,
    block: Vec<u8>,
    synced: Instant,
}

impl ResumeWriter {
    /// The file's name, for messages.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Appends the embeddings of a window that the file does not have yet, in order, with the keys of their records.
    ///
    /// # Errors
    /// The disk is full; earlier windows stay.
    pub(crate) fn add<'a>(
        &mut self,
        embeddings: impl Iterator<Item = (u64, &'a RecordEmbedding)>,
    ) -> anyhow::Result<()> {
        self.block.clear();
        self.block.resize(BLOCK_HEADER_BYTES, 0);
        for (key, embedding) in embeddings.filter(|(_, embedding)| embedding.origin != Origin::ResumeFile) {
            self.block.extend(key.to_le_bytes());
            embedding.write(&mut self.block);
        }
        let (header, content) = self.block.split_at_mut(BLOCK_HEADER_BYTES);
        if content.is_empty() {
            return Ok(());
        }
        header[..4].copy_from_slice(&u32::try_from(content.len())?.to_le_bytes());
        header[4..].copy_from_slice(&xxh3_64(content).to_le_bytes());
        self.file.write_all(&self.block).with_context(|| self.name.clone())?;
        if self.synced.elapsed() > SYNC_INTERVAL {
            sync_data(&self.file).with_context(|| self.name.clone())?;
            self.synced = Instant::now();
        }
        Ok(())
    }

    /// Removes the file, once the output is complete.
    pub(crate) fn remove(self) -> anyhow::Result<()> {
        fs::remove_file(&self.path).with_context(|| self.name.clone())
    }
}
