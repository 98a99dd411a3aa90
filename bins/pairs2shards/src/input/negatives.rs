//! Negatives that cannot be any.

use std::collections::HashSet;

use embtune_records::Pair;
use embtune_text::is_blank;

/// Why a negative is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Blank,
    /// It is the pair's positive, or another one of the same record.
    Positive,
    /// It is among the pair's negatives already.
    Double,
}

impl Fault {
    pub(crate) const ALL: [Self; 3] = [Self::Blank, Self::Positive, Self::Double];

    /// How the notice calls it, after a number.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Blank => "blank",
            Self::Positive => "the same as a positive",
            Self::Double => "repeated",
        }
    }
}

/// Takes negatives that are none out of the pairs of a record, and counts them by fault.
pub(crate) fn clean(pairs: &mut [Pair]) -> [u64; Fault::ALL.len()] {
    let mut counts = [0; Fault::ALL.len()];
    let positives: Vec<String> = pairs.iter().map(|pair| pair.positive.clone()).collect();
    for pair in pairs {
        let mut seen = HashSet::new();
        let faults: Vec<Option<Fault>> = pair
            .negatives
            .iter()
            .map(|text| {
                if is_blank(text) {
                    Some(Fault::Blank)
                } else if positives.contains(text) {
                    Some(Fault::Positive)
                } else {
                    (!seen.insert(text.as_str())).then_some(Fault::Double)
                }
            })
            .collect();
        faults.iter().flatten().for_each(|fault| counts[*fault as usize] += 1);
        pair.retain_negatives(|_, index| faults[index].is_none());
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(positive: &str, negatives: &[&str]) -> Pair {
        Pair {
            anchor: "q".into(),
            positive: positive.into(),
            negatives: negatives.iter().map(|text| (*text).to_owned()).collect(),
            scores: Some((0..=negatives.len()).map(|score| score as f64).collect()),
            ..Pair::default()
        }
    }

    #[test]
    fn a_negative_says_something_else_than_the_answers() {
        let mut pairs = [pair("a", &["n", " \t\u{200b}", "b", "n", "m"]), pair("b", &["a", "", "m"])];
        assert_eq!(clean(&mut pairs), [2, 2, 1]);
        assert_eq!(
            (&pairs[0].negatives[..], &pairs[1].negatives[..]),
            (&["n".into(), "m".into()][..], &["m".into()][..])
        );
        assert_eq!(pairs[0].scores, Some(vec![0.0, 1.0, 5.0]), "scores go with their texts");
    }

    #[test]
    fn every_fault_has_its_place() {
        assert!(Fault::ALL.into_iter().enumerate().all(|(place, fault)| fault as usize == place));
    }
}
