//! Merging the rows of one pair.

use std::collections::{HashMap, HashSet};

use embtune_records::{Location, Pair, ReadError};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::negatives::Fault;
use crate::warnings::Contradictions;

/// Rows of a batch for each of its pairs: many rows of few pairs must not fill the memory.
const ROWS_A_PAIR: usize = 8;

/// A row of the input.
#[derive(Debug)]
pub(crate) enum Row {
    /// A pair, with the negatives of the rows that were merged into it.
    Pair(Box<Pair>, Location),
    /// A row whose negatives were added to the pair at the second location.
    Merged(Location, Location),
    /// A row that adds nothing to the earlier rows of the batch.
    Duplicate(Location),
    /// A record that cannot be read.
    Bad(ReadError),
}

/// Rows that are processed together.
///
/// A data set of triplets has a row for each negative of a pair. Rows that have texts, ids, group, prompt and the
/// positive's score in common become one pair with the negatives of all rows, in their order.
#[derive(Debug, Default)]
pub(crate) struct PairBatch {
    pub(crate) rows: Vec<Row>,
    /// Negatives that were dropped, by fault.
    pub(crate) faults: [u64; Fault::ALL.len()],
    /// Index among the rows of each pair, by its [`key`].
    first_rows: HashMap<u64, usize>,
    /// The negatives of each pair, by the index of its row.
    negatives: HashSet<Negative>,
    /// Negatives with two scores.
    pub(crate) contradictions: Contradictions,
    pairs: usize,
}

impl PairBatch {
    /// Whether a row belongs to the next batch: this one has `most` pairs, and the row belongs to none of them.
    ///
    /// Consecutive rows of a pair are in one batch, unless there are many times more of them than pairs in a batch.
    pub(crate) fn ends_before(&self, pair: &Pair, most: usize) -> bool {
        (self.pairs >= most && !self.first_rows.contains_key(&key(pair))) || self.is_full(most)
    }

    /// Whether a batch of `most` pairs has the most rows that it may have.
    pub(crate) fn is_full(&self, most: usize) -> bool {
        self.rows.len() >= most * ROWS_A_PAIR
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, mut pair: Pair, location: Location) {
        let here = self.rows.len();
        let first = *self.first_rows.entry(key(&pair)).or_insert(here);
        let (negatives, contradictions) = (&mut self.negatives, &mut self.contradictions);
        match self.rows.get_mut(first) {
            Some(Row::Pair(merged, first_location)) => {
                pair.retain_negatives(|pair, index| {
                    let [text, scored] = negative_keys(first, pair, index);
                    let (is_new_text, is_new) = (negatives.insert(text), negatives.insert(scored));
                    if is_new && !is_new_text {
                        contradictions
                            .note(|| format!("{location} and {first_location} have different scores for a negative"));
                    }
                    is_new
                });
                let row = if pair.negatives.is_empty() {
                    Row::Duplicate(location)
                } else {
                    Row::Merged(location, first_location.clone())
                };
                add_negatives(merged, pair);
                self.rows.push(row);
            }
            _ => {
                negatives.extend((0..pair.negatives.len()).flat_map(|index| negative_keys(here, &pair, index)));
                self.pairs += 1;
                self.rows.push(Row::Pair(Box::new(pair), location));
            }
        }
    }
}

/// A negative: the index of its pair's row, the hash of its text, and the bits of its score.
type Negative = (usize, u64, Option<u64>);

/// The keys of a negative among those of its pair: without and with its score.
fn negative_keys(row: usize, pair: &Pair, index: usize) -> [Negative; 2] {
    let text = xxh3_64(pair.negatives[index].as_bytes());
    let score = pair.scores.as_ref().map_or(u64::MAX, |scores| scores[1 + index].to_bits());
    [(row, text, None), (row, text, Some(score))]
}

/// Moves the negatives of another row to a pair, with their ids, groups and scores.
fn add_negatives(pair: &mut Pair, other: Pair) {
    pair.negatives.extend(other.negatives);
    for (names, more) in
        [(&mut pair.negative_ids, other.negative_ids), (&mut pair.negative_groups, other.negative_groups)]
    {
        names.as_mut().zip(more).into_iter().for_each(|(names, more)| names.extend(more));
    }
    pair.scores.as_mut().zip(other.scores).into_iter().for_each(|(scores, more)| scores.extend(&more[1..]));
}

