//! What columns and fields are called.

use std::fmt;

use super::Rows;

/// What a column or a field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Query,
    Document,
    Number,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Query => "query",
            Self::Document => "document",
            Self::Number => "number",
        })
    }
}

/// Names as BEIR, TREC, MS MARCO, ir_datasets, PyTerrier and MTEB have them; where several are there, the first counts: a
/// query may stand beside its id, and PyTerrier's docno beside the number that it is for the index.
const QUERY: [&str; 7] = ["queryid", "qid", "topicid", "queryno", "qno", "topic", "query"];
const DOCUMENT: [&str; 9] = ["corpusid", "docno", "docid", "documentid", "passageid", "pid", "did", "document", "doc"];

/// A name without what people spell differently: `query-id`, `query_id` and `queryId` are one.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Where among `names` the one is that says this role.
pub(super) fn find<'a, T: Rows>(role: Role, names: impl Iterator<Item = &'a str>) -> Option<usize> {
    let known = match role {
        Role::Query => &QUERY[..],
        Role::Document => &DOCUMENT,
        Role::Number => T::NUMBER_NAMES,
    };
    let rank = |name: &str| known.iter().position(|known| *known == plain(name));
    let found = names.enumerate().filter_map(|(index, name)| Some((rank(name)?, index)));
    found.min().map(|(_, index)| index)
}
