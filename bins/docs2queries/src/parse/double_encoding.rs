//! Values that were encoded as JSON twice: strings that contain the JSON of a list or an object.

use super::key_names;
use super::keys::{self, Rank};
use super::lenient_json::{self, Node};

/// How often a value may have been encoded.
const OFTENEST: usize = 3;

/// The value with such strings decoded. A query that happens to be code, such as `["a"]`, stays as it is.
pub(super) fn unfolded(node: Node) -> Node {
    within(node, OFTENEST)
}

/// The content of a text that is one JSON string, with or without its quotes.
pub(super) fn reply(text: &str) -> Option<String> {
    let text = text.trim();
    if text.starts_with('"') {
        return serde_json::from_str(text).ok();
    }
    let start = text.strip_prefix(['{', '['])?.trim_start_matches("\\n").trim_start();
    if start.starts_with("\\\"") { serde_json::from_str(&format!("\"{text}\"")).ok() } else { None }
}

fn within(node: Node, depth: usize) -> Node {
    match node {
        Node::Object(fields) => {
            let field = |(key, value): (String, Node)| {
                let is_list = key_names::name(&key) == "queries";
                let value = match value {
                    Node::Text(text) => match decoded(&text, depth)
                        .filter(|inner| is_list && is_list_of_text(inner) || is_answer(inner))
                    {
                        Some(inner) => inner,
                        None => Node::Text(text),
                    },
                    value => within(value, depth),
                };
                (key, value)
            };
            Node::Object(fields.into_iter().map(field).collect())
        }
        Node::List(items) => {
            let decoded = |item: &Node| if let Node::Text(text) = item { decoded(text, depth) } else { None };
            let nodes: Option<Vec<Node>> = items.iter().map(decoded).collect();
            match nodes.filter(|nodes| matches!(&nodes[..], [_]) && is_answer(&nodes[0]) || nodes.iter().all(is_named))
            {
                Some(nodes) => Node::List(nodes),
                None => Node::List(items.into_iter().map(|item| within(item, depth)).collect()),
            }
        }
        other => other,
    }
}

fn decoded(text: &str, depth: usize) -> Option<Node> {
    let depth = depth.checked_sub(1)?;
    let text = text.trim();
    if text.starts_with('"') {
        return decoded(&serde_json::from_str::<String>(text).ok()?, depth);
    }
    lenient_json::whole(text).map(|parsed| within(parsed.node, depth))
}

fn is_answer(node: &Node) -> bool {
    matches!(node, Node::List(items) if items.len() > 1) && is_list_of_text(node) || is_named(node)
}

fn is_list_of_text(node: &Node) -> bool {
    matches!(node, Node::List(items) if items.iter().all(|item| matches!(item, Node::Text(_))))
}

fn is_named(node: &Node) -> bool {
    keys::read(node).is_some_and(|reading| reading.rank != Rank::Unnamed)
}
