//! The meanings of a value's keys, however a model spells them.

use crate::text::has_word;

/// Keys of fields beside a query, and of the model's thoughts.
const ASIDE: &str = "analysis answer answers approach category chunk comment comments confidence context description detail \
    difficulty document draft drafts error evidence example explanation explanations format id index \
    instruction instructions intent justification kind label lang language level message metadata no note \
    notes number plan rank rationale reason reasoning refusal relevance response score source status step \
    steps style summary tag tags thinking thought thoughts title topic type usage warning";
/// Keys of a query's text beside a field with its kind, the most likely first.
pub(super) const TEXTS: &str = "text content value string search phrase sentence anchor input";

/// Names of the kinds of queries that are asked for.
const KINDS: &str = "term|natural|question|keyword|keywords|claim|statement|exact|exact term|lay|layman|typo|query|\
    search query|q";

/// Whether a text is only the name of a kind of query.
pub(super) fn is_kind_label(label: &str) -> bool {
    let label = label.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    KINDS.split('|').any(|kind| kind == label)
}

/// Whether a key names something beside a query.
pub(super) fn is_aside(key: &str) -> bool {
    let name = name(key);
    name.is_empty() || has_word(ASIDE, &name)
}

/// Whether an answer may be nested under a key, although a plain text there is not an answer.
pub(super) fn is_wrapper(key: &str) -> bool {
    matches!(name(key).as_str(), "answer" | "response" | "message" | "" | "example")
}

/// Whether a key is the name of a kind of query; `query` itself is not.
pub(super) fn is_kind(key: &str) -> bool {
    let name = name(key);
    !name.ends_with("query") && name != "q" && is_kind_label(&name.replace('_', " "))
}

/// Whether a key names queries: `query`, `searchQuery`, `question_2`, `queries_list`.
pub(super) fn is_query(key: &str) -> bool {
    let name = name(key);
    let name = ["_text", "_texts", "_string", "_list"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
    matches!(name.rsplit('_').next(), Some("query" | "queries" | "question" | "questions"))
}

/// A key in snake case, without a number at its end.
pub(super) fn name(key: &str) -> String {
    let mut name = String::with_capacity(key.len());
    let mut is_small = false;
    for c in key.trim().chars() {
        if c.is_uppercase() && is_small {
            name.push('_');
        }
        is_small = c.is_lowercase();
        if c.is_alphanumeric() { name.extend(c.to_lowercase()) } else { name.push('_') }
    }
    name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_matches('_').to_owned()
}
