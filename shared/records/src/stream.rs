//! The records of all inputs of a filter, one input after the other.

use std::io::BufRead;
use std::vec;

use crate::jsonl::parse_line;
use crate::{Lines, Location, ReadError, Record};

/// A record, and where it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Located<T> {
    /// The record.
    pub record: T,
    /// Its input and line.
    pub location: Location,
    /// Byte at which its line begins in the input.
    pub offset: u64,
    /// Length of its line, in bytes.
    pub bytes: usize,
}

/// Parses a line, given the number of the record in the stream, from 1. `None` skips a line without a record.
type Parse<T> = Box<dyn FnMut(&str, u64) -> Option<Result<T, String>> + Send>;

/// The records of several inputs, in order. An input that cannot be read any further ends the stream.
pub struct RecordStream<T, R> {
    inputs: vec::IntoIter<Lines<R>>,
    current: Option<Lines<R>>,
    parse: Parse<T>,
    is_selected: Box<dyn Fn(u64) -> bool + Send>,
    /// Number of records so far, including those that cannot be used.
    count: u64,
}

impl<T: Record, R: BufRead> RecordStream<T, R> {
    /// The records of inputs of JSON Lines, of at most `max_record_bytes` bytes each. An input comes with the name that
    /// messages give it.
    pub fn new(inputs: impl IntoIterator<Item = (String, R)>, max_record_bytes: usize) -> Self {
        let lines = inputs.into_iter().map(|(name, reader)| Lines::new(name, reader, max_record_bytes));
        Self::of_lines(lines, |line, _| parse_line(line))
    }
}

impl<T, R: BufRead> RecordStream<T, R> {
    /// The records that `parse` returns for lines. It is given the number that the record has in the stream, from 1,
    /// and skips a line by returning `None`.
    pub fn of_lines(
        inputs: impl IntoIterator<Item = Lines<R>>,
        parse: impl FnMut(&str, u64) -> Option<Result<T, String>> + Send + 'static,
    ) -> Self {
        Self {
            inputs: inputs.into_iter().collect::<Vec<_>>().into_iter(),
            current: None,
            parse: Box::new(parse),
            is_selected: Box::new(|_| true),
            count: 0,
        }
    }

    /// Yields only records at the positions, counted from 0, that `is_selected` accepts. A record that cannot be used
    /// has a position too, so the positions do not depend on the policy on such records.
    #[must_use]
    pub fn select(self, is_selected: impl Fn(u64) -> bool + Send + 'static) -> Self {
        Self { is_selected: Box::new(is_selected), ..self }
    }

    /// The inputs that have not been started.
    pub fn readers(&self) -> impl Iterator<Item = &R> {
        self.inputs.as_slice().iter().map(Lines::reader)
    }

    /// The next record that can be used, or `None` at the end of all inputs. `skip` is given the error of each record
    /// that cannot be used, and decides whether reading continues.
    ///
    /// # Errors
    /// An input that cannot be read; what `skip` returns.
    pub fn next_usable<E: From<ReadError>>(
        &mut self,
        mut skip: impl FnMut(ReadError) -> Result<(), E>,
    ) -> Result<Option<Located<T>>, E> {
        loop {
            match self.next().transpose() {
                Ok(record) => return Ok(record),
                Err(error) if error.is_recoverable() => skip(error)?,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl<T, R: BufRead> Iterator for RecordStream<T, R> {
    type Item = Result<Located<T>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(lines) = &mut self.current else {
                self.current = Some(self.inputs.next()?);
                continue;
            };
            let Some(line) = lines.next_line() else {
                self.current = None;
                continue;
            };
            let parsed = match line {
                Ok(line) => match (self.parse)(line, self.count + 1) {
                    Some(parsed) => parsed.map_err(|what| lines.error(what)),
                    None => continue,
                },
                Err(error) if error.is_recoverable() => Err(error),
                Err(error) => {
                    self.current = None;
                    self.inputs = Vec::new().into_iter();
                    return Some(Err(error));
                }
            };
            self.count += 1;
            if (self.is_selected)(self.count - 1) {
                let (location, offset, bytes) = (lines.location(), lines.offset(), lines.bytes());
                return Some(parsed.map(|record| Located { record, location, offset, bytes }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, BufReader, Read};

    use super::*;
    use crate::Document;

    fn inputs<'a>(texts: &[&'a str]) -> Vec<(String, &'a [u8])> {
        (1..).zip(texts).map(|(number, text)| (format!("in{number}"), text.as_bytes())).collect()
    }

    const FIRST: &str = "{\"_id\":1,\"text\":\"a\"}\n\nno record\n{\"_id\":2,\"text\":\"b\"}";
    const SECOND: &str = "{\"_id\":3,\"text\":\"c\"}\n";

    #[test]
    fn records_of_all_inputs_have_their_locations() {
        let mut stream = RecordStream::<Document, _>::new(inputs(&[FIRST, "", SECOND]), 100);
        let mut skipped = Vec::new();
        let mut found = Vec::new();
        while let Some(Located { record, location, offset, bytes }) = stream
            .next_usable(|error| {
                skipped.push(error.to_string());
                Ok::<_, ReadError>(())
            })
            .unwrap()
        {
            found.push((record.id().to_owned(), location.to_string(), offset, bytes));
        }
        let expected = [("1", "in1:1", 0, 20), ("2", "in1:4", 32, 20), ("3", "in3:1", 0, 20)]
            .map(|(id, location, offset, bytes)| (id.to_owned(), location.to_owned(), offset, bytes));
        assert_eq!(found, expected);
        assert_eq!(skipped.len(), 1);
        assert!(skipped[0].starts_with("in1:3: not JSON"), "{skipped:?}");
    }

    #[test]
    fn bad_records_have_positions_and_blank_lines_do_not() {
        let at = |position: u64| {
            let stream = RecordStream::<Document, _>::new(inputs(&[FIRST, SECOND]), 100);
            let selected: Vec<_> = stream.select(move |other| other == position).collect();
            assert_eq!(selected.len(), 1);
            selected.into_iter().next().unwrap().map(|located| located.record.id().to_owned())
        };
        assert_eq!([at(0).unwrap(), at(2).unwrap(), at(3).unwrap()], ["1", "2", "3"]);
        assert!(at(1).is_err());
    }

    #[test]
    fn an_input_that_fails_ends_the_stream() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the disk is gone"))
            }
        }
        let inputs = ["a", "b"].map(|name| (name.to_owned(), BufReader::new(Broken)));
        let mut stream = RecordStream::<Document, _>::new(inputs, 100);
        assert!(stream.next_usable(|_| Ok::<_, ReadError>(())).is_err());
        assert!(stream.next().is_none());
    }
}
