//! Lines of a result file, in whatever state they are.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Seek as _};

use crate::llm::json;

/// A line that is longer has no end: it is no file of results, but a device or another program's data.
const ENDLESS: u64 = 1 << 30;

/// What a file holds.
pub(super) struct Whole {
    /// Lines that are JSON.
    pub(super) count: u64,
    /// Whether the last one is not.
    pub(super) is_cut_off: bool,
}

/// Looks through a file, which is at its beginning before and after that.
pub(super) fn whole(file: &mut File, most: usize) -> io::Result<Whole> {
    let (mut whole, mut line) = (Whole { count: 0, is_cut_off: false }, Vec::new());
    let mut reader = BufReader::new(&mut *file);
    while let Some(is_short) = next(&mut reader, most, &mut line)? {
        if !line.trim_ascii().is_empty() {
            whole.is_cut_off = !is_short || json::read(&line).is_none();
            whole.count += u64::from(!whole.is_cut_off);
        }
    }
    file.rewind()?;
    Ok(whole)
}

/// Reads a line of at most `most` bytes without its end; none at the end of the file. A longer one is cut off there,
/// which no line of JSON survives, and skipped to its end.
pub(super) fn next(reader: &mut impl BufRead, most: usize, line: &mut Vec<u8>) -> io::Result<Option<bool>> {
    line.clear();
    // One byte more than allowed tells a line that fits from one that does not; two more are its end.
    let limit = (most as u64).saturating_add(2);
    if reader.by_ref().take(limit).read_until(b'\n', line)? == 0 {
        return Ok(None);
    }
    let is_ended = line.pop_if(|byte| *byte == b'\n').is_some();
    line.pop_if(|byte| is_ended && *byte == b'\r');
    let is_whole = line.len() <= most;
    if !is_ended && !is_whole {
        let mut rest = reader.by_ref().take(ENDLESS);
        rest.skip_until(b'\n')?;
        if rest.limit() == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a line without end: not a file of results"));
        }
    }
    Ok(Some(is_whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded() {
        let mut reader = &b"four\r\n\nlonger than that\nfour\nend"[..];
        let mut line = Vec::new();
        let mut all = Vec::new();
        while let Some(is_whole) = next(&mut reader, 5, &mut line).unwrap() {
            all.push((String::from_utf8(line.clone()).unwrap(), is_whole));
        }
        let expected = [("four", true), ("", true), ("longer ", false), ("four", true), ("end", true)];
        assert_eq!(all, expected.map(|(line, is_whole)| (line.to_owned(), is_whole)));
    }
}
