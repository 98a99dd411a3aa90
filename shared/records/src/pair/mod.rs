//! Training pairs.

mod read;
#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::{Field, Object};

/// A query with a text that answers it and, optionally, texts that do not.
///
/// A record has one pair for each of its positives, so records are read as `Vec<Pair>`.
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
    /// Parents of these documents, as many as there are negatives; a document without a parent has its own id here.
    pub negative_groups: Option<Vec<String>>,
    /// Score of the positive, then of each negative; finite, also as f32.
    pub scores: Option<Vec<f64>>,
    /// The parent document: splits and in-batch masking go by it.
    pub group: Option<String>,
    /// The prompt before the query, if the pair has its own.
    pub query_prompt: Option<String>,
    /// All other fields.
    pub rest: Object,
}

impl Pair {
    /// Whether the pair's label, or a score of 0, says that its "positive" does not answer the query.
    pub fn is_no_answer(&self) -> bool {
        self.scores.as_deref().is_some_and(|scores| scores.first() == Some(&0.0) && self.negatives.is_empty())
    }

    /// The record to write: canonical fields first, then the others as they were read.
    pub fn to_object(&self) -> Object {
        let mut object = Object::new();
        let mut put = |name: &str, value: Option<Field>| {
            if let Some(value) = value {
                object.insert(name, value);
            }
        };
        let text = |text: &Option<String>| text.as_deref().map(Field::from);
        let list = |texts: &Option<Vec<String>>| texts.clone().map(|texts| Value::from(texts).into());
        put("anchor", Some(self.anchor.as_str().into()));
        put("positive", Some(self.positive.as_str().into()));
        put("negatives", (!self.negatives.is_empty()).then(|| Value::from(self.negatives.clone()).into()));
        put("anchor_id", text(&self.anchor_id));
        put("positive_id", text(&self.positive_id));
        put("negative_ids", list(&self.negative_ids));
        put("negative_groups", list(&self.negative_groups));
        put("scores", self.scores.clone().map(|scores| Value::from(scores).into()));
        put("group", text(&self.group));
        put("query_prompt", text(&self.query_prompt));
        object.0.extend(self.rest.0.clone());
        object
    }

    /// The key for splits and masks: the group, else the positive's id.
    pub fn group_or_positive_id(&self) -> Option<&str> {
        self.group.as_deref().or(self.positive_id.as_deref())
    }

    /// The key of a negative: its group, else its id.
    pub fn negative_group_or_id(&self, index: usize) -> Option<&str> {
        [&self.negative_groups, &self.negative_ids]
            .into_iter()
            .find_map(|names| names.as_ref()?.get(index).map(String::as_str))
    }

    /// Removes the negatives whose index `keep` rejects, with their ids, groups and scores.
    pub fn retain_negatives(&mut self, mut keep: impl FnMut(&Self, usize) -> bool) {
        let kept: Vec<bool> = (0..self.negatives.len()).map(|index| keep(self, index)).collect();
        if kept.iter().all(|kept| *kept) {
            return;
        }
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

fn retain<T>(items: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    items.retain(|_| kept.next() == Some(&true));
}
