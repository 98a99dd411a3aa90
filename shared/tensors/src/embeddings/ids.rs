//! Ids in a separate file, one per line.

use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;

use crate::{TensorsError, open_regular};

/// Longest id, in bytes, as long as the longest record by default. A file without line ends is not a list of ids.
const MOST_ID_BYTES: usize = 16 << 20;

/// The ids of an array.
pub(crate) struct IdList {
    text: String,
    /// End of each id in `text`.
    ends: Vec<usize>,
}

impl IdList {
    /// Reads the ids of this number of vectors.
    ///
    /// # Errors
    /// A file that cannot be read or has a different number of lines; a line that is too long or not UTF-8.
    pub(crate) fn read(path: &Path, vectors: usize) -> Result<Self, TensorsError> {
        let name = path.display().to_string();
        let io_error = |error: io::Error| TensorsError::io(&name, error);
        let mut reader = BufReader::new(open_regular(path).map_err(io_error)?);
        let mut ids = Self { text: String::new(), ends: Vec::new() };
        let mut line = Vec::new();
        loop {
            let refuse = |what: String| TensorsError::content(&format!("{name}:{}", ids.ends.len() + 1), what);
            line.clear();
            let most = MOST_ID_BYTES as u64 + 2;
            if reader.by_ref().take(most).read_until(b'\n', &mut line).map_err(io_error)? == 0 {
                break;
            }
            if ids.ends.len() == vectors {
                return Err(refuse(format!("more ids than the {vectors} vectors")));
            }
            if line.pop_if(|byte| *byte == b'\n').is_some() {
                line.pop_if(|byte| *byte == b'\r');
            }
            if line.len() > MOST_ID_BYTES {
                return Err(refuse(format!("an id of more than {MOST_ID_BYTES} bytes")));
            }
            let id = std::str::from_utf8(&line)
                .map_err(|error| refuse(format!("not UTF-8 at byte {}", error.valid_up_to() + 1)))?;
            ids.text.push_str(id);
            ids.ends.push(ids.text.len());
        }
        if ids.ends.len() < vectors {
            let what = format!("{} ids, but there are {vectors} vectors", ids.ends.len());
            return Err(TensorsError::content(&name, what));
        }
        Ok(ids)
    }

    /// Empty when `index` is out of range.
    pub(crate) fn get(&self, index: usize) -> &str {
        let start = index.checked_sub(1).map_or(0, |before| self.ends.get(before).copied().unwrap_or_default());
        self.ends.get(index).map_or("", |end| &self.text[start..*end])
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    #[test]
    fn each_line_is_an_id() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.ids");
        let read = |bytes: &[u8], vectors: usize| {
            fs::write(&path, bytes).unwrap();
            let ids = IdList::read(&path, vectors).map_err(|error| error.to_string())?;
            Ok::<_, String>((0..vectors).map(|row| ids.get(row).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(read(b"a\nbc\r\nd", 3).unwrap(), ["a", "bc", "d"]);
        assert_eq!(read("\u{96e8}\n\n".as_bytes(), 2).unwrap(), ["\u{96e8}", ""]);
        assert!(read(b"a\n", 2).unwrap_err().ends_with("x.ids: 1 ids, but there are 2 vectors"));
        assert!(read(b"a\nb\nc\n", 2).unwrap_err().ends_with("x.ids:3: more ids than the 2 vectors"));
        assert!(read(b"a\nb\xff\n", 2).unwrap_err().ends_with("x.ids:2: not UTF-8 at byte 2"));
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        let error = IdList::read(&path, 2).err().unwrap().to_string();
        assert!(error.ends_with("x.ids:1: an id of more than 16777216 bytes"), "{error}");
    }
}
