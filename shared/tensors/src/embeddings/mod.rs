//! Vectors with their ids.
//!
//! | tensor | type | shape | |
//! |---|---|---|---|
//! | `embeddings` | a [`VectorType`](crate::VectorType)'s | `[N, D]`, of bits `[N, D / 8]` | one row per text |
//! | `scales` | f32 | `[N]` | for int8: the factor of each row |
//! | `ids.offsets` | i64 | `[N + 1]` | start of each id in `ids.bytes` |
//! | `ids.bytes` | u8 | `[…]` | the ids, UTF-8, concatenated |
//!
//! The metadata key `embtune` holds [`EmbeddingsMeta`] as JSON.

mod file;
mod ids;
mod json_lines;
mod writer;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

pub use file::sidecar_path;
pub use writer::EmbeddingsWriter;

use crate::TensorsError;
use file::EmbeddingsFile;

/// Version of the layout; files of other versions are refused.
pub(crate) const VERSION: u32 = 1;

/// How the vectors were computed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbeddingsMeta {
    /// Version of the layout; set by the writer.
    #[serde(default)]
    pub version: u32,
    /// Fingerprint of the model directory.
    pub model: String,
    /// How token vectors become one vector.
    pub pooling: String,
    /// `query`, `document` or nothing.
    pub role: Option<String>,
    /// The prompt before each text.
    pub prompt: String,
    /// Whether the vectors have length 1 (before quantisation).
    pub normalized: bool,
    /// The name of the [`VectorType`](crate::VectorType); set by the writer.
    #[serde(default)]
    pub dtype: String,
    /// The precision of the model.
    pub precision: String,
    /// Tokens at which a text was cut.
    pub max_seq_length: usize,
    /// Number of texts that were cut.
    pub truncated: u64,
    /// Number of texts that were embedded in several chunks.
    #[serde(default)]
    pub chunked: u64,
}

/// Mapped vectors of one file, or of several as if they were one.
pub struct Embeddings {
    name: String,
    files: Vec<EmbeddingsFile>,
    /// The first row of each file, and the number of all rows.
    starts: Vec<usize>,
}

impl Embeddings {
    /// Opens a file, or all files whose names match a pattern (`corpus-*.safetensors`), in the order of their names.
    ///
    /// A file may be a NumPy array (f32, f16, packed bits as u8, or int8 with a file of scales) with its ids in another
    /// file, one per line (see [`sidecar_path`]); JSON Lines, which are copied to a temporary file that can be mapped;
    /// or any safetensors file with these tensors, without metadata if another tool has written it. Comparing the ids
    /// takes 8 bytes of memory per vector while files are opened.
    ///
    /// # Errors
    /// A pattern without matches, a damaged file, an unknown version, ids that are not UTF-8, empty or duplicate, files
    /// that do not belong together.
    pub fn open(path: &Path) -> Result<Self, TensorsError> {
        let files =
            matching_files(path)?.iter().map(|path| EmbeddingsFile::open(path)).collect::<Result<Vec<_>, _>>()?;
        let mut starts = vec![0];
        starts.extend(files.iter().scan(0, |rows, file| {
            *rows += file.len;
            Some(*rows)
        }));
        let name = if files.len() == 1 { files[0].name().to_owned() } else { path.display().to_string() };
        let embeddings = Self { name, files, starts };
        embeddings.check_files()?;
        embeddings.check_ids()?;
        Ok(embeddings)
    }

    /// Refuses files of different models or dimensions.
    fn check_files(&self) -> Result<(), TensorsError> {
        let mut filled = self.files.iter().filter(|file| file.len > 0);
        let Some(first) = filled.next() else { return Ok(()) };
        for file in filled {
            let differ = |what: &str| TensorsError::Space(format!("{} and {} {what}", first.name(), file.name()));
            if file.dim != first.dim {
                return Err(differ(&format!("have vectors of {} and {} elements", first.dim, file.dim)));
            }
            if let (Some(a), Some(b)) = (&first.meta, &file.meta) {
                if (&a.model, &a.pooling) != (&b.model, &b.pooling) {
                    return Err(differ("were made by different models"));
                }
                if (&a.role, &a.prompt) != (&b.role, &b.prompt) {
                    return Err(differ("were made with different roles or prompts"));
                }
            }
        }
        Ok(())
    }

