//! Rows as columns of text.

use std::io::BufRead;

use super::columns::{Columns, count};
use super::{Rows, give};
use crate::{Lines, ReadError};

/// Lines that may be comments and are kept until a line says what the columns are.
const MOST_WAITING: usize = 10_000;

/// A file that is being read. A line that begins with # is a comment only if it is no row: ids begin with #, too.
struct Table<'a, T, R> {
    lines: Lines<R>,
    rows: &'a mut T,
    comments: Comments,
}

/// Lines that were passed over.
#[derive(Default)]
struct Comments {
    count: u64,
    /// The line of the first one.
    first: u64,
}

impl Comments {
    fn add(&mut self, line: u64) {
        self.count += 1;
        self.first = if self.count == 1 { line } else { self.first.min(line) };
    }
}

pub(super) fn read<T: Rows>(
    name: &str,
    reader: impl BufRead,
    rows: &mut T,
    say: &mut dyn FnMut(String),
) -> Result<(), ReadError> {
    let mut table = Table { lines: Lines::with_default_limit(name, reader), rows, comments: Comments::default() };
    if let Some(columns) = table.start()? {
        while let Some(line) = table.next_line()? {
            let number = table.lines.number();
            table.take(&columns, number, &line)?;
        }
    }
    if table.comments.count > 0 {
        let Comments { count, first } = table.comments;
        say(format!("{name}: {count} lines that begin with # are comments (first: line {first})"));
    }
    Ok(())
}

impl<T: Rows, R: BufRead> Table<'_, T, R> {
    /// The next line that is not blank.
    fn next_line(&mut self) -> Result<Option<String>, ReadError> {
        while let Some(line) = self.lines.next_line() {
            let line = line?;
            if !line.trim().is_empty() {
                return Ok(Some(line.to_owned()));
            }
        }
        Ok(None)
    }

    /// Reads until the columns are known, and takes what was read. A line that does not begin with # tells; if there is
    /// none, the first that does and can be a row.
    fn start(&mut self) -> Result<Option<Columns>, ReadError> {
        let mut waiting: Vec<(u64, String)> = Vec::new();
        let (mut columns, mut has_header) = (None, true);
        while let Some(line) = self.next_line()? {
            let number = self.lines.number();
            if line.starts_with('#') && waiting.len() < MOST_WAITING {
                // The header of those who mark it as a comment.
                columns = Columns::of_header::<T>(line.trim_start_matches('#')).filter(|named| !named.may_be_prose());
                if columns.is_some() {
                    break;
                }
                waiting.push((number, line));
                continue;
            }
            columns = Columns::of_header::<T>(&line);
            if columns.is_none() {
                has_header = false;
                let refused = || self.lines.error(T::refuse(count(&line)));
                columns = Some(Columns::of_data::<T>(&line).ok_or_else(refused)?);
                waiting.push((number, line));
            }
            break;
        }
        has_header &= columns.is_some();
        let columns = columns.or_else(|| waiting.iter().find_map(|(_, line)| Columns::of_data::<T>(line)));
        if let Some(columns) = columns.filter(|_| !has_header) {
            self.rows.without_header(columns.count());
        }
        for (number, line) in waiting {
            match &columns {
                Some(columns) => self.take(columns, number, &line)?,
                None => self.comments.add(number),
            }
        }
        Ok(columns)
    }

    /// Takes a line as a row, or as a comment if it is none and begins like one.
    fn take(&mut self, columns: &Columns, number: u64, line: &str) -> Result<(), ReadError> {
        let what = match columns.values(line) {
            Err(found) => format!("expected {} columns, as in the lines above, found {found}", columns.count()),
            Ok(values) => match give(values.row(), self.rows) {
                Ok(()) => return Ok(()),
                // A row that is whole and still refused is no comment.
                Err(what) if values.row().number.parse::<f64>().is_ok() => return Err(self.error(number, what)),
                Err(what) => what,
            },
        };
        if line.starts_with('#') {
            self.comments.add(number);
            return Ok(());
        }
        Err(self.error(number, what))
    }

    fn error(&self, line: u64, what: String) -> ReadError {
        crate::Location { line, ..self.lines.location() }.error(what)
    }
}
