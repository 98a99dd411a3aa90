//! Lines of UTF-8 with a limit on their length.

use std::io::{BufRead, Read as _};
use std::sync::Arc;

use crate::{Location, ReadError};

/// Longest line that is accepted where no flag sets the limit: 16 MiB.
const DEFAULT_LIMIT: usize = 16 << 20;

/// A longer line is taken to have no end: the input is a device, or not text.
const ENDLESS: u64 = 1 << 30;

/// A line as it is in the input.
#[derive(Debug)]
pub struct Line<'a> {
    /// The line without its end, or the beginning of a line that is too long.
    pub bytes: &'a [u8],
    /// Whether the line is within the limit.
    pub is_whole: bool,
}

/// Reads lines; memory stays within the limit, whatever the input is.
pub struct Lines<R> {
    name: Arc<str>,
    reader: R,
    max_bytes: usize,
    /// A hint about lines that are too long.
    remedy: &'static str,
    end: u8,
    number: u64,
    /// Byte at which the last line begins in the input.
    offset: u64,
    /// Bytes of the input that have been consumed.
    consumed: u64,
    buffer: Vec<u8>,
    /// Whether the rest of a line that is too long has not been read yet.
    in_long_line: bool,
}

impl<R: BufRead> Lines<R> {
    /// Lines of `reader`, which messages call `name`, of at most `max_bytes` bytes (`--max-record-bytes`).
    pub fn new(name: impl Into<Arc<str>>, reader: R, max_bytes: usize) -> Self {
        let remedy = "\nhint: raise the limit with --max-record-bytes";
        Self {
            name: name.into(),
            reader,
            max_bytes,
            remedy,
            end: b'\n',
            number: 0,
            offset: 0,
            consumed: 0,
            buffer: Vec::new(),
            in_long_line: false,
        }
    }

    /// Lines of at most 16 MiB, for inputs that have no flag for the limit.
    pub fn with_default_limit(name: impl Into<Arc<str>>, reader: R) -> Self {
        Self { remedy: "", ..Self::new(name, reader, DEFAULT_LIMIT) }
    }

    /// Reads "lines" that end with a NUL byte, as `find -print0` writes them, and may hold line feeds.
    #[must_use]
    pub fn nul_terminated(self) -> Self {
        Self { end: b'\0', ..self }
    }

    /// The underlying reader.
    pub(crate) fn reader(&self) -> &R {
        &self.reader
    }

    /// Location of the last line.
    pub fn location(&self) -> Location {
        Location { name: Arc::clone(&self.name), line: self.number }
    }

    /// Number of the last line, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Byte at which the last line begins in the input.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next line without its end, or `None` at the end of the input.
    ///
    /// # Errors
    /// A line that is too long or not UTF-8 is a [`ReadError::Record`]: the next call gives the line after it.
    pub fn next_line(&mut self) -> Option<Result<&str, ReadError>> {
        let is_whole = match self.next_bytes()? {
            Ok(line) => line.is_whole,
            Err(error) => return Some(Err(error)),
        };
        if !is_whole {
            let what = format!("longer than {} bytes{}", self.max_bytes, self.remedy);
            return Some(Err(self.error(what)));
        }
        match std::str::from_utf8(&self.buffer) {
            Ok(line) => {
                // Windows marks UTF-8 with a byte order mark, which is not part of the record.
                Some(Ok(if self.number == 1 { line.trim_start_matches('\u{feff}') } else { line }))
            }
            Err(error) => {
                let what = format!("not UTF-8 at byte {}", error.valid_up_to() + 1);
                Some(Err(self.error(what)))
            }
        }
    }

