//! Rows as lines of columns.

use std::io::BufRead;

use super::columns::{Columns, count};
use super::{RowCollector, add};
use crate::{Lines, ReadError};

/// Lines that may be comments, and are kept until a line determines the columns.
const MOST_PENDING: usize = 10_000;

/// A file while it is read. A line that begins with # is a comment only if it is not a row: ids may begin with #.
struct Table<'a, T, R> {
    lines: Lines<R>,
    rows: &'a mut T,
    /// Number of lines that were taken for comments.
    comments: u64,
    /// The line of the first one.
    first_comment: u64,
}

pub(super) fn read<T: RowCollector>(
    name: &str,
    reader: impl BufRead,
    rows: &mut T,
    note: &mut dyn FnMut(String),
) -> Result<(), ReadError> {
    let lines = Lines::with_default_limit(name, reader);
    let mut table = Table { lines, rows, comments: 0, first_comment: u64::MAX };
    if let Some(columns) = table.start()? {
        while let Some(line) = table.next_line()? {
            let number = table.lines.number();
            table.take(&columns, number, &line)?;
        }
    }
    let Table { comments: count, first_comment: first, .. } = table;
    if count > 0 {
        note(format!("{name}: {count} lines that begin with # are comments (first: line {first})"));
    }
    Ok(())
}

impl<T: RowCollector, R: BufRead> Table<'_, T, R> {
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

    /// Reads until the columns are known, and adds the rows read. The first line that does not begin with # determines
    /// them; if there is none, the first line that can be a row.
    fn start(&mut self) -> Result<Option<Columns>, ReadError> {
        let mut pending: Vec<(u64, String)> = Vec::new();
        let (mut columns, mut has_header) = (None, true);
        while let Some(line) = self.next_line()? {
            let number = self.lines.number();
            if line.starts_with('#') && pending.len() < MOST_PENDING {
                // A header may be marked as a comment.
                columns = Columns::of_header::<T>(line.trim_start_matches('#')).filter(|named| !named.may_be_prose());
                if columns.is_some() {
                    break;
                }
                pending.push((number, line));
                continue;
            }
            columns = Columns::of_header::<T>(&line);
            if columns.is_none() {
                has_header = false;
                let refused = || self.lines.error(T::column_error(count(&line)));
                columns = Some(Columns::of_data::<T>(&line).ok_or_else(refused)?);
                pending.push((number, line));
            }
            break;
        }
        has_header &= columns.is_some();
        let columns = columns.or_else(|| pending.iter().find_map(|(_, line)| Columns::of_data::<T>(line)));
        if let Some(columns) = columns.filter(|_| !has_header) {
            self.rows.set_no_header(columns.count());
        }
        for (number, line) in pending {
            match &columns {
                Some(columns) => self.take(columns, number, &line)?,
                None => self.add_comment(number),
            }
        }
        Ok(columns)
    }

    /// Adds a line as a row, or as a comment if it begins like one and is not a row.
    fn take(&mut self, columns: &Columns, number: u64, line: &str) -> Result<(), ReadError> {
        let what = match columns.values(line) {
            Err(found) => format!("expected {} columns as in the lines before, found {found}", columns.count()),
            Ok(values) => match add(values.row(), self.rows) {
                Ok(()) => return Ok(()),
                // A complete row that is refused is not a comment.
                Err(what) if values.row().value.parse::<f64>().is_ok() => return Err(self.error(number, what)),
                Err(what) => what,
            },
        };
        if line.starts_with('#') {
            self.add_comment(number);
            return Ok(());
        }
        Err(self.error(number, what))
    }

    fn add_comment(&mut self, line: u64) {
        self.comments += 1;
        self.first_comment = self.first_comment.min(line);
    }

    fn error(&self, line: u64, what: String) -> ReadError {
        crate::Location { line, ..self.lines.location() }.error(what)
    }
}
