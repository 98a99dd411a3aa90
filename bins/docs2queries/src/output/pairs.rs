//! Pairs out of queries.

use std::io::{self, Write};

use embtune_records::{Object, Pair, write_json_line};

use crate::documents::{Part, Source};

/// A query with the text that answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    /// What is typed.
    pub(crate) query: String,
    /// The document, or what is left of it.
    pub(crate) positive: String,
}

/// Writes pairs, numbered from `first` on.
///
/// # Errors
/// The writer's own.
pub(super) fn write(
    document: &Source,
    part: Option<Part>,
    queries: &[Query],
    first: usize,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut rest = Object::new();
    if let Some(Part { number, start, end }) = part {
        rest.extend([("chunk", number), ("start", start), ("end", end)].map(|(name, at)| (name.to_owned(), at.into())));
    }
    for (number, Query { query, positive }) in (first..).zip(queries) {
        let pair = Pair {
            anchor: query.clone(),
            positive: positive.clone(),
            anchor_id: Some(format!("{}-q{number}", document.id)),
            positive_id: Some(document.id.clone()),
            group: Some(document.group.clone()),
            rest: rest.clone(),
            ..Pair::default()
        };
        write_json_line(&pair.to_object(), out)?;
    }
    Ok(())
}

/// What two texts have in common when they differ in case and white space only.
pub(crate) fn fold(text: &str) -> String {
    one_line(text).to_lowercase()
}

/// The text with single spaces between its words.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_say_where_they_are_from() {
        let source = Source::example("d", None, "text");
        let queries = ["one", "two"].map(|query| Query { query: query.into(), positive: "text".into() });
        let mut out = Vec::new();
        write(&source, None, &queries[..1], 1, &mut out).unwrap();
        write(&source, Some(Part { number: 1, start: 3, end: 7 }), &queries[1..], 2, &mut out).unwrap();
        let expected = concat!(
            r#"{"anchor":"one","positive":"text","anchor_id":"d-q1","positive_id":"d","group":"d"}"#,
            "\n",
            r#"{"anchor":"two","positive":"text","anchor_id":"d-q2","positive_id":"d","group":"d","chunk":1,"start":3,"end":7}"#,
            "\n",
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
