//! What a list puts around its queries: quotes, emphasis, labels.

/// What may stand around each item of a list: one of a kind around each.
const AROUND: [&[(&str, &str)]; 4] = [
    &[("**", "**")],
    &[("*", "*")],
    &[("`", "`")],
    &[("\"", "\""), ("'", "'"), ("“", "”"), ("„", "“"), ("‘", "’"), ("«", "»"), ("「", "」")],
];
/// Names of the kinds of queries that are asked for.
const KINDS: [&str; 15] = [
    "term",
    "natural",
    "question",
    "keyword",
    "keywords",
    "claim",
    "statement",
    "exact",
    "exact term",
    "lay",
    "layman",
    "typo",
    "query",
    "search query",
    "q",
];

/// The items without what all of them wear, and without labels of their kind.
pub(super) fn undressed(items: Vec<String>) -> Vec<String> {
    let items: Vec<&str> = items.iter().map(|item| without_label(item.trim())).collect();
    let items = without_citations(without_symbol(items));
    let plain = items.iter().map(|item| explained(item)).collect::<Option<Vec<&str>>>().unwrap_or(items);
    let mut items: Vec<String> = plain.into_iter().map(without_emphasis).collect();
    let undress = |items: &[String], kind: &[(&str, &str)]| {
        let inner =
            |item: &String| kind.iter().find_map(|around| inside(item, around)).map(|inner| inner.trim().to_owned());
        items.iter().map(inner).collect::<Option<Vec<String>>>().filter(|items| !items.is_empty())
    };
    while let Some(inner) = AROUND.iter().find_map(|kind| undress(&items, kind)) {
        items = inner;
    }
    items
}

/// Whether a text says no more than of what kind a query is.
pub(super) fn is_kind(label: &str) -> bool {
    let label = label.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    KINDS.contains(&label.as_str())
}

/// Queries without citations and labels of their kind, when all of them, which are strings of a list, have one.
pub(super) fn unlabelled(queries: Vec<String>) -> Vec<String> {
    let queries: Vec<String> =
        without_citations(queries.iter().map(String::as_str).collect()).into_iter().map(str::to_owned).collect();
    let is_labelled = |query: &String| without_label(query) != query.as_str();
    if queries.len() < 2 || !queries.iter().all(is_labelled) {
        return queries;
    }
    queries.iter().map(|query| without_label(query).to_owned()).collect()
}

/// The items without the symbol, such as an emoji or the `>` of a quotation, that all of them begin with.
fn without_symbol(items: Vec<&str>) -> Vec<&str> {
    let symbol = items.first().and_then(|item| item.split_once(' ')).map_or("", |(first, _)| first);
    let is_word = symbol.is_empty() || symbol.contains(|c: char| c.is_ascii() || c.is_alphanumeric());
    if items.len() < 2 || is_word && symbol != ">" {
        return items;
    }
    let plain = items.iter().map(|item| item.strip_prefix(symbol)?.strip_prefix(' ').map(str::trim)).collect();
    Option::unwrap_or(plain, items)
}

/// The items without the number of a source, as in `what is a lease? [1]`, when all of them end with one.
fn without_citations(items: Vec<&str>) -> Vec<&str> {
    fn without(item: &str) -> Option<&str> {
        let of = |open: char, close: char| item.trim_end_matches('.').strip_suffix(close)?.rsplit_once(open);
        let wide = of('【', '】');
        let (rest, number) = wide.or_else(|| of('[', ']'))?;
        let is_number = (1..=2).contains(&number.len()) && number.chars().all(|c| c.is_ascii_digit());
        let is_text = wide.is_some() || rest.ends_with(|c: char| c.is_whitespace() || "?!.。？！".contains(c));
        (is_number && is_text && rest.contains(char::is_alphanumeric)).then(|| rest.trim_end())
    }
    if items.len() < 2 {
        return items;
    }
    items.iter().map(|item| without(item)).collect::<Option<Vec<&str>>>().unwrap_or(items)
}

/// The query of an item that sets it off from what is said of it: `**lease term** – asks for the time`.
fn explained(item: &str) -> Option<&str> {
    let (query, rest) = [("**", "**"), ("\"", "\""), ("“", "”")]
        .iter()
        .find_map(|(open, close)| item.strip_prefix(open)?.split_once(close))?;
    let rest = rest.trim_start();
    (!query.is_empty() && ["– ", "— ", "- ", "(", "→ "].iter().any(|mark| rest.starts_with(mark))).then_some(query)
}

/// What stands between two marks that are the first and the last of a text, and not two pairs of them.
fn inside<'a>(item: &'a str, (open, close): &(&str, &str)) -> Option<&'a str> {
    let is_quote = !matches!(*open, "**" | "*" | "`");
    let item = if is_quote { item.trim_end_matches([',', '，', ';']) } else { item };
    let inner = item.strip_prefix(open)?.strip_suffix(close)?;
    let is_pair = open != close || !inner.contains(open) || has_pairs_inside(inner, open);
    (!inner.is_empty() && is_pair).then_some(inner)
}

