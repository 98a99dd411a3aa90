//! Training pairs, in the column names of sentence-transformers.

use serde_json::Value;

use crate::object::{list, optional_id, optional_number, text};
use crate::{FieldError, Object, Record};

/// A query with a text that answers it and, optionally, texts that do not.
///
/// Also read: `query` for `anchor`; `pos` for `positive`, the first of a list (FlagEmbedding); `negative`,
/// `negative_1`, `negative_2`… and `neg` for `negatives`; without negatives, `score`, `label` or `labels`, a number, for
/// `scores`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pair {
    /// The query.
    pub anchor: String,
    /// A text that answers it.
    pub positive: String,
    /// Texts that do not answer it.
    pub negatives: Vec<String>,
    /// Id of the query.
    pub anchor_id: Option<String>,
    /// Id of the document that the positive comes from.
    pub positive_id: Option<String>,
    /// Ids of the documents that the negatives come from, as many as there are negatives.
    pub negative_ids: Option<Vec<String>>,
    /// The parents of these documents, as many as there are negatives; a document without one is its own.
    pub negative_groups: Option<Vec<String>>,
    /// Score of the positive, then of each negative: finite, also as f32.
    pub scores: Option<Vec<f64>>,
    /// The parent document: splits and in-batch masking go by it.
    pub group: Option<String>,
    /// All other fields.
    pub rest: Object,
}

/// The fields that [`Pair`] names, and those that stand for them.
const KNOWN: [&str; 14] = [
    "anchor",
    "query",
    "positive",
    "pos",
    "negatives",
    "negative",
    "neg",
    "anchor_id",
    "positive_id",
    "negative_ids",
    "negative_groups",
    "scores",
    "group",
    "query_id",
];

/// What sentence-transformers also calls the column of labels.
const LABELS: [&str; 3] = ["score", "label", "labels"];

impl Pair {
    /// The record to write: canonical names first, then the other fields as they were read.
    pub fn to_object(&self) -> Object {
        let mut object = Object::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                object.insert(name.into(), value);
            }
        };
        put("anchor", Some(self.anchor.as_str().into()));
        put("positive", Some(self.positive.as_str().into()));
        put("negatives", (!self.negatives.is_empty()).then(|| self.negatives.clone().into()));
        put("anchor_id", self.anchor_id.clone().map(Value::from));
        put("positive_id", self.positive_id.clone().map(Value::from));
        put("negative_ids", self.negative_ids.clone().map(Value::from));
        put("negative_groups", self.negative_groups.clone().map(Value::from));
        put("scores", self.scores.clone().map(Value::from));
        put("group", self.group.clone().map(Value::from));
        object.extend(self.rest.clone());
        object
    }

    /// What splits and masks go by: the group, else the positive's id.
    pub fn group_or_positive_id(&self) -> Option<&str> {
        self.group.as_deref().or(self.positive_id.as_deref())
    }

    /// The same of a negative.
    pub fn negative_group_or_id(&self, index: usize) -> Option<&str> {
        [&self.negative_groups, &self.negative_ids]
            .into_iter()
            .find_map(|names| names.as_ref()?.get(index).map(String::as_str))
    }

    /// Takes out the negatives that `keep` refuses, by their place, with their ids, groups and scores.
    pub fn retain_negatives(&mut self, keep: impl Fn(&Self, usize) -> bool) {
        let kept: Vec<bool> = (0..self.negatives.len()).map(|index| keep(self, index)).collect();
        retain(&mut self.negatives, &kept);
        for names in [&mut self.negative_ids, &mut self.negative_groups].into_iter().flatten() {
            retain(names, &kept);
        }
        if let Some(scores) = &mut self.scores {
            let negatives = scores.split_off(scores.len().min(1));
            scores.extend(negatives.into_iter().zip(&kept).filter(|(_, kept)| **kept).map(|(score, _)| score));
        }
    }
}

