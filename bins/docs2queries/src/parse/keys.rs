//! The queries in a JSON value, which are identified by keys and not by their order.

use super::json_syntax::is_literal;
use super::key_names::{TEXTS, is_aside, is_kind, is_query, is_wrapper, name};
use super::lenient_json::Node;
use super::lists;
use crate::text::one_line;

/// How certain it is that strings are the queries, the most certain first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// They are called `queries`, as was asked for.
    Queries,
    /// They are a list called `questions`, `search_queries` or the like.
    Named,
    /// They are in objects with a `query` or `question` each.
    Single,
    /// No key identifies them.
    Unnamed,
}

/// The queries of a value.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) rank: Rank,
    pub(super) queries: Vec<String>,
    /// The number of queries that were cut off.
    pub(super) broken: usize,
}

/// The queries in a value, if it has any.
pub(super) fn read(node: &Node) -> Option<Reading> {
    let is_list = |value: &Node| matches!(value, Node::List(_));
    let is_similar = |key: &str, value: &Node| is_query(key) && (is_list(value) || name(key).ends_with('s'));
    reading(Rank::Queries, named(node, &|key, _| name(key) == "queries"))
        .or_else(|| reading(Rank::Named, of_objects(node, &by_kind)))
        .or_else(|| reading(Rank::Named, named(node, &is_similar)))
        .or_else(|| reading(Rank::Single, of_objects(node, &own)))
        .or_else(|| reading(Rank::Unnamed, unnamed(&quoted(node))))
}

/// One query; none if it was cut off.
type MaybeQuery = Option<String>;

fn reading(rank: Rank, found: Vec<MaybeQuery>) -> Option<Reading> {
    let broken = found.iter().filter(|query| query.is_none()).count();
    let queries: Vec<String> = found.into_iter().flatten().map(|query| one_line(&query)).collect();
    let says_something = |query: &String| query.contains(char::is_alphanumeric) && !is_placeholder(query);
    queries.iter().any(says_something).then_some(Reading { rank, queries, broken })
}

/// Whether a query is a placeholder, as in an echo of the requested format.
fn is_placeholder(query: &str) -> bool {
    let query = query.trim_matches(|c: char| !c.is_alphabetic()).to_lowercase();
    matches!(query.as_str(), "query" | "question" | "string" | "search query" | "your query" | "query text" | "array")
}

/// The queries under keys that `is_such` accepts, at any depth.
fn named(node: &Node, is_such: &impl Fn(&str, &Node) -> bool) -> Vec<MaybeQuery> {
    let of_field = |(key, value): &(String, Node)| match value {
        value if is_such(key, value) => texts(value),
        value if may_hold(key) => named(value, is_such),
        _ => Vec::new(),
    };
    match node {
        Node::Object(fields) => fields.iter().flat_map(of_field).collect(),
        Node::List(items) => items.iter().flat_map(|item| named(item, is_such)).collect(),
        Node::Text(_) | Node::Bare(_) | Node::Broken => Vec::new(),
    }
}

/// The queries that `of` finds in objects, at any depth; there are no others inside of such an object.
fn of_objects(node: &Node, of: &impl Fn(&[(String, Node)]) -> Vec<MaybeQuery>) -> Vec<MaybeQuery> {
    match node {
        Node::Object(fields) => match of(fields) {
            found if found.is_empty() => {
                let inner = fields.iter().filter(|(key, _)| may_hold(key));
                inner.flat_map(|(_, value)| of_objects(value, of)).collect()
            }
            found => found,
        },
        Node::List(items) => items.iter().flat_map(|item| of_objects(item, of)).collect(),
        Node::Text(_) | Node::Bare(_) | Node::Broken => Vec::new(),
    }
}

/// Whether an answer may be nested under a key.
fn may_hold(key: &str) -> bool {
    !is_aside(key) || is_wrapper(key)
}

