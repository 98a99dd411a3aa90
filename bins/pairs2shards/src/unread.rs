//! Fields that are not read, and look as if they should be.

use std::collections::BTreeMap;

use embtune_records::Pair;

/// What mine-negatives writes besides texts, ids and scores.
const MINED: [&str; 2] = ["positive_rank", "negative_ranks"];
/// Names that are remembered, and said.
const MOST: usize = 5;

/// Counts pairs by the names of such fields. Other fields are nobody's business: records may hold anything.
#[derive(Debug, Default)]
pub(crate) struct Unread(BTreeMap<String, u64>);

impl Unread {
    /// Looks at a pair.
    pub(crate) fn take(&mut self, pair: &Pair) {
        for (name, value) in pair.rest.iter().filter(|(name, _)| is_data(name)) {
            if value.is_null() {
                continue;
            }
            if let Some(count) = self.0.get_mut(name) {
                *count += 1;
            } else if self.0.len() < MOST {
                self.0.insert(name.to_owned(), 1);
            }
        }
    }

    /// The warning, if there is any such field.
    pub(crate) fn warning(&self) -> Option<String> {
        let names: Vec<String> = self.0.iter().map(|(name, count)| format!("\"{name}\" ({count} pairs)")).collect();
        (!names.is_empty()).then(|| {
            format!(
                "fields that look like texts, labels or scores but are not read: {}\n\
                 hint: embtune-formats(5) names the fields of pairs",
                names.join(", ")
            )
        })
    }
}

fn is_data(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let is_alike = ["negative", "positive"].iter().any(|part| lower.contains(part))
        || ["label", "labels", "score", "neg", "pos", "negs"].contains(&&*lower)
        || ["neg_", "pos_"].iter().any(|start| lower.starts_with(start));
    is_alike && !MINED.contains(&name)
}

#[cfg(test)]
mod tests {
    use embtune_records::Object;

    use super::*;

    #[test]
    fn only_what_looks_like_data_is_said() {
        let mut unread = Unread::default();
        let pair = |names: &[&str]| Pair {
            rest: Object::from_iter(names.iter().map(|name| ((*name).to_owned(), "x".into()))),
            ..Pair::default()
        };
        unread.take(&pair(&["lang", "chunk", "positive_rank", "negative_ranks", "position", "type", "dropped"]));
        assert_eq!(unread.warning(), None);
        unread.take(&pair(&["hard_negatives", "label"]));
        unread.take(&pair(&["hard_negatives", "pos_ids"]));
        let warning = unread.warning().unwrap();
        let names = r#"not read: "hard_negatives" (2 pairs), "label" (1 pairs), "pos_ids" (1 pairs)"#;
        assert!(warning.contains(names), "{warning}");
    }
}
