//! What an interrupted run has computed, for `--resume`.
//!
//! A file beside the output: a line of JSON that says what the vectors are made with, then blocks, one for each window
//! of the run: the length of what follows (u32), its XXH3 (u64), and for each record in order its key (u64) and its
//! answer, all little-endian. A block is written as soon as it is computed, which survives the end of the process at any
//! moment; the first one after every ten seconds forces all to the disk, which survives a power cut. A block that is not
//! whole ends the file: it is cut off.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use embtune_cli::{Lock, Session, sync_data};
use serde::Serialize;
use serde_json::{Map, Value};
use xxhash_rust::xxh3::xxh3_64;

use crate::input::shard::Shard;
use crate::kept::answer::{Answer, Origin};
use crate::kept::recipe::Recipe;

/// Longest header that is read: longer ones are not ours.
const MOST_HEADER_BYTES: u64 = 1 << 20;
/// Length and checksum of a block.
const BLOCK_HEADER_BYTES: usize = 12;
const KEY_BYTES: usize = 8;
/// How long blocks wait before the next one forces them to the disk.
const SYNC_AFTER: Duration = Duration::from_secs(10);

/// What the run is, as the first line says it; a run that is something else does not go on with the file.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Plan {
    /// Version of embed: another one may cut windows in other places, and sums of other batches round differently.
    pub(crate) embed: &'static str,
    pub(crate) shard: Option<String>,
    #[serde(flatten)]
    pub(crate) recipe: Recipe,
}

impl Plan {
    pub(crate) fn new(recipe: Recipe, shard: Option<Shard>) -> Self {
        Self { embed: env!("CARGO_PKG_VERSION"), shard: shard.map(|shard| shard.to_string()), recipe }
    }
}

/// The file that belongs to an output: `.NAME.part` beside it.
///
/// # Errors
/// No output that is a file.
pub(crate) fn path(output: Option<&Path>) -> anyhow::Result<PathBuf> {
    let Some(output) = output else {
        bail!("--resume needs an output that is a file\nhint: name it with -o");
    };
    let target = fs::canonicalize(output).unwrap_or_else(|_| output.to_owned());
    let name = format!(".{}.part", target.file_name().unwrap_or_default().to_string_lossy());
    Ok(target.with_file_name(name))
}

/// Opens or begins a file; one half of it reads what is there, the other adds to it.
///
/// # Errors
/// A file of another run, or one that another process uses.
pub(crate) fn open(path: PathBuf, plan: &Plan, session: &Session) -> anyhow::Result<(Replay, Append)> {
    let name = path.display().to_string();
    let mut append = OpenOptions::new().append(true).create(true).open(&path).with_context(|| name.clone())?;
    let in_use = "in use by another process\nhint: wait for it, or name another output";
    let unlocked = Lock::hold(&append, &name, in_use, "run writes this output")?;
    unlocked.into_iter().for_each(|warning| session.warn(warning));
    let mut reader = BufReader::with_capacity(256 << 10, File::open(&path).with_context(|| name.clone())?);
    let mut line = Vec::new();
    (&mut reader).take(MOST_HEADER_BYTES).read_until(b'\n', &mut line).with_context(|| name.clone())?;
    if line.last() == Some(&b'\n') {
        check(&line, plan, &name)?;
    } else {
        // New, or torn in its first line.
        append.set_len(0).with_context(|| name.clone())?;
        line = serde_json::to_vec(plan)?;
        line.push(b'\n');
        append.write_all(&line).with_context(|| name.clone())?;
        reader = BufReader::with_capacity(256 << 10, File::open(&path).with_context(|| name.clone())?);
        reader.seek_relative(line.len() as i64)?;
    }
    let replay = Replay {
        name: name.clone(),
        reader: Some(reader),
        end: line.len() as u64,
        block: Vec::new(),
        position: 0,
        dim: plan.recipe.dim,
        taken: 0,
    };
    Ok((replay, Append { path, name, file: append, block: Vec::new(), synced: Instant::now() }))
}