/// The queries of an object that has a list for each kind of query.
fn by_kind(fields: &[(String, Node)]) -> Vec<MaybeQuery> {
    let of_kinds = fields.iter().filter(|(key, _)| may_hold(key));
    let is_list = |(_, value): &(String, Node)| matches!(value, Node::List(_));
    // Keywords may belong to the question beside them.
    let is_kind = |(key, _): &(String, Node)| is_kind(key) && name(key) != "keywords";
    let is_such = of_kinds.clone().count() > 1 && of_kinds.clone().all(is_kind) && of_kinds.clone().any(is_list);
    if is_such { of_kinds.flat_map(|(_, value)| texts(value)).collect() } else { Vec::new() }
}

/// The queries that an object names itself: `query`, else `question`, else a similar key, or `query1`, `query2`.
fn own(fields: &[(String, Node)]) -> Vec<MaybeQuery> {
    if is_schema(fields) {
        return Vec::new();
    }
    let kinds = fields.iter().filter(|(key, _)| is_kind(key));
    if kinds.count() == fields.len() {
        return fields.iter().flat_map(|(_, value)| text(value)).collect();
    }
    let of = |is_such: &dyn Fn(&str) -> bool| {
        let such = fields.iter().filter(|(key, _)| is_such(key));
        such.flat_map(|(_, value)| text(value)).collect::<Vec<MaybeQuery>>()
    };
    let exact = of(&|key| name(key) == "query");
    let exact = if exact.is_empty() { of(&|key| name(key) == "question") } else { exact };
    if exact.is_empty() { of(&|key| is_query(key) || name(key) == "q") } else { exact }
}

/// The query that a field is, if it is a string.
fn text(value: &Node) -> Option<MaybeQuery> {
    match value {
        Node::Text(text) => Some(Some(text.clone())),
        Node::Broken => Some(None),
        Node::Bare(_) | Node::List(_) | Node::Object(_) => None,
    }
}

/// All strings of a value that contains only queries.
fn texts(value: &Node) -> Vec<MaybeQuery> {
    match value {
        Node::Text(text) if text.trim().contains('\n') => lists::of_string(text).into_iter().map(Some).collect(),
        Node::Text(_) | Node::Broken => text(value).into_iter().collect(),
        Node::Bare(word) => is_word(word).then(|| Some(word.clone())).into_iter().collect(),
        Node::List(items) => {
            let column = column(items);
            items.iter().flat_map(|item| of_item(item, column.as_deref())).collect()
        }
        Node::Object(fields) if is_schema(fields) => of_schema(fields),
        Node::Object(fields) => {
            let own = own(fields);
            let column = own.is_empty().then(|| column(std::slice::from_ref(value))).flatten();
            if !own.is_empty() {
                own
            } else if fields.iter().any(|(key, value)| text(value).is_some() && is_aside(key) && !key.is_empty()) {
                of_item(value, column.as_deref())
            } else {
                let of = |(key, value): &(String, Node)| {
                    of_field(key, value).map_or_else(|| texts(value), |query| vec![query])
                };
                fields.iter().flat_map(of).collect()
            }
        }
    }
}

/// The queries of a list's item. If no key of an object names one, it is the text under the key `column`.
fn of_item(item: &Node, column: Option<&str>) -> Vec<MaybeQuery> {
    match item {
        Node::Text(text) => vec![Some(text.clone())],
        Node::Object(fields) if !is_schema(fields) => {
            let own = own(fields);
            if !own.is_empty() {
                return own;
            }
            let inner = named(item, &|key, _| is_query(key));
            let of_only = |(key, value): &(String, Node)| match value {
                Node::List(_) => texts(value),
                value => of_field(key, value).into_iter().collect(),
            };
            let only = fields.iter().filter(|(key, _)| !is_aside(key)).flat_map(of_only);
            let in_column = fields.iter().filter(|(key, _)| column == Some(key.as_str()));
            match (inner.is_empty(), fields.len()) {
                (false, _) => inner,
                (true, 1) => only.collect(),
                _ => in_column.filter_map(|(_, value)| text(value)).collect(),
            }
        }
        Node::List(items) => {
            let is_of_kind = |item: &&Node| matches!(item, Node::Text(text) if is_kind(text));
            texts(&Node::List(items.iter().filter(|item| !is_of_kind(item)).cloned().collect()))
        }
        other => texts(other),
    }
}