    fn check_ids(&self) -> Result<(), TensorsError> {
        let hash = |id: &str| xxh3_64(id.as_bytes());
        let mut hashes: Vec<u64> = self.ids().map(hash).collect();
        hashes.sort_unstable();
        let duplicates: HashSet<u64> =
            hashes.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        drop(hashes);
        if duplicates.is_empty() {
            return Ok(());
        }
        // Equal hashes do not prove equal ids.
        let mut seen = HashSet::new();
        match self.ids().position(|id| duplicates.contains(&hash(id)) && !seen.insert(id)) {
            None => Ok(()),
            Some(row) => {
                let (file, index) = self.locate(row);
                let what = format!("duplicate id \"{}\" (vector {index})", self.id(row));
                Err(TensorsError::content(file.name(), what))
            }
        }
    }

    /// The file of a row, and the row's index in it; for a row past the end, the last file.
    fn locate(&self, row: usize) -> (&EmbeddingsFile, usize) {
        let file = self.starts[1..self.files.len()].partition_point(|end| *end <= row);
        (&self.files[file], row - self.starts[file])
    }

    /// The file's name, or the pattern, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of vectors.
    pub fn len(&self) -> usize {
        self.starts[self.files.len()]
    }

    /// Whether there are no vectors.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Dimensions of a vector.
    pub fn dim(&self) -> usize {
        self.files.iter().find(|file| file.len > 0).unwrap_or(&self.files[0]).dim
    }

    /// The metadata of the first file; files of other tools have none.
    pub fn meta(&self) -> Option<&EmbeddingsMeta> {
        self.files[0].meta.as_ref()
    }

    /// Id of a vector; empty when `index` is out of range.
    pub fn id(&self, index: usize) -> &str {
        let (file, row) = self.locate(index);
        file.id(row)
    }

    /// The ids, in order.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.files.iter().flat_map(|file| (0..file.len).map(|row| file.id(row)))
    }

    /// The rows of each file.
    pub fn files(&self) -> impl Iterator<Item = Range<usize>> {
        self.starts.windows(2).map(|ends| ends[0]..ends[1])
    }

    /// Vectors as f32, `[rows, D]`, borrowed from the map if they are stored as f32 in one file; see
    /// [`VectorType`](crate::VectorType) for the others.
    ///
    /// # Panics
    /// When the range goes past the last vector.
    pub fn rows_f32(&self, rows: Range<usize>) -> Cow<'_, [f32]> {
        let (file, start) = self.locate(rows.start);
        let held = file.len - start;
        if rows.len() <= held {
            return file.rows_f32(start..start + rows.len());
        }
        let mut vectors = file.rows_f32(start..file.len).into_owned();
        vectors.extend_from_slice(&self.rows_f32(rows.start + held..rows.end));
        vectors.into()
    }

    /// Vectors as f32, as [`rows_f32`](Self::rows_f32) returns them, if all numbers are finite.
    ///
    /// # Errors
    /// [`TensorsError::Content`], which names the first vector that holds NaN or infinity.
    ///
    /// # Panics
    /// When the range goes past the last vector.
    pub fn finite_rows_f32(&self, rows: Range<usize>) -> Result<Cow<'_, [f32]>, TensorsError> {
        let start = rows.start;
        let vectors = self.rows_f32(rows);
        let broken = vectors.chunks_exact(self.dim().max(1)).position(|row| row.iter().any(|x| !x.is_finite()));
        match broken {
            None => Ok(vectors),
            Some(row) => {
                let what = format!("the vector of \"{}\" holds NaN or infinity", self.id(start + row));
                Err(TensorsError::content(self.locate(start + row).0.name(), what))
            }
        }
    }
}

/// The file that a path names, or the files that it matches as a pattern, in the order of their names.
///
/// # Errors
/// An invalid pattern, or one without matches.
pub fn matching_files(path: &Path) -> Result<Vec<PathBuf>, TensorsError> {
    let name = path.display().to_string();
    if path.exists() || !name.contains(['*', '?', '[']) {
        return Ok(vec![path.to_owned()]);
    }
    let refuse = |what: String| TensorsError::content(&name, what);
    let found = glob::glob(&name).map_err(|error| refuse(error.to_string()))?;
    let found: Vec<PathBuf> = found.collect::<Result<_, _>>().map_err(|error| refuse(error.to_string()))?;
    if found.is_empty() { Err(refuse("no file matches this pattern".into())) } else { Ok(found) }
}