    /// The next line without its end, UTF-8 or not, or `None` at the end of the input.
    ///
    /// # Errors
    /// A read error; a line without an end, after which nothing can be read.
    pub fn next_bytes(&mut self) -> Option<Result<Line<'_>, ReadError>> {
        self.buffer.clear();
        self.number += 1;
        // The rest of a long line is skipped only when the next line is needed, because it may have no end.
        if std::mem::take(&mut self.in_long_line) {
            let mut rest = self.reader.by_ref().take(ENDLESS);
            let skipped = rest.skip_until(self.end);
            let is_endless = rest.limit() == 0;
            match skipped {
                Ok(bytes) => self.consumed += bytes as u64,
                Err(error) => return Some(Err(self.io_error(error))),
            }
            if is_endless {
                let place = Location { name: Arc::clone(&self.name), line: self.number - 1 };
                return Some(Err(ReadError::content(&place.to_string(), "a line without end")));
            }
        }
        self.offset = self.consumed;
        // Two bytes beyond the limit: the end of a line that fits, or more of one that does not.
        let limit = (self.max_bytes as u64).saturating_add(2);
        match self.reader.by_ref().take(limit).read_until(self.end, &mut self.buffer) {
            Ok(0) => return None,
            Ok(bytes) => self.consumed += bytes as u64,
            Err(error) => return Some(Err(self.io_error(error))),
        }
        let ended = self.buffer.pop_if(|byte| *byte == self.end).is_some();
        if ended && self.end == b'\n' {
            self.buffer.pop_if(|byte| *byte == b'\r');
        }
        let is_whole = self.buffer.len() <= self.max_bytes;
        self.in_long_line = !ended && !is_whole;
        Some(Ok(Line { bytes: &self.buffer, is_whole }))
    }

    /// Length of the last line, in bytes.
    pub fn bytes(&self) -> usize {
        self.buffer.len()
    }

    /// An error about the last line.
    pub fn error(&self, what: impl Into<String>) -> ReadError {
        self.location().error(what)
    }

    fn io_error(&self, error: std::io::Error) -> ReadError {
        ReadError::Io { source_name: self.name.to_string(), error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], max_bytes: usize) -> Vec<Result<String, String>> {
        let mut lines = Lines::new("in", bytes, max_bytes);
        let mut all = Vec::new();
        while let Some(line) = lines.next_line() {
            all.push(line.map(str::to_owned).map_err(|error| error.to_string()));
        }
        all
    }

    #[test]
    fn lines_end_with_lf_crlf_or_the_input() {
        let expected: Vec<Result<String, String>> = vec![Ok("a".into()), Ok(String::new()), Ok("b".into())];
        assert_eq!(read(b"a\n\nb", 10), expected);
        assert_eq!(read(b"a\r\n\r\nb\r\n", 10), expected);
        assert_eq!(read(b"\xef\xbb\xbfa\n\nb\n", 10), expected);
        assert!(read(b"", 10).is_empty());
    }

    #[test]
    fn nul_terminated_texts_may_hold_line_feeds() {
        let mut lines = Lines::new("in", &b"a\nb\r\0\0abcdef\0c"[..], 4).nul_terminated();
        assert_eq!(lines.next_line().unwrap().unwrap(), "a\nb\r");
        assert_eq!(lines.next_line().unwrap().unwrap(), "");
        assert!(lines.next_line().unwrap().unwrap_err().to_string().starts_with("in:3: longer than 4 bytes"));
        assert_eq!(lines.next_line().unwrap().unwrap(), "c");
        assert!(lines.next_line().is_none());
    }

    #[test]
    fn only_the_long_line_is_lost() {
        let lines = read(b"abcd\nabcde\nabcdefghijklmnop\nab\r\n", 4);
        assert_eq!(lines[0], Ok("abcd".into()));
        assert!(lines[1].as_ref().unwrap_err().starts_with("in:2: longer than 4 bytes"));
        assert!(lines[2].as_ref().unwrap_err().starts_with("in:3: longer than 4 bytes"));
        assert_eq!(lines[3], Ok("ab".into()));
        let mut lines = Lines::new("in", &b"abcd\nabcdefghijklmnop\r\nab\r\nc"[..], 4);
        let mut offsets = Vec::new();
        while lines.next_line().is_some() {
            offsets.push(lines.offset());
        }
        assert_eq!(offsets, [0, 5, 23, 27]);
    }

    #[test]
    fn a_line_without_an_end_is_refused() {
        let mut lines = Lines::new("in", std::io::BufReader::new(std::io::repeat(b'a')), 4);
        assert!(lines.next_line().unwrap().unwrap_err().to_string().starts_with("in:1: longer than 4 bytes"));
        let error = lines.next_line().unwrap().unwrap_err();
        assert!(error.to_string().starts_with("in:1: a line without end") && !error.is_recoverable(), "{error}");
    }

    #[test]
    fn the_limit_may_be_the_largest_number() {
        assert_eq!(read(b"ab\nc", usize::MAX), [Ok("ab".into()), Ok("c".into())]);
    }

    #[test]
    fn invalid_utf8_is_located() {
        let lines = read(b"ok\nab\xffcd\nok\n", 10);
        assert_eq!(lines[1], Err("in:2: not UTF-8 at byte 3".into()));
        assert_eq!(lines[2], Ok("ok".into()));
    }
}
