//! Negatives that cannot be used.

use std::collections::HashSet;

use embtune_records::Pair;
use embtune_text::is_blank;

/// Why a negative is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Blank,
    /// It equals a positive of the record.
    Positive,
    /// It equals an earlier negative of the pair.
    Repeated,
}

impl Fault {
    pub(crate) const ALL: [Self; 3] = [Self::Blank, Self::Positive, Self::Repeated];

    /// A description of the fault, to follow a number.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Blank => "blank",
            Self::Positive => "the same as a positive",
            Self::Repeated => "repeated",
        }
    }
}

/// Removes unusable negatives from the pairs of a record, and counts them by fault.
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
                    (!seen.insert(text.as_str())).then_some(Fault::Repeated)
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
    fn blank_repeated_and_positive_negatives_are_removed() {
        let mut pairs = [pair("a", &["n", " \t\u{200b}", "b", "n", "m"]), pair("b", &["a", "", "m"])];
        assert_eq!(clean(&mut pairs), [2, 2, 1]);
        assert_eq!(
            (&pairs[0].negatives[..], &pairs[1].negatives[..]),
            (&["n".into(), "m".into()][..], &["m".into()][..])
        );
        assert_eq!(pairs[0].scores, Some(vec![0.0, 1.0, 5.0]), "scores go with their texts");
    }

    #[test]
    fn faults_index_their_counts() {
        assert!(Fault::ALL.into_iter().enumerate().all(|(place, fault)| fault as usize == place));
    }
}
