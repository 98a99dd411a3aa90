//! Pairs out of queries.

use std::collections::HashSet;
use std::io::{self, Write};

use embtune_records::{Pair, write_json_line};

use crate::source::Source;

/// A query with the text that answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    /// What is typed.
    pub(crate) query: String,
    /// The document, or what is left of it.
    pub(crate) positive: String,
}

/// Writes a document's pairs, each query once, and says how many they are.
///
/// # Errors
/// The writer's own.
pub(crate) fn write(source: &Source, queries: Vec<Query>, out: &mut impl Write) -> io::Result<u64> {
    let mut seen = HashSet::new();
    let mut number = 0;
    for Query { query, positive } in queries {
        if !seen.insert(fold(&query)) {
            continue;
        }
        number += 1;
        let pair = Pair {
            anchor: query,
            positive,
            anchor_id: Some(format!("{}-q{number}", source.id)),
            positive_id: Some(source.id.clone()),
            group: Some(source.group.clone()),
            ..Pair::default()
        };
        write_json_line(&pair.to_object(), out)?;
    }
    Ok(number)
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
    fn a_query_is_written_once() {
        let source = Source::example("d", None, "text");
        let queries = ["One", "one ", "two"].map(|query| Query { query: query.into(), positive: "text".into() });
        let mut out = Vec::new();
        assert_eq!(write(&source, queries.into(), &mut out).unwrap(), 2);
        let expected = concat!(
            r#"{"anchor":"One","positive":"text","anchor_id":"d-q1","positive_id":"d","group":"d"}"#,
            "\n",
            r#"{"anchor":"two","positive":"text","anchor_id":"d-q2","positive_id":"d","group":"d"}"#,
            "\n",
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
