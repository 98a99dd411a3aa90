//! Dividing lines into columns, and finding those that matter.

use std::borrow::Cow;

use super::{Role, Row, RowCollector, find_role};

/// The separator between two columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Separator {
    /// A tab; ids may have spaces.
    Tab,
    /// Any ASCII white space, as in C; an id may have other kinds.
    Space,
    Comma,
}

impl Separator {
    fn split(self, line: &str) -> Option<Vec<Cow<'_, str>>> {
        match self {
            Self::Tab => Some(line.split('\t').map(Cow::from).collect()),
            Self::Space => Some(line.split_ascii_whitespace().map(Cow::from).collect()),
            Self::Comma => split_csv(line),
        }
    }
}

/// The columns of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Columns {
    separator: Separator,
    count: usize,
    /// Indices of query, document and value.
    indices: [usize; 3],
}

/// The values of a line.
pub(super) struct Values<'a> {
    values: Vec<Cow<'a, str>>,
    indices: [usize; 3],
}

impl Values<'_> {
    pub(super) fn row(&self) -> Row<'_> {
        let [query, document, value] = self.indices.map(|column| &*self.values[column]);
        Row { query, document, value: value.trim() }
    }
}

impl Columns {
    /// The columns that a header names. A line of data is not a header, because its value is not a name.
    pub(super) fn of_header<T: RowCollector>(line: &str) -> Option<Self> {
        separators(line).into_iter().find_map(|separator| {
            let values = separator.split(line)?;
            let index = |role| find_role::<T>(role, values.iter().map(|value| &**value));
            let indices = [index(Role::Query)?, index(Role::Document)?, index(Role::Value)?];
            Some(Self { separator, count: values.len(), indices })
        })
    }

    /// The columns of a file that begins with this line of data.
    pub(super) fn of_data<T: RowCollector>(line: &str) -> Option<Self> {
        let fits = |separator: Separator| {
            let count = separator.split(line)?.len();
            let (_, indices) = T::LAYOUTS.iter().find(|(columns, _)| *columns == count)?;
            Some(Self { separator, count, indices: *indices })
        };
        let candidates: Vec<Self> = separators(line).into_iter().filter_map(fits).collect();
        let is_data =
            |columns: &&Self| columns.values(line).is_ok_and(|values| values.row().value.parse::<f64>().is_ok());
        candidates.iter().find(is_data).or(candidates.first()).copied()
    }

    /// The values of a line, or their number if it is wrong.
    pub(super) fn values<'a>(&self, line: &'a str) -> Result<Values<'a>, usize> {
        let values = self.separator.split(line).unwrap_or_default();
        if values.len() == self.count { Ok(Values { values, indices: self.indices }) } else { Err(values.len()) }
    }

    /// Number of columns.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Whether the columns may be the words of a sentence.
    pub(super) fn may_be_prose(&self) -> bool {
        self.separator == Separator::Space
    }
}

/// The possible separators of a line. In a line with tabs, spaces belong to ids, except in TREC's six columns, which
/// may be aligned with both.
fn separators(line: &str) -> Vec<Separator> {
    if !line.contains('\t') {
        vec![Separator::Space, Separator::Comma]
    } else if line.split_ascii_whitespace().count() == 6 {
        vec![Separator::Tab, Separator::Space]
    } else {
        vec![Separator::Tab]
    }
}

/// The number of columns that a line seems to have.
pub(super) fn count(line: &str) -> usize {
    let count = |separator: Separator| separator.split(line).map_or(0, |values| values.len());
    separators(line).into_iter().map(count).max().unwrap_or(0)
}

/// The values of a line of CSV (RFC 4180): a quoted value may hold commas and doubled quotes. `None` if a quote is not
/// closed, or is followed by anything but a comma.
fn split_csv(line: &str) -> Option<Vec<Cow<'_, str>>> {
    let mut values = Vec::new();
    let mut rest = line;
    loop {
        let (value, after) = first_csv_value(rest)?;
        values.push(value);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return after.is_empty().then_some(values),
        }
    }
}

/// The first value, and the rest.
fn first_csv_value(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(',').unwrap_or(text.len());
        return Some((text[..end].into(), &text[end..]));
    };
    let mut value = String::new();
    let mut rest = quoted;
    loop {
        let (before, after) = rest.split_once('"')?;
        value.push_str(before);
        match after.strip_prefix('"') {
            Some(next) => {
                value.push('"');
                rest = next;
            }
            None => return Some((value.into(), after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::split_csv;

    #[test]
    fn quotes_hold_commas_and_quotes() {
        let values = |line| split_csv(line).map(|values| values.join("|"));
        assert_eq!(values("q1,d1,1").unwrap(), "q1|d1|1");
        assert_eq!(values("\"a,b\",\"say \"\"x\"\"\",").unwrap(), "a,b|say \"x\"|");
        assert_eq!(values("a\"b,c").unwrap(), "a\"b|c", "a quote inside a value is literal");
        assert_eq!(values("").unwrap(), "");
        assert_eq!([values("\"a,b"), values("\"a\"b,c")], [None, None]);
    }
}