/// An index of vectors by id; it takes about 100 bytes of memory per vector.
pub struct VectorsById<'a> {
    /// The vectors.
    pub vectors: &'a Embeddings,
    /// What the vectors represent, for messages: `query` or `document`.
    kind: &'static str,
    rows: HashMap<&'a str, usize>,
}

impl<'a> VectorsById<'a> {
    /// An index whose messages call the vectors those of a `query` or a `document`.
    pub fn new(vectors: &'a Embeddings, kind: &'static str) -> Self {
        Self { vectors, kind, rows: vectors.ids().zip(0..).collect() }
    }

    /// The row of the vector with this id.
    pub fn row(&self, id: &str) -> Option<usize> {
        self.rows.get(id).copied()
    }

    /// The row of the vector whose id a record has in `field`.
    ///
    /// # Errors
    /// A message about a record without the field, or with an id that has no vector.
    pub fn find(&self, field: &str, id: Option<&str>) -> Result<usize, String> {
        let (file, kind) = (self.vectors.name(), self.kind);
        let id = id.ok_or_else(|| format!("no field \"{field}\": it names the {kind}'s vector in {file}"))?;
        self.row(id).ok_or_else(|| format!("no vector of {kind} \"{id}\" in {file}"))
    }
}

/// Refuses a file of queries and a file of documents that do not belong together: with the other role, by different
/// models, or with different dimensions.
///
/// # Errors
/// [`TensorsError::Space`], which says what differs.
pub fn check_same_space(queries: &Embeddings, corpus: &Embeddings) -> Result<(), TensorsError> {
    for (file, foreign) in [(queries, "document"), (corpus, "query")] {
        if file.meta().is_some_and(|meta| meta.role.as_deref() == Some(foreign)) {
            let what = format!(
                "{}: its vectors were made with --role {foreign}\nhint: the file of queries and that of documents may be swapped",
                file.name()
            );
            return Err(TensorsError::Space(what));
        }
    }
    if !queries.is_empty() && !corpus.is_empty() && queries.dim() != corpus.dim() {
        let (a, b) = (queries.dim(), corpus.dim());
        let what = format!("{} has vectors of {a} elements, {} of {b}", queries.name(), corpus.name());
        return Err(TensorsError::Space(what));
    }
    match (queries.meta(), corpus.meta()) {
        (Some(a), Some(b)) if a.model != b.model || a.pooling != b.pooling => {
            Err(TensorsError::Space(format!("{} and {} were made by different models", queries.name(), corpus.name())))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::VectorType;

    fn write(path: &Path, ids: &[&str], dim: usize, model: &str) {
        let mut writer = EmbeddingsWriter::new(path.parent().unwrap(), dim, VectorType::F32).unwrap();
        for id in ids {
            writer.push(id, &vec![1.0; dim]).unwrap();
        }
        let meta = EmbeddingsMeta { model: model.into(), ..EmbeddingsMeta::default() };
        writer.finish(meta, &mut File::create(path).unwrap()).unwrap();
    }

    #[test]
    fn files_of_a_pattern_must_belong_together() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let refused = |second: (&[&str], usize, &str)| {
            write(&path("b-1"), &["x", "y"], 2, "m");
            write(&path("b-2"), second.0, second.1, second.2);
            Embeddings::open(&path("b-*")).err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert_eq!(refused((&["z"], 2, "m")), "");
        assert!(refused((&["z", "y"], 2, "m")).ends_with("b-2: duplicate id \"y\" (vector 1)"));
        assert!(refused((&["z"], 3, "m")).ends_with("b-2 have vectors of 2 and 3 elements"));
        assert!(refused((&["z"], 2, "n")).ends_with("b-2 were made by different models"));
        assert_eq!(refused((&[], 3, "n")), "", "empty files may differ");
        let error = Embeddings::open(&path("c-*")).err().unwrap().to_string();
        assert!(error.ends_with("c-*: no file matches this pattern"), "{error}");
        // A path that looks like a pattern is a name first.
        write(&path("b-[12]"), &["only"], 2, "m");
        assert_eq!(Embeddings::open(&path("b-[12]")).unwrap().ids().collect::<Vec<_>>(), ["only"]);
    }
}
