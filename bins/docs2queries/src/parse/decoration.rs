//! Decoration that models put around the queries of a list: quotes, emphasis, labels, citations.

use super::key_names::is_kind_label;

/// Pairs of marks around an item; all items of a list have a pair of the same kind.
const PAIRS: [&[(&str, &str)]; 4] = [
    &[("**", "**")],
    &[("*", "*")],
    &[("`", "`")],
    &[("\"", "\""), ("'", "'"), ("“", "”"), ("„", "“"), ("‘", "’"), ("«", "»"), ("「", "」")],
];

/// The items without the marks that are around all of them, and without labels such as `Keyword:`.
pub(super) fn undecorated(items: Vec<String>) -> Vec<String> {
    let items: Vec<&str> = items.iter().map(|item| without_label(item.trim())).collect();
    let items = without_citations(without_symbol(items));
    let mut items: Vec<String> = if_all(items, explained).into_iter().map(without_emphasis).collect();
    let undecorate = |items: &[String], kind: &[(&str, &str)]| {
        let inner =
            |item: &String| kind.iter().find_map(|around| inside(item, around)).map(|inner| inner.trim().to_owned());
        items.iter().map(inner).collect::<Option<Vec<String>>>().filter(|items| !items.is_empty())
    };
    while let Some(inner) = PAIRS.iter().find_map(|kind| undecorate(&items, kind)) {
        items = inner;
    }
    items
}

/// Strings of a list without citations and labels, if all of them have one.
pub(super) fn unlabelled(queries: &[String]) -> Vec<String> {
    let mut items = without_citations(queries.iter().map(String::as_str).collect());
    if items.len() > 1 {
        items = if_all(items, |item| Some(without_label(item)).filter(|rest| *rest != item));
    }
    items.into_iter().map(str::to_owned).collect()
}

/// The items without the symbol at their beginning, such as an emoji or the `>` of a quotation, if all have the same.
fn without_symbol(items: Vec<&str>) -> Vec<&str> {
    let symbol = items.first().and_then(|item| item.split_once(' ')).map_or("", |(first, _)| first);
    let is_word = symbol.is_empty() || symbol.contains(|c: char| c.is_ascii() || c.is_alphanumeric());
    if items.len() < 2 || is_word && symbol != ">" {
        return items;
    }
    if_all(items, |item| item.strip_prefix(symbol)?.strip_prefix(' ').map(str::trim))
}

/// The items without the citation at their end, as in `what is a lease? [1]`, if all have one.
fn without_citations(items: Vec<&str>) -> Vec<&str> {
    fn without(item: &str) -> Option<&str> {
        let of = |open: char, close: char| item.trim_end_matches('.').strip_suffix(close)?.rsplit_once(open);
        let wide = of('【', '】');
        let (rest, number) = wide.or_else(|| of('[', ']'))?;
        let is_number = (1..=2).contains(&number.len()) && number.chars().all(|c| c.is_ascii_digit());
        let is_text = wide.is_some() || rest.ends_with(|c: char| c.is_whitespace() || "?!.。？！".contains(c));
        (is_number && is_text && rest.contains(char::is_alphanumeric)).then(|| rest.trim_end())
    }
    if items.len() < 2 { items } else { if_all(items, without) }
}

/// The items after a change that all of them allow; otherwise the items as they are.
fn if_all<'a>(items: Vec<&'a str>, change: impl Fn(&'a str) -> Option<&'a str>) -> Vec<&'a str> {
    items.iter().map(|item| change(item)).collect::<Option<Vec<&str>>>().unwrap_or(items)
}

/// The query of an item that continues with an explanation: `**lease term** – asks for the duration`.
fn explained(item: &str) -> Option<&str> {
    let (query, rest) = [("**", "**"), ("\"", "\""), ("“", "”")]
        .iter()
        .find_map(|(open, close)| item.strip_prefix(open)?.split_once(close))?;
    let rest = rest.trim_start();
    (!query.is_empty() && ["– ", "— ", "- ", "(", "→ "].iter().any(|mark| rest.starts_with(mark))).then_some(query)
}

/// The text between two marks at its beginning and its end, if they belong together.
fn inside<'a>(item: &'a str, (open, close): &(&str, &str)) -> Option<&'a str> {
    let is_quote = !matches!(*open, "**" | "*" | "`");
    let item = if is_quote { item.trim_end_matches([',', '，', ';']) } else { item };
    let inner = item.strip_prefix(open)?.strip_suffix(close)?;
    let is_pair = open != close || !inner.contains(open) || has_pairs_inside(inner, open);
    (!inner.is_empty() && is_pair).then_some(inner)
}

/// Whether the marks inside a text are pairs that open after a gap: `"what does "a" mean"`, but not `"a" or "b"`.
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

/// The text without the label of its kind: `**Question:** …`, `Keyword: …`, `[claim] …`, `… (typo)`.
fn without_label(item: &str) -> &str {
    if let Some((label, rest)) = item.strip_prefix("**").and_then(|rest| rest.split_once("**")) {
        let colon = rest.trim_start().strip_prefix([':', '：']).or(label.ends_with([':', '：']).then_some(rest));
        if let Some(rest) = colon.map(str::trim).filter(|rest| !rest.is_empty()) {
            return rest;
        }
    }
    // The emphasis began before the number, which is gone.
    if let Some((label, rest)) =
        item.split_once(":**").filter(|(label, rest)| !label.contains("**") && !rest.contains("**"))
        && !rest.trim().is_empty()
        && label.split_whitespace().count() < 4
    {
        return rest.trim();
    }
    if let Some((label, rest)) = item.split_once([':', '：'])
        && is_kind_label(label)
        && !rest.trim().is_empty()
    {
        return rest.trim();
    }
    for (open, close) in [('(', ')'), ('[', ']'), ('（', '）'), ('【', '】')] {
        let ends = item.trim_end_matches(['*', '_']);
        if let Some((rest, label)) = ends.strip_suffix(close).and_then(|rest| rest.rsplit_once(open))
            && is_kind_label(label)
        {
            return rest.trim_end_matches(['*', '_']).trim_end();
        }
        if let Some((label, rest)) = item.strip_prefix(open).and_then(|rest| rest.split_once(close))
            && is_kind_label(label)
        {
            return rest.trim_start_matches([':', ' ']);
        }
    }
    item
}

/// The text without the pairs of `**` around some of its words.
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
    // The end of an emphasis that began before the item's number.
    if text.matches("**").count() == 1 && text.ends_with("**") { text.trim_end_matches('*').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoration_of_all_items_is_removed() {
        let of = |items: &[&str]| undecorated(items.iter().map(|item| (*item).to_owned()).collect());
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
