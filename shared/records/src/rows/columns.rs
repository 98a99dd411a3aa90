//! How lines are divided into columns, and which ones matter.

use std::borrow::Cow;

use super::names::{self, Role};
use super::{Row, Rows, csv};

/// What stands between two columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Separator {
    /// Ids may have blanks.
    Tab,
    /// Any white space (of ASCII, as in C: an id may hold the other kinds).
    Blank,
    Comma,
}

impl Separator {
    fn split(self, line: &str) -> Option<Vec<Cow<'_, str>>> {
        match self {
            Self::Tab => Some(line.split('\t').map(Cow::from).collect()),
            Self::Blank => Some(line.split_ascii_whitespace().map(Cow::from).collect()),
            Self::Comma => csv::split(line),
        }
    }
}

/// The columns of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Columns {
    separator: Separator,
    count: usize,
    /// Which ones are query, document and number.
    at: [usize; 3],
}

/// The values of a line.
pub(super) struct Values<'a> {
    values: Vec<Cow<'a, str>>,
    at: [usize; 3],
}

impl Values<'_> {
    pub(super) fn row(&self) -> Row<'_> {
        let [query, document, number] = self.at.map(|column| &*self.values[column]);
        Row { query, document, number: number.trim() }
    }
}

impl Columns {
    /// The columns that a header names. No line of data is one: its number is none.
    pub(super) fn of_header<T: Rows>(line: &str) -> Option<Self> {
        separators(line).into_iter().find_map(|separator| {
            let values = separator.split(line)?;
            let place = |role| names::find::<T>(role, values.iter().map(|value| &**value));
            let at = [place(Role::Query)?, place(Role::Document)?, place(Role::Number)?];
            Some(Self { separator, count: values.len(), at })
        })
    }

    /// The columns of a file that begins with this line of data.
    pub(super) fn of_data<T: Rows>(line: &str) -> Option<Self> {
        let fits = |separator: Separator| {
            let count = separator.split(line)?.len();
            let (_, at) = T::COLUMNS.iter().find(|(columns, _)| *columns == count)?;
            Some(Self { separator, count, at: *at })
        };
        let candidates: Vec<Self> = separators(line).into_iter().filter_map(fits).collect();
        let is_data =
            |columns: &&Self| columns.values(line).is_ok_and(|values| values.row().number.parse::<f64>().is_ok());
        candidates.iter().find(is_data).or(candidates.first()).copied()
    }

    /// The values of a line, or how many there are when they do not fit.
    pub(super) fn values<'a>(&self, line: &'a str) -> Result<Values<'a>, usize> {
        let values = self.separator.split(line).unwrap_or_default();
        if values.len() == self.count { Ok(Values { values, at: self.at }) } else { Err(values.len()) }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Whether words of a sentence may have been taken for columns.
    pub(super) fn may_be_prose(&self) -> bool {
        self.separator == Separator::Blank
    }
}

/// What may separate the columns of a line. Where there are tabs, blanks belong to ids, but for TREC's six columns, which
/// people align.
fn separators(line: &str) -> Vec<Separator> {
    if !line.contains('\t') {
        vec![Separator::Blank, Separator::Comma]
    } else if line.split_ascii_whitespace().count() == 6 {
        vec![Separator::Tab, Separator::Blank]
    } else {
        vec![Separator::Tab]
    }
}

/// Columns that a line seems to have.
pub(super) fn count(line: &str) -> usize {
    let count = |separator: Separator| separator.split(line).map_or(0, |values| values.len());
    separators(line).into_iter().map(count).max().unwrap_or(0)
}