/// Hash of the fields that the rows of one pair have in common.
fn key(pair: &Pair) -> u64 {
    let mut hash = Xxh3::new();
    let ids = [&pair.anchor_id, &pair.positive_id, &pair.group, &pair.query_prompt].map(Option::as_deref);
    for text in [Some(&*pair.anchor), Some(&*pair.positive)].into_iter().chain(ids) {
        hash.update(&text.map_or(u64::MAX, |text| text.len() as u64).to_le_bytes());
        hash.update(text.unwrap_or_default().as_bytes());
    }
    // A column has a value for every negative, or for none.
    hash.update(&[pair.negative_ids.is_some().into(), pair.negative_groups.is_some().into()]);
    let score = pair.scores.as_ref().and_then(|scores| scores.first());
    hash.update(&score.map_or([u8::MAX; 8], |score| score.to_le_bytes()));
    hash.digest()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(fields: &str) -> Pair {
        let line = format!("{{\"anchor\":\"q\",\"positive\":\"p\"{fields}}}");
        let mut records = embtune_records::Records::<Vec<Pair>, _>::new("x", line.as_bytes(), 1000);
        records.next().unwrap().unwrap().remove(0)
    }

    fn batch(rows: &[&str]) -> Vec<Row> {
        let mut batch = PairBatch::default();
        for (line, fields) in (1..).zip(rows) {
            batch.push(row(fields), Location { name: "x".into(), line });
        }
        batch.rows
    }

    fn kinds(rows: &[Row]) -> String {
        rows.iter()
            .map(|row| match row {
                Row::Pair(pair, _) => format!("{} ", pair.negatives.join("")),
                Row::Merged(_, first) => format!("->{} ", first.line),
                Row::Duplicate(_) => "duplicate ".into(),
                Row::Bad(_) => "bad ".into(),
            })
            .collect()
    }

    #[test]
    fn rows_of_one_pair_are_merged() {
        let triplets = ["a", "b", "a", "c"].map(|text| format!(",\"negative\":\"{text}\""));
        assert_eq!(kinds(&batch(&triplets.each_ref().map(String::as_str))), "abc ->1 duplicate ->1 ");
        assert_eq!(
            kinds(&batch(&["", ",\"negatives\":[\"b\",\"c\"]", "", ",\"negatives\":[\"c\",\"d\"]"])),
            "bcd ->1 duplicate ->1 "
        );
    }

    #[test]
    fn ids_groups_and_scores_move_with_their_negatives() {
        let rows = batch(&[
            r#","negatives":["a","b"],"negative_ids":[1,2],"negative_groups":["g","g"],"scores":[9,1,2]"#,
            r#","negatives":["b","c"],"negative_ids":[2,3],"negative_groups":["g","h"],"scores":[9,2,3]"#,
        ]);
        let Row::Pair(pair, _) = &rows[0] else { panic!("{rows:?}") };
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(pair.negatives, texts(&["a", "b", "c"]));
        assert_eq!(pair.negative_ids, Some(texts(&["1", "2", "3"])));
        assert_eq!(pair.negative_groups, Some(texts(&["g", "g", "h"])));
        assert_eq!(pair.scores, Some(vec![9.0, 1.0, 2.0, 3.0]));
    }

    #[test]
    fn different_pairs_are_not_merged() {
        let others = [
            "",
            r#","positive_id":"d""#,
            r#","anchor_id":"d""#,
            r#","group":"d""#,
            r#","query_prompt":"d""#,
            r#","label":1"#,
            r#","label":0"#,
            r#","negative":"a","negative_ids":["d"]"#,
        ];
        assert_eq!(kinds(&batch(&others)), "       a ".replace("       ", &" ".repeat(7)));
        assert_eq!(kinds(&batch(&[r#","negative":"a","scores":[1,0]"#, r#","negative":"b","scores":[2,0]"#])), "a b ");
    }

    #[test]
    fn a_batch_ends_between_pairs() {
        let mut batch = PairBatch::default();
        let location = || Location { name: "x".into(), line: 1 };
        batch.push(row(""), location());
        assert!(!batch.ends_before(&row(",\"group\":1"), 2) && batch.ends_before(&row(",\"group\":1"), 1));
        assert!(!batch.ends_before(&row(",\"negative\":\"a\""), 1));
        (1..8).for_each(|_| batch.push(row(""), location()));
        assert!(batch.ends_before(&row(""), 1), "too many rows");
    }
}
