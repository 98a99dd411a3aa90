//! Warnings about the data as a whole, which are collected pair by pair and given at the end.

use std::collections::BTreeMap;

use embtune_cli::counted;
use embtune_records::Pair;

/// Fields that mine-negatives writes besides texts, ids and scores.
const MINED: [&str; 2] = ["positive_rank", "negative_ranks"];
/// Names of ignored fields that the warning lists.
const MOST_NAMES: usize = 5;

/// Pairs whose texts an earlier pair has with another label or score: one of them is wrong.
#[derive(Debug, Default)]
pub(crate) struct Contradictions {
    count: u64,
    /// A description of the first one.
    first: Option<String>,
}

impl Contradictions {
    /// Counts a contradiction; only the first one is described.
    pub(crate) fn note(&mut self, describe: impl FnOnce() -> String) {
        self.count += 1;
        self.first.get_or_insert_with(describe);
    }

    /// Adds contradictions that were found later.
    pub(crate) fn add(&mut self, later: Self) {
        self.count += later.count;
        self.first = self.first.take().or(later.first);
    }

    /// The warning, if there are any.
    pub(crate) fn warning(&self) -> Option<String> {
        let first = self.first.as_ref()?;
        let pairs = counted(self.count, "pair contradicts", "pairs contradict");
        Some(format!(
            "{pairs} an earlier one: the same texts with a different label or score ({first})\n\
             hint: the shard has all of them; remove the wrong ones"
        ))
    }
}

/// Fields that are not read although they look like data. Other unknown fields are fine: records may hold anything.
#[derive(Debug, Default)]
pub(crate) struct IgnoredFields(BTreeMap<String, u64>);

impl IgnoredFields {
    /// Counts the fields of a pair.
    pub(crate) fn take(&mut self, pair: &Pair) {
        for (name, value) in pair.rest.iter().filter(|(name, _)| is_data(name)) {
            if value.is_null() {
                continue;
            }
            if let Some(count) = self.0.get_mut(name) {
                *count += 1;
            } else if self.0.len() < MOST_NAMES {
                self.0.insert(name.to_owned(), 1);
            }
        }
    }

    /// The warning, if there is any such field.
    pub(crate) fn warning(&self) -> Option<String> {
        let named = |(name, count): (&String, &u64)| format!("\"{name}\" ({})", counted(*count, "pair", "pairs"));
        let names: Vec<String> = self.0.iter().map(named).collect();
        (!names.is_empty()).then(|| {
            format!(
                "fields that look like texts, labels or scores are ignored: {}\n\
                 hint: embtune-formats(5) lists the fields of pairs",
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
    fn only_fields_that_look_like_data_are_reported() {
        let mut ignored = IgnoredFields::default();
        let pair = |names: &[&str]| {
            let mut rest = Object::new();
            names.iter().for_each(|name| rest.insert(*name, "x"));
            Pair { rest, ..Pair::default() }
        };
        ignored.take(&pair(&["lang", "chunk", "positive_rank", "negative_ranks", "position", "type", "dropped"]));
        assert_eq!(ignored.warning(), None);
        ignored.take(&pair(&["hard_negatives", "label"]));
        ignored.take(&pair(&["hard_negatives", "pos_ids"]));
        let warning = ignored.warning().unwrap();
        let names = r#"are ignored: "hard_negatives" (2 pairs), "label" (1 pair), "pos_ids" (1 pair)"#;
        assert!(warning.contains(names), "{warning}");
    }

    #[test]
    fn the_first_contradiction_is_described() {
        let mut all = Contradictions::default();
        assert_eq!(all.warning(), None);
        all.note(|| "a".into());
        assert!(all.warning().unwrap().starts_with("1 pair contradicts an earlier one: "));
        let mut later = Contradictions::default();
        later.note(|| "b".into());
        all.add(later);
        let warning = all.warning().unwrap();
        assert!(warning.starts_with("2 pairs contradict an earlier one") && warning.contains("(a)"), "{warning}");
    }
}
