//! The files beside an ONNX file that hold its tensors.
//!
//! Only the way from a model to its `external_data` is read; all else is skipped, so that a file of any size costs
//! little memory. Numbers of fields: <https://github.com/onnx/onnx/blob/v1.19.0/onnx/onnx.proto3>.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Component, Path, PathBuf};

use embtune_tensors::open_regular;

use crate::ModelError;

/// Graphs inside nodes inside graphs: deeper ones are not real.
const MOST_DEPTH: usize = 64;
/// Longest key or value of an entry that is read.
const MOST_ENTRY_BYTES: u64 = 4096;

/// The files that hold tensors of the ONNX file `path`, relative to its folder, sorted.
///
/// # Errors
/// As [`names`]; a file that is not there.
pub(crate) fn files(path: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let names = names(path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    match names.iter().find(|name| !folder.join(name).is_file()) {
        Some(name) => Err(ModelError::content(path, format!("its data \"{}\" is not beside it", name.display()))),
        None => Ok(names),
    }
}

/// The names that the ONNX file `path` has for files of its tensors, relative to its folder, sorted.
///
/// # Errors
/// A file that cannot be read, is no ONNX file, or names a file that is not in its folder.
pub(crate) fn names(path: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let mut walk = Walk::open(path).map_err(|error| ModelError::io(path, error))?;
    walk.message(Message::Model, walk.length, 0).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            ModelError::content(path, "is cut short or no ONNX file")
        }
        _ => ModelError::io(path, error),
    })?;
    if !walk.has_graph {
        return Err(ModelError::content(path, "is no ONNX file: it has no graph"));
    }
    let is_inside = |name: &Path| name.components().all(|part| matches!(part, Component::Normal(_)));
    let check = |name: String| match is_inside(Path::new(&name)) {
        true => Ok(PathBuf::from(name)),
        false => Err(ModelError::content(path, format!("its data \"{name}\" is not in its folder"))),
    };
    walk.locations.into_iter().map(check).collect()
}

/// Messages on the way to an entry of `external_data`.
#[derive(Clone, Copy, PartialEq)]
enum Message {
    Model,
    Function,
    Graph,
    Node,
    Attribute,
    SparseTensor,
    Tensor,
    Entry,
}

impl Message {
    /// The message in a field, if it is on the way.
    fn field(self, number: u64) -> Option<Self> {
        match (self, number) {
            (Self::Model, 7) | (Self::Attribute, 6 | 11) => Some(Self::Graph),
            (Self::Model, 25) => Some(Self::Function),
            (Self::Function, 7) | (Self::Graph, 1) => Some(Self::Node),
            (Self::Node, 5) => Some(Self::Attribute),
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Some(Self::SparseTensor),
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::SparseTensor, 1 | 2) => Some(Self::Tensor),
            (Self::Tensor, 13) => Some(Self::Entry),
            _ => None,
        }
    }
}

/// A way through the file, and what was met on it.
struct Walk {
    reader: BufReader<File>,
    length: u64,
    position: u64,
    has_graph: bool,
    locations: BTreeSet<String>,
}

impl Walk {
    fn open(path: &Path) -> io::Result<Self> {
        let file = open_regular(path)?;
        let length = file.metadata()?.len();
        Ok(Self { reader: BufReader::new(file), length, position: 0, has_graph: false, locations: BTreeSet::new() })
    }

    /// Reads a message that ends at `end`.
    fn message(&mut self, message: Message, end: u64, depth: usize) -> io::Result<()> {
        if depth > MOST_DEPTH {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.has_graph |= message == Message::Graph;
        let mut entry = [String::new(), String::new()];
        while self.position < end {
            let tag = self.varint()?;
            let field = tag >> 3;
            match tag & 7 {
                0 => drop(self.varint()?),
                1 => self.skip(8, end)?,
                2 => {
                    let length = self.varint()?;
                    match message.field(field) {
                        Some(inner) => {
                            let end = self.position.checked_add(length).filter(|inner| *inner <= end);
                            self.message(inner, end.ok_or(io::ErrorKind::InvalidData)?, depth + 1)?;
                        }
                        None if message == Message::Entry && (1..=2).contains(&field) => {
                            entry[field as usize - 1] = self.text(length)?;
                        }
                        None => self.skip(length, end)?,
                    }
                }
                5 => self.skip(4, end)?,
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
        let [key, value] = entry;
        if key == "location" {
            self.locations.insert(value);
        }
        if self.position == end { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
    }

    fn varint(&mut self) -> io::Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.reader.fill_buf()?.first().ok_or(io::ErrorKind::UnexpectedEof)?;
            self.reader.consume(1);
            self.position += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(io::ErrorKind::InvalidData.into())
    }

    fn text(&mut self, length: u64) -> io::Result<String> {
        if length > MOST_ENTRY_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut bytes = vec![0; length as usize];
        self.reader.read_exact(&mut bytes)?;
        self.position += length;
        String::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData.into())
    }

    fn skip(&mut self, bytes: u64, end: u64) -> io::Result<()> {
        self.position = self.position.checked_add(bytes).filter(|to| *to <= end).ok_or(io::ErrorKind::InvalidData)?;
        self.reader.seek_relative(bytes as i64)
    }
}
