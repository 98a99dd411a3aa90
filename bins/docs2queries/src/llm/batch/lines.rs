//! Lines of a result file, in whatever state they are.

use std::io::{self, BufRead, Read as _};

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
        reader.skip_until(b'\n')?;
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
