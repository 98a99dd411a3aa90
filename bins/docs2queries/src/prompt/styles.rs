//! The mix of kinds of queries.

use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A kind of query: its name on the command line, and its description for the model.
type Style = (&'static str, &'static str);

const STYLES: [Style; 6] = [
    ("question", "a full question, as one would ask a colleague"),
    ("keyword", "keywords, two to six words, no sentence"),
    ("claim", "a short statement that the document confirms"),
    ("exact", "an exact term, name, code, section or paragraph number of the document, with a word or two of context"),
    ("lay", "in the everyday words of somebody who does not know the field's terms"),
    ("typo", "typed in haste: keywords or a question with one or two typing errors"),
];

/// The default mix.
pub(crate) const DEFAULT: &str = "question=4,keyword=2,claim=1,exact=1,lay=1,typo=1";

/// How many queries are asked for in a style.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct StyleCount {
    what: &'static str,
    count: usize,
}

/// How often each style is asked for, as weights.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Styles([f64; STYLES.len()]);

impl Styles {
    /// Parses `question=4,keyword=2`; a style that is not named has weight 0, and one without a number weight 1.
    ///
    /// # Errors
    /// An unknown style, a weight that is not a number, or no weight above 0.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut weights = [0.0; STYLES.len()];
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let (name, weight) = item.split_once('=').unwrap_or((item, "1"));
            let Some(index) = STYLES.iter().position(|(style, _)| *style == name) else {
                let known = STYLES.map(|(name, _)| name).join(", ");
                return Err(format!("unknown style {name:?}: expected {known}"));
            };
            weights[index] = embtune_cli::parse_not_negative(weight)?;
        }
        if weights.iter().sum::<f64>() > 0.0 { Ok(Self(weights)) } else { Err("no style has a weight above 0".into()) }
    }

    /// Distributes `count` queries about a passage with this text over the styles; those without a query are left out.
    ///
    /// By systematic sampling (Madow and Madow 1944), each style gets its share rounded down or up, and over many
    /// passages the mix is that of the weights. The rounding depends on `seed` and `text`, so that the request for the
    /// same text is always the same.
    pub(super) fn distribute(&self, count: usize, seed: u64, text: &str) -> Vec<StyleCount> {
        let start = xxh3_64_with_seed(text.as_bytes(), seed) as f64 / 2f64.powi(64);
        let total: f64 = self.0.iter().sum();
        // Draws are at start, start + 1, …; a style gets those in its part of the interval from 0 to count.
        let draws_before = |share: f64| (share * count as f64 - start).ceil().clamp(0.0, count as f64) as usize;
        let mut end = 0.0;
        let mut before = 0;
        let mut counts = Vec::new();
        for (weight, (_, what)) in self.0.iter().zip(STYLES) {
            end += weight / total;
            let until = if end > 1.0 - 1e-9 { count } else { draws_before(end) };
            if until > before {
                counts.push(StyleCount { what, count: until - before });
            }
            before = until;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_is_parsed() {
        assert_eq!(Styles::parse("question=4, keyword").unwrap().0, [4.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        assert!(Styles::parse(DEFAULT).is_ok());
        assert!(Styles::parse("riddle=1").unwrap_err().contains("question, keyword, claim"));
        for bad in ["", "question=0", "question=x", "question=-1", "question=NaN", "question=inf"] {
            assert!(Styles::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn counts_follow_the_weights() {
        let styles = Styles::parse(DEFAULT).unwrap();
        let counts = |shares: Vec<StyleCount>| shares.iter().map(|share| share.count).collect::<Vec<_>>();
        assert_eq!(counts(styles.distribute(10, 42, "d1")), [4, 2, 1, 1, 1, 1]);
        let mut sums = [0; STYLES.len()];
        for n in 0..10_000 {
            let shares = styles.distribute(3, 42, &format!("d{n}"));
            assert_eq!(shares.iter().map(|share| share.count).sum::<usize>(), 3);
            for StyleCount { what, count } in shares {
                sums[STYLES.iter().position(|(_, other)| *other == what).unwrap()] += count;
            }
        }
        for (sum, weight) in sums.iter().zip(styles.0) {
            assert!((*sum as f64 - 3000.0 * weight).abs() < 200.0, "{sums:?}");
        }
        assert_eq!(counts(Styles::parse("typo").unwrap().distribute(5, 1, "d")), [5]);
        assert_eq!(styles.distribute(3, 42, "d1"), styles.distribute(3, 42, "d1"));
    }
}