impl Record for Pair {
    fn from_object(object: Object) -> Result<Self, FieldError> {
        let as_text = |value: &Value| value.as_str().map(str::to_owned);
        let positive = match object.get("pos") {
            Some(Value::Array(items)) if !object.contains_key("positive") => items
                .first()
                .and_then(as_text)
                .ok_or_else(|| FieldError("field \"pos\" must be a list of one string or more".into()))?,
            _ => text(&object, &["positive", "pos"])?.to_owned(),
        };
        let mut negatives = Vec::new();
        for name in ["negatives", "neg", "negative"] {
            negatives.extend(list(&object, name, "a list of strings", as_text)?.unwrap_or_default());
        }
        let numbered: Vec<String> =
            (1..).map(|n| format!("negative_{n}")).take_while(|n| object.contains_key(n)).collect();
        for name in &numbered {
            negatives.extend(list(&object, name, "a string", as_text)?.unwrap_or_default());
        }
        let as_id = |value: &Value| match value {
            Value::String(id) => Some(id.clone()),
            Value::Number(id) => Some(id.to_string()),
            _ => None,
        };
        let ids = |name: &str| match list(&object, name, "a list of ids", as_id)? {
            Some(ids) if ids.len() != negatives.len() => {
                Err(FieldError(format!("{} negatives but {} {name}", negatives.len(), ids.len())))
            }
            ids => Ok(ids),
        };
        let (negative_ids, negative_groups) = (ids("negative_ids")?, ids("negative_groups")?);
        let (label, scores) = scores(&object, negatives.len())?.unzip();
        Ok(Self {
            anchor: text(&object, &["anchor", "query"])?.to_owned(),
            positive,
            negatives,
            anchor_id: optional_id(&object, &["anchor_id", "query_id"])?,
            positive_id: optional_id(&object, &["positive_id"])?,
            negative_ids,
            negative_groups,
            scores,
            group: optional_id(&object, &["group"])?,
            rest: object
                .into_iter()
                .filter(|(name, _)| !KNOWN.contains(&name.as_str()) && !numbered.contains(name))
                .filter(|(name, _)| Some(name.as_str()) != label)
                .collect(),
        })
    }
}

fn retain<T>(items: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    items.retain(|_| kept.next() == Some(&true));
}