/// Whether marks inside of others come in pairs that open after a gap: `"what does "a" mean"`, not `"a" or "b"`.
fn has_pairs_inside(inner: &str, mark: &str) -> bool {
    let mut marks = inner.match_indices(mark);
    let opens = |at: usize| at == 0 || inner[..at].ends_with(|c: char| c.is_whitespace() || c == '(');
    let mut count = 0;
    let is_nested = marks.all(|(at, _)| {
        count += 1;
        opens(at) == (count % 2 == 1)
    });
    is_nested && count % 2 == 0
}

/// The text without its kind: `**Question:** …`, `Keyword: …`, `[claim] …`, `… (typo)`.
fn without_label(item: &str) -> &str {
    if let Some((label, rest)) = item.strip_prefix("**").and_then(|rest| rest.split_once("**")) {
        let colon = rest.trim_start().strip_prefix([':', '：']).or(label.ends_with([':', '：']).then_some(rest));
        if let Some(rest) = colon.map(str::trim).filter(|rest| !rest.is_empty()) {
            return rest;
        }
    }
    // The emphasis began before the number.
    if let Some((label, rest)) =
        item.split_once(":**").filter(|(label, rest)| !label.contains("**") && !rest.contains("**"))
        && !rest.trim().is_empty()
        && label.split_whitespace().count() < 4
    {
        return rest.trim();
    }
    if let Some((label, rest)) = item.split_once([':', '：'])
        && is_kind(label)
        && !rest.trim().is_empty()
    {
        return rest.trim();
    }
    for (open, close) in [('(', ')'), ('[', ']'), ('（', '）'), ('【', '】')] {
        let ends = item.trim_end_matches(['*', '_']);
        if let Some((rest, label)) = ends.strip_suffix(close).and_then(|rest| rest.rsplit_once(open))
            && is_kind(label)
        {
            return rest.trim_end_matches(['*', '_']).trim_end();
        }
        if let Some((label, rest)) = item.strip_prefix(open).and_then(|rest| rest.split_once(close))
            && is_kind(label)
        {
            return rest.trim_start_matches([':', ' ']);
        }
    }
    item
}

/// The text without pairs of `**` around some of its words.
fn without_emphasis(item: &str) -> String {
    let mut text = String::with_capacity(item.len());
    let mut rest = item;
    while let Some(start) = rest.find("**") {
        let (before, inner) = (&rest[..start], &rest[start + 2..]);
        let opens = before.is_empty() || before.ends_with(|c: char| !c.is_alphanumeric());
        let end = inner.find("**").filter(|end| *end > 0 && !inner.starts_with(' ') && !inner[..*end].ends_with(' '));
        let after = end.map(|end| &inner[end + 2..]);
        match end.zip(after) {
            Some((end, after)) if opens && !after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '*') => {
                text.extend([before, &inner[..end]]);
                rest = after;
            }
            _ => {
                text.extend([before, "**"]);
                rest = inner;
            }
        }
    }
    text.push_str(rest);
    // What emphasised a number with its item is left with its end.
    if text.matches("**").count() == 1 && text.ends_with("**") { text.trim_end_matches('*').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_items_wear_is_gone() {
        let of = |items: &[&str]| undressed(items.iter().map(|item| (*item).to_owned()).collect());
        for items in [
            ["\"lease\"", "\"what does \"notice\" mean\""],
            ["\"lease\",", "\"what does \"notice\" mean\""],
            ["**lease**", "**what does \"notice\" mean**"],
            ["**\"lease\"**", "**\"what does \"notice\" mean\"**"],
            ["`lease`", "`what does \"notice\" mean`"],
            ["*lease*", "*what does \"notice\" mean*"],
            ["**Keyword:** lease", "**Question**: what does \"notice\" mean"],
            ["Keyword: lease", "Q: what does \"notice\" mean"],
            ["lease (keyword)", "[question] what does \"notice\" mean"],
            ["**lease**", "what does **\"notice\"** mean"],
            ["**lease** – a term", "**what does \"notice\" mean** - a question"],
            ["'lease'", "\"what does \"notice\" mean\""],
        ] {
            assert_eq!(of(&items), ["lease", "what does \"notice\" mean"], "{items:?}");
        }
        for items in [
            ["\"lease\" or \"rent\"", "\"a\""],
            ["\"lease\"", "rent"],
            ["2**3**4", "**kwargs and **args"],
            ["`a` and `b`", "`c`"],
        ] {
            assert_eq!(of(&items), items);
        }
    }
}
