//! Vectors as JSON Lines: `{"_id": …, "embedding": [numbers], …}`, as `embed` writes them.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::EmbeddingsMeta;
use super::writer::EmbeddingsWriter;
use crate::{TensorFile, TensorsError, VectorType, open_regular};

/// Longest line that is read: 16 MiB.
const MOST_LINE_BYTES: u64 = 16 << 20;

/// The fields that are read.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    _id: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    embedding: Option<Vec<f32>>,
    /// The encoding of the numbers, if they are not the elements themselves: see [`elements`].
    #[serde(borrow)]
    embedding_dtype: Option<Cow<'a, str>>,
    embedding_scale: Option<f32>,
}

/// Whether a file that begins with these bytes is JSON Lines. A safetensors file begins with the length of its header,
/// whose upper bytes are zeros.
pub(super) fn is_json_lines(head: &[u8]) -> bool {
    head.trim_ascii_start().starts_with(b"{") && !head.contains(&0)
}

/// Converts a file to one that can be mapped, with the name of the original in messages.
///
/// # Errors
/// A line without id or vector, vectors of different lengths, a full disk.
pub(crate) fn open(path: &Path) -> Result<TensorFile, TensorsError> {
    let name = path.display().to_string();
    let failed = |error| TensorsError::io(&name, error);
    let mut reader = BufReader::with_capacity(256 << 10, open_regular(path).map_err(failed)?);
    let folder = tempfile::tempdir().map_err(failed)?;
    let mut writer: Option<(EmbeddingsWriter, VectorType)> = None;
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        if reader.by_ref().take(MOST_LINE_BYTES).read_until(b'\n', &mut line).map_err(failed)? == 0 {
            break;
        }
        let refuse = |what: String| TensorsError::content(&format!("{name}:{number}"), what);
        if line.len() as u64 == MOST_LINE_BYTES {
            return Err(refuse(format!("longer than {MOST_LINE_BYTES} bytes")));
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let (id, stored, vector) = read(&line).map_err(refuse)?;
        let (writer, first) = match &mut writer {
            Some(writer) => writer,
            None => writer.insert((EmbeddingsWriter::new(folder.path(), vector.len(), stored)?, stored)),
        };
        if *first != stored {
            return Err(refuse(format!("a vector of {} among vectors of {}", stored.name(), first.name())));
        }
        writer.push(&id, &vector).map_err(|error| refuse(error.to_string()))?;
    }
    let (writer, _) = match writer {
        Some(writer) => writer,
        None => (EmbeddingsWriter::new(folder.path(), 0, VectorType::F32)?, VectorType::F32),
    };
    let copy = folder.path().join("vectors");
    writer.finish(EmbeddingsMeta::default(), &mut File::create(&copy).map_err(failed)?).map_err(failed)?;
    // The folder is removed; the mapped file stays until it is dropped.
    TensorFile::open_as(&copy, name)
}

/// Id, type and elements of a line.
fn read(line: &[u8]) -> Result<(String, VectorType, Vec<f32>), String> {
    let Line { _id, id, embedding, embedding_dtype, embedding_scale } =
        serde_json::from_slice(line).map_err(|error| {
            let reason = error.to_string();
            let reason = reason.split(" at line ").next().unwrap_or_default();
            format!("not an object with an id and an embedding: {reason} (column {})", error.column())
        })?;
    let id = _id.or(id).ok_or("no field \"_id\"")?;
    let id = text(id).ok_or_else(|| format!("field \"_id\" must be a string or a number, found {id}"))?;
    let embedding = embedding.ok_or("no field \"embedding\"")?;
    let (stored, vector) = elements(embedding, embedding_dtype.as_deref(), embedding_scale)?;
    Ok((id, stored, vector))
}

/// The elements that the numbers encode: int8 is multiplied by the scale, and each number of ubinary has eight bits.
fn elements(numbers: Vec<f32>, dtype: Option<&str>, scale: Option<f32>) -> Result<(VectorType, Vec<f32>), String> {
    let is_byte = |x: &f32| x.fract() == 0.0 && (0.0..256.0).contains(x);
    match (dtype, scale) {
        (Some("int8"), Some(scale)) => Ok((VectorType::F32, numbers.into_iter().map(|x| x * scale).collect())),
        (Some("int8"), None) => Err("int8 without \"embedding_scale\"".into()),
        (Some("ubinary"), _) if !numbers.iter().all(is_byte) => Err("ubinary with numbers that are not bytes".into()),
        (Some("ubinary"), _) => {
            let bytes: Vec<u8> = numbers.iter().map(|x| *x as u8).collect();
            Ok((VectorType::Ubinary, VectorType::Ubinary.load(&bytes, &[], bytes.len() * 8).into_owned()))
        }
        (None | Some("f32" | "f16" | "bf16"), _) => Ok((VectorType::F32, numbers)),
        (Some(other), _) => Err(format!("\"embedding_dtype\" is \"{other}\", which is not supported")),
    }
}