/// The scores, and the name of the field that they were found in.
fn scores(object: &Object, negatives: usize) -> Result<Option<(&'static str, Vec<f64>)>, FieldError> {
    let found = match list(object, "scores", "a list of numbers", Value::as_f64)? {
        Some(scores) => Some(("scores", scores)),
        // With negatives, of which documents a single number speaks is not said.
        None if negatives > 0 => None,
        None => optional_number(object, &LABELS)?.map(|(name, number)| (name, vec![number])),
    };
    let Some((name, scores)) = &found else { return Ok(None) };
    let expected = 1 + negatives;
    if scores.len() != expected {
        let what = format!("expected {expected} scores (positive, then negatives), found {}", scores.len());
        return Err(FieldError(what));
    }
    match scores.iter().find(|score| !(**score as f32).is_finite()) {
        Some(score) => Err(FieldError(format!("field \"{name}\": {score:e} is too large for a number of 32 bits"))),
        None => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> Result<Pair, String> {
        Pair::from_object(value.as_object().unwrap().clone()).map_err(|error| error.to_string())
    }

    #[test]
    fn other_tools_columns_are_read() {
        let flag = read(json!({"query": "q", "pos": ["p", "p2"], "neg": ["n1", "n2"]})).unwrap();
        let st = read(json!({"anchor": "q", "positive": "p", "negative_1": "n1", "negative_2": "n2"})).unwrap();
        assert_eq!(flag, st);
        assert_eq!(flag.negatives, ["n1", "n2"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(read(json!({"positive": "p"})).unwrap_err(), "no field \"anchor\" or \"query\"");
        assert_eq!(read(json!({"anchor": "q"})).unwrap_err(), "no field \"positive\" or \"pos\"");
        assert!(read(json!({"anchor": "q", "pos": []})).is_err());
        assert!(read(json!({"anchor": "q", "positive": "p", "negatives": [1]})).is_err());
        assert_eq!(
            read(json!({"anchor": "q", "positive": "p", "negatives": ["n"], "negative_ids": []})).unwrap_err(),
            "1 negatives but 0 negative_ids"
        );
        assert!(read(json!({"anchor": "q", "positive": "p", "scores": [1, 2]})).is_err());
    }

    #[test]
    fn a_label_is_the_score_of_a_pair_without_negatives() {
        for name in LABELS {
            let pair = read(json!({"anchor": "q", "positive": "p", name: 0.25, "lang": "de"})).unwrap();
            assert_eq!((&pair.scores, pair.rest.len()), (&Some(vec![0.25]), 1), "{name}");
            assert_eq!(Pair::from_object(pair.to_object()).unwrap(), pair);
        }
        let score = |mut value: Value| {
            value["anchor"] = "q".into();
            value["positive"] = "p".into();
            read(value).unwrap().scores
        };
        assert_eq!(score(json!({"scores": 0.5, "label": 1})), Some(vec![0.5]), "scores come first");
        assert_eq!(score(json!({"score": null, "label": 1})), Some(vec![1.0]), "null is absent");
        // Of what it is the score is not said.
        assert_eq!(score(json!({"negatives": ["n"], "label": 1})), None);
    }

    #[test]
    fn labels_are_finite_numbers() {
        let refusal = |value: Value| {
            let mut record = json!({"anchor": "q", "positive": "p"});
            record.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
            read(record).unwrap_err()
        };
        let message = refusal(json!({"label": "entailment"}));
        assert_eq!(message, "field \"label\" must be a number, found a string");
        assert_eq!(refusal(json!({"labels": [1]})), "field \"labels\" must be a number, found an array");
        let message = refusal(json!({"score": 1e39}));
        assert_eq!(message, "field \"score\": 1e39 is too large for a number of 32 bits");
        let message = refusal(json!({"scores": [1, -1e300], "negatives": ["n"]}));
        assert_eq!(message, "field \"scores\": -1e300 is too large for a number of 32 bits");
        assert!(
            refusal(json!({"scores": [null]})).starts_with("field \"scores\" must be a list of numbers, found null")
        );
    }

    #[test]
    fn a_negative_goes_with_all_that_belongs_to_it() {
        let mut pair = read(json!({
            "anchor": "q", "positive": "p", "negatives": ["a", "b", "c"], "negative_ids": [1, 2, 3],
            "negative_groups": ["g", "g", "h"], "scores": [9, 1, 2, 3],
        }))
        .unwrap();
        assert_eq!(pair.negative_group_or_id(2), Some("h"));
        pair.retain_negatives(|pair, index| pair.negative_ids.as_ref().unwrap()[index] != "2");
        assert_eq!(
            (&pair.negatives[..], &pair.scores),
            (&["a".to_owned(), "c".to_owned()][..], &Some(vec![9.0, 1.0, 3.0]))
        );
        assert_eq!(
            (pair.negative_ids.unwrap(), pair.negative_groups.unwrap()),
            (vec!["1".to_owned(), "3".to_owned()], vec!["g".to_owned(), "h".to_owned()])
        );
        let bare = read(json!({"anchor": "q", "positive": "p", "negatives": ["a"], "negative_ids": [1]})).unwrap();
        assert_eq!((bare.negative_group_or_id(0), bare.negative_group_or_id(1)), (Some("1"), None));
        let message = read(json!({"anchor": "q", "positive": "p", "negatives": ["a"], "negative_groups": []}));
        assert_eq!(message.unwrap_err(), "1 negatives but 0 negative_groups");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            anchor in ".*", positive in ".*", negatives in prop::collection::vec(".*", 0..4),
            id in "[a-z]{1,5}", extra in ".*",
        ) {
            let pair = Pair {
                anchor, positive,
                negative_ids: Some(vec![id.clone(); negatives.len()]),
                negative_groups: Some(vec![id.clone(); negatives.len()]),
                scores: Some(vec![0.5; negatives.len() + 1]),
                negatives, anchor_id: Some(id.clone()), positive_id: None, group: Some(id),
                rest: json!({"extra": extra}).as_object().unwrap().clone(),
            };
            let mut line = Vec::new();
            crate::write_json_line(&pair.to_object(), &mut line).unwrap();
            let back = crate::Records::<Pair, _>::new("x", line.as_slice(), 1 << 20).next().unwrap().unwrap();
            prop_assert_eq!(back, pair);
        }
    }
}