/// The query of a field; it is the key, if the value is only the name of a kind.
fn of_field(key: &str, value: &Node) -> Option<MaybeQuery> {
    match value {
        Node::Text(kind) if is_kind(kind) && key.trim().contains(' ') => Some(Some(key.to_owned())),
        value => text(value),
    }
}

/// The key of the queries in a list of objects: one that names a text, else that of the longest strings.
fn column(items: &[Node]) -> Option<String> {
    let mut lengths: Vec<(&str, usize)> = Vec::new();
    for item in items {
        let Node::Object(fields) = item else { continue };
        for (key, value) in fields {
            if let Node::Text(text) = value
                && !is_aside(key)
            {
                match lengths.iter_mut().find(|(other, _)| other == key) {
                    Some((_, length)) => *length += text.len(),
                    None => lengths.push((key, text.len())),
                }
            }
        }
    }
    let of_text = TEXTS.split(' ').find_map(|text| lengths.iter().find(|(key, _)| name(key) == text));
    let longest = || lengths.iter().rev().max_by_key(|(_, length)| *length);
    of_text.or_else(longest).map(|(key, _)| (*key).to_owned())
}

/// The value without words that have no quotes: if no key says that they are queries, they are prose in brackets.
fn quoted(node: &Node) -> Node {
    match node {
        Node::List(items) => {
            Node::List(items.iter().filter(|item| !matches!(item, Node::Bare(_))).map(quoted).collect())
        }
        Node::Object(fields) => {
            let fields = fields.iter().filter(|(_, value)| !matches!(value, Node::Bare(_)));
            Node::Object(fields.map(|(key, value)| (key.clone(), quoted(value))).collect())
        }
        other => other.clone(),
    }
}

/// Strings that no key identifies: those of a list, numbered ones, and lists under other names.
fn unnamed(node: &Node) -> Vec<MaybeQuery> {
    match node {
        Node::List(_) => texts(node),
        Node::Object(fields) if is_schema(fields) => of_schema(fields),
        Node::Object(fields) => {
            let is_numbered = |key: &str| key.len() < 2 || key.ends_with(|c: char| c.is_ascii_digit()) || is_kind(key);
            if fields
                .iter()
                .all(|(key, value)| is_numbered(key.trim()) && matches!(value, Node::Text(_) | Node::Broken))
            {
                return fields.iter().filter_map(|(_, value)| text(value)).collect();
            }
            let lists =
                fields.iter().filter(|(key, value)| may_hold(key) && matches!(value, Node::List(_) | Node::Object(_)));
            lists
                .flat_map(|(_, value)| if let Node::Object(_) = value { unnamed(value) } else { texts(value) })
                .collect()
        }
        _ => Vec::new(),
    }
}

/// Whether an object is a JSON schema, whose strings are descriptions.
fn is_schema(fields: &[(String, Node)]) -> bool {
    let field = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    let is_type =
        |value: &Node| matches!(value, Node::Text(kind) if matches!(kind.as_str(), "array" | "object" | "string"));
    field("$schema").is_some()
        || matches!(field("properties"), Some(Node::Object(_)))
        || field("type").is_some_and(is_type) && fields.len() <= 6 && field("query").or(field("text")).is_none()
}

/// The queries that small models write into the schema, in place of descriptions.
fn of_schema(fields: &[(String, Node)]) -> Vec<MaybeQuery> {
    let holds =
        |key: &str| matches!(key, "items" | "value" | "values" | "enum" | "default" | "const" | "example" | "examples");
    let lists = fields.iter().filter(|(key, value)| holds(key) && matches!(value, Node::List(_)));
    lists.flat_map(|(_, value)| texts(value)).collect()
}

fn is_word(word: &str) -> bool {
    !is_literal(word) && word.contains(char::is_alphabetic)
}