/// An id as in records: a string, or the text of a number as it is written.
fn text(id: &RawValue) -> Option<String> {
    let json = id.get();
    match json.as_bytes().first()? {
        b'"' => serde_json::from_str(json).ok(),
        b'-' | b'0'..=b'9' => Some(json.to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::Embeddings;

    fn open(content: &str) -> Result<Embeddings, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v.jsonl");
        std::fs::write(&path, content).unwrap();
        Embeddings::open(&path).map_err(|error| error.to_string().replace(&folder.path().display().to_string(), "."))
    }

    #[test]
    fn ids_and_elements_are_read() {
        let lines = "{\"_id\":\"a\\\"b\",\"text\":\"x\",\"embedding\":[1,-0.5]}\r\n\n\
                     {\"id\":340282366920938463463374607431768211455,\"embedding\":[0.1,2e0]}\n{\"_id\":1.50,\"embedding\":[0,0]}";
        let vectors = open(lines).unwrap();
        assert_eq!(vectors.ids().collect::<Vec<_>>(), ["a\"b", "340282366920938463463374607431768211455", "1.50"]);
        assert_eq!(&*vectors.rows_f32(0..3), [1.0, -0.5, 0.1, 2.0, 0.0, 0.0]);
        assert!(vectors.meta().is_none() && vectors.name().ends_with("/v.jsonl"));
        let bytes = "{\"_id\":\"a\",\"embedding_dtype\":\"int8\",\"embedding_scale\":0.5,\"embedding\":[127,-2]}";
        assert_eq!(&*open(bytes).unwrap().rows_f32(0..1), [63.5, -1.0]);
        let bits = open("{\"_id\":\"a\",\"embedding_dtype\":\"ubinary\",\"embedding\":[129]}").unwrap();
        assert_eq!(&*bits.rows_f32(0..1), [1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0, 1.0]);
        assert!(open("").unwrap().is_empty());
    }

    #[test]
    fn errors_name_the_line() {
        for (lines, expected) in [
            ("{\"embedding\":[1]}", "./v.jsonl:1: no field \"_id\""),
            ("{\"_id\":\"a\",\"embedding\":[1]}\n{\"_id\":\"b\"}", "./v.jsonl:2: no field \"embedding\""),
            (
                "{\"_id\":\"a\",\"embedding\":[1]}\n{\"_id\":\"b\",\"embedding\":[1,2]}",
                "./v.jsonl:2: vector has 2 elements",
            ),
            ("{\"_id\":\"a\",\"embedding\":[1]}\n{\"_id\":\"a\",\"embedding\":[1]}", "duplicate id \"a\" (vector 1)"),
            (
                "{\"_id\":\"a\",\"embedding\":[\"1\"]}",
                "./v.jsonl:1: not an object with an id and an embedding: invalid type",
            ),
            ("{\"_id\":[],\"embedding\":[1]}", "./v.jsonl:1: field \"_id\" must be a string or a number"),
            ("{\"_id\":\"\",\"embedding\":[1]}", "id of vector 0 is empty"),
            ("{\"_id\":\"a\",\"embedding\":[1]", "./v.jsonl:1: not an object with an id"),
            (
                "{\"_id\":\"a\",\"embedding\":[1],\"embedding_dtype\":\"int8\"}",
                "./v.jsonl:1: int8 without \"embedding_scale\"",
            ),
            ("{\"_id\":\"a\",\"embedding\":[256],\"embedding_dtype\":\"ubinary\"}", "numbers that are not bytes"),
            ("{\"_id\":\"a\",\"embedding\":[1],\"embedding_dtype\":\"int4\"}", "\"embedding_dtype\" is \"int4\""),
        ] {
            let message = open(lines).err().unwrap();
            assert!(message.contains(expected), "{lines}: {message}");
        }
    }
}