/// Refuses a file that is of another run, and names what differs.
fn check(line: &[u8], plan: &Plan, name: &str) -> anyhow::Result<()> {
    const HINT: &str = "hint: remove that file to begin again";
    let Ok(before) = serde_json::from_slice::<Map<String, Value>>(line) else {
        bail!("{name}: not what an interrupted run leaves\n{HINT}");
    };
    let Value::Object(now) = serde_json::to_value(plan)? else { return Ok(()) };
    for (key, now) in &now {
        let before = before.get(key).unwrap_or(&Value::Null);
        ensure!(before == now, "{name}: the interrupted run had {key} {before}, this one has {now}\n{HINT}");
    }
    Ok(())
}

/// Gives back what is there, record by record.
pub(crate) struct Replay {
    name: String,
    /// Until all is read.
    reader: Option<BufReader<File>>,
    /// Where the last whole block ends.
    end: u64,
    /// The block that was read last, and how much of it was taken.
    block: Vec<u8>,
    position: usize,
    dim: usize,
    taken: u64,
}

impl Replay {
    /// The answer for the next record of the input, if it is there.
    ///
    /// # Errors
    /// When another record stood in its place.
    pub(crate) fn next(&mut self, key: u64) -> anyhow::Result<Option<Answer>> {
        if !self.has_more().with_context(|| self.name.clone())? {
            return Ok(None);
        }
        self.taken += 1;
        let mut rest = &self.block[self.position..];
        let answer = rest.split_off(..KEY_BYTES).filter(|before| **before == key.to_le_bytes());
        let answer = answer.and_then(|_| Answer::read(&mut rest, self.dim, Origin::Part));
        self.position = self.block.len() - rest.len();
        match answer {
            Some(answer) => Ok(Some(answer)),
            None => bail!(
                "{}: record {} of the input is not the one that was embedded before: the input has changed\n\
                 hint: remove that file to begin again",
                self.name,
                self.taken
            ),
        }
    }

    /// Refuses an input that has ended before what was embedded of it.
    pub(crate) fn finish(&mut self) -> anyhow::Result<()> {
        let left = self.has_more().with_context(|| self.name.clone())?;
        ensure!(
            !left,
            "{}: the input ends after {} records, but more were embedded before: it has changed\n\
             hint: remove that file to begin again",
            self.name,
            self.taken
        );
        Ok(())
    }

    /// Whether an answer was not taken yet; reads the next block when it stands there.
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

/// The next block, nothing at the end and where one is not whole.
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

/// Adds what is computed.
pub(crate) struct Append {
    path: PathBuf,
    name: String,
    file: File,
    block: Vec<u8>,
    synced: Instant,
}

impl Append {
    /// The file's name, for messages.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Adds the answers of a window that are not there, in order, with their records' keys.
    ///
    /// # Errors
    /// A full disk; what was added before is kept.
    pub(crate) fn push<'a>(&mut self, answers: impl Iterator<Item = (u64, &'a Answer)>) -> anyhow::Result<()> {
        self.block.clear();
        self.block.resize(BLOCK_HEADER_BYTES, 0);
        for (key, answer) in answers.filter(|(_, answer)| answer.origin != Origin::Part) {
            self.block.extend(key.to_le_bytes());
            answer.write(&mut self.block);
        }
        let (header, content) = self.block.split_at_mut(BLOCK_HEADER_BYTES);
        if content.is_empty() {
            return Ok(());
        }
        header[..4].copy_from_slice(&u32::try_from(content.len())?.to_le_bytes());
        header[4..].copy_from_slice(&xxh3_64(content).to_le_bytes());
        self.file.write_all(&self.block).with_context(|| self.name.clone())?;
        if self.synced.elapsed() > SYNC_AFTER {
            sync_data(&self.file).with_context(|| self.name.clone())?;
            self.synced = Instant::now();
        }
        Ok(())
    }

    /// Removes the file: the output is whole.
    pub(crate) fn remove(self) -> anyhow::Result<()> {
        fs::remove_file(&self.path).with_context(|| self.name.clone())
    }
}
