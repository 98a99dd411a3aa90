//! Reading pairs from the columns of different tools.

use std::mem;

use crate::object::{find, id, list, missing, optional_id, optional_text, text, wrong};
use crate::{Field, Object, Pair, Record};

const ANCHOR: [&str; 2] = ["anchor", "query"];
const ANCHOR_ID: [&str; 2] = ["anchor_id", "query_id"];
/// With one text, or a list.
const POSITIVE: [&str; 3] = ["positive", "pos", "positives"];
const POSITIVE_ID: [&str; 2] = ["positive_id", "positive_ids"];
/// Besides `negative_1` and so on.
const NEGATIVES: [&str; 3] = ["negatives", "neg", "negative"];
/// Names that sentence-transformers accepts for the column of labels.
const LABELS: [&str; 3] = ["score", "label", "labels"];
/// Names that become fields of a pair, whatever else is in the record.
const OTHERS: [&str; 7] =
    ["negative_ids", "negative_groups", "scores", "pos_scores", "neg_scores", "group", "query_prompt"];

/// The pairs of a record: one for each of its positives, with all of its negatives.
///
/// Also accepted: `query` for `anchor`; `pos` (FlagEmbedding) and `positives` for `positive`, each a text or a list of
/// them; `negative`, `negative_1`, `negative_2`… and `neg` for `negatives`; `pos_scores` with `neg_scores` for
/// `scores`; in a record with one positive and no negatives `score`, `label` or `labels`, a number, for `scores`;
/// beside `pos`, `prompt` for `query_prompt`. In sentence-transformers' labelled lists, `labels` says by 1 and 0 which
/// texts of the list `positive` are answers.
impl Record for Vec<Pair> {
    fn from_object(mut object: Object) -> Result<Self, String> {
        let anchor = text(&object, &ANCHOR)?.to_owned();
        let anchor_id = optional_id(&object, &ANCHOR_ID)?;
        let (name, positive) = find(&object, &POSITIVE).ok_or_else(|| missing(&POSITIVE[..2]))?;
        let is_list = positive.items().is_some();
        let labels = LABELS.into_iter().find(|name| is_list && object.get(name).is_some_and(|it| it.items().is_some()));
        let Texts { positives, positive_ids, negatives, negative_ids, negative_groups, scores, label } = match labels {
            Some(labels) => Texts::labelled(&object, name, labels)?,
            None => Texts::named(&object, name)?,
        };
        let prompt = if name == "pos" { "prompt" } else { "query_prompt" };
        let query_prompt = optional_text(&object, &["query_prompt", prompt])?.filter(|prompt| !prompt.is_empty());
        let (query_prompt, group) = (query_prompt.map(str::to_owned), optional_id(&object, &["group"])?);
        let names = [&ANCHOR[..], &ANCHOR_ID, &POSITIVE, &POSITIVE_ID, &NEGATIVES, &OTHERS, &[prompt]].concat();
        object.0.retain(|name, _| !names.contains(&&**name) && number_of(name).is_none() && label != Some(&**name));
        let mut pairs = Vec::with_capacity(positives.len());
        for (index, positive) in positives.into_iter().enumerate() {
            pairs.push(Pair {
                anchor: anchor.clone(),
                positive,
                negatives: negatives.clone(),
                anchor_id: anchor_id.clone(),
                positive_id: positive_ids.as_ref().map(|ids| ids[index].clone()),
                negative_ids: negative_ids.clone(),
                negative_groups: negative_groups.clone(),
                scores: scores.as_ref().map(|scores| [&scores[0][index..=index], &scores[1]].concat()),
                group: group.clone(),
                query_prompt: query_prompt.clone(),
                rest: object.clone(),
            });
        }
        Ok(pairs)
    }
}

/// The documents of a record, by column.
struct Texts {
    positives: Vec<String>,
    positive_ids: Option<Vec<String>>,
    negatives: Vec<String>,
    negative_ids: Option<Vec<String>>,
    negative_groups: Option<Vec<String>>,
    scores: Option<Scores>,
    /// Which of [`LABELS`] was read.
    label: Option<&'static str>,
}

/// Scores of the positives, and of the negatives.
type Scores = [Vec<f64>; 2];

impl Texts {
    /// Answers and other documents in separate columns; the answers are in the column `name`.
    fn named(object: &Object, name: &str) -> Result<Self, String> {
        let positives = texts(object, name)?;
        if positives.is_empty() {
            return Err(format!("field \"{name}\" must be a list of at least one string"));
        }
        let mut numbered: Vec<&str> = object.iter().map(|(name, _)| name).filter(|n| number_of(n).is_some()).collect();
        numbered.sort_by_key(|name| number_of(name));
        let mut negatives = Vec::new();
        for name in NEGATIVES.into_iter().chain(numbered) {
            negatives.extend(texts(object, name)?);
        }
        let ids = |name| column(object, name, "a list of ids", id, ("negatives", negatives.len()));
        let (negative_ids, negative_groups) = (ids("negative_ids")?, ids("negative_groups")?);
        let (scores, label) = scores(object, positives.len(), negatives.len())?;
        let positive_ids = positive_ids(object, positives.len())?;
        Ok(Self { positives, positive_ids, negatives, negative_ids, negative_groups, scores, label })
    }

    /// Answers and other documents in one column, `name`; the field `label` is 1 for answers and 0 for others.
    fn labelled(object: &Object, name: &str, label: &'static str) -> Result<Self, String> {
        if let Some(other) = object.iter().map(|(name, _)| name).find(|name| {
            (NEGATIVES.contains(name) || number_of(name).is_some()) && object.get(name).is_some_and(|it| !it.is_null())
        }) {
            return Err(format!(
                "field \"{label}\" says which texts of the list \"{name}\" are answers, so there must be no \"{other}\""
            ));
        }
        let documents = texts(object, name)?;
        let count = (name, documents.len());
        let labels = column(object, label, "a list of numbers", Field::as_f64, count)?.unwrap_or_default();
        let scores = column(object, "scores", "a list of numbers", Field::as_f64, count)?;
        check_scores("scores", scores.iter().flatten())?;
        let mut ids = positive_ids(object, documents.len())?;
        let mut texts = Self {
            positives: Vec::new(),
            positive_ids: ids.as_ref().map(|_| Vec::new()),
            negatives: Vec::new(),
            negative_ids: ids.as_ref().map(|_| Vec::new()),
            negative_groups: None,
            scores: None,
            label: Some(label),
        };
        let mut of_each = Scores::default();
        for (index, document) in documents.into_iter().enumerate() {
            let is_answer = match labels[index] {
                1.0 => true,
                0.0 => false,
                other => {
                    return Err(format!("field \"{label}\" of a list must hold 1 and 0 only, found {other}"));
                }
            };
            let (column, id_column, score_column) = if is_answer {
                (&mut texts.positives, &mut texts.positive_ids, &mut of_each[0])
            } else {
                (&mut texts.negatives, &mut texts.negative_ids, &mut of_each[1])
            };
            column.push(document);
            score_column.push(scores.as_ref().map_or(labels[index], |scores| scores[index]));
            if let (Some(column), Some(ids)) = (id_column, &mut ids) {
                column.push(mem::take(&mut ids[index]));
            }
        }
        if texts.positives.is_empty() {
            return Err(format!("field \"{label}\" names no text of the list \"{name}\" as an answer"));
        }
        texts.scores = Some(of_each);
        Ok(texts)
    }
}

/// The number in `negative_1` and so on.
fn number_of(name: &str) -> Option<u32> {
    let number = name.strip_prefix("negative_")?;
    number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse().ok())?
}

/// A text, or a list of texts.
fn texts(object: &Object, name: &str) -> Result<Vec<String>, String> {
    let expected = "a string, or a list of strings";
    Ok(list(object, name, expected, |value| value.as_str().map(str::to_owned))?.unwrap_or_default())
}

/// A column with as many items as there are texts.
fn column<T>(
    object: &Object,
    name: &str,
    expected: &str,
    item: impl Fn(&Field) -> Option<T>,
    (texts, count): (&str, usize),
) -> Result<Option<Vec<T>>, String> {
    match list(object, name, expected, item)? {
        Some(items) if items.len() != count => Err(format!("{count} {texts} but {} {name}", items.len())),
        items => Ok(items),
    }
}

fn positive_ids(object: &Object, positives: usize) -> Result<Option<Vec<String>>, String> {
    let Some((name, value)) = find(object, &POSITIVE_ID) else { return Ok(None) };
    let Some(items) = value.items() else {
        // A single id cannot belong to several texts.
        let id = optional_id(object, &[name])?;
        return match positives {
            1 => Ok(id.map(|id| vec![id])),
            _ => Err(format!("{positives} positives but 1 {name}")),
        };
    };
    if items.len() != positives {
        return Err(format!("{positives} positives but {} {name}", items.len()));
    }
    let mut one = Object::new();
    let ids = items.into_iter().map(|item| {
        let found = wrong(name, "a list of ids", &item);
        one.insert(name, item);
        optional_id(&one, &[name])?.ok_or(found)
    });
    ids.collect::<Result<_, _>>().map(Some)
}

/// The scores, and which of [`LABELS`] they come from.
fn scores(
    object: &Object,
    positives: usize,
    negatives: usize,
) -> Result<(Option<Scores>, Option<&'static str>), String> {
    let numbers = |name: &str| list(object, name, "a list of numbers", Field::as_f64);
    if let Some(scores) = numbers("scores")? {
        if positives > 1 {
            return Err(format!(
                "field \"scores\" beside {positives} positives does not say which of them are answers\n\
                 hint: labels, a list of 1 and 0, tells them apart; pos_scores and neg_scores are the scores of answers and others"
            ));
        }
        let expected = 1 + negatives;
        if scores.len() != expected {
            let plural = if expected == 1 { "" } else { "s" };
            let what = format!("expected {expected} score{plural} (positive, then negatives), found {}", scores.len());
            return Err(what);
        }
        check_scores("scores", &scores)?;
        return Ok((Some([scores[..1].to_vec(), scores[1..].to_vec()]), None));
    }
    let of_positives = numbers("pos_scores")?.filter(|scores| !scores.is_empty());
    let of_negatives = numbers("neg_scores")?.filter(|scores| !scores.is_empty());
    if of_positives.is_some() || of_negatives.is_some() {
        let (of_positives, of_negatives) = (of_positives.unwrap_or_default(), of_negatives.unwrap_or_default());
        for (name, scores, texts, count) in [
            ("pos_scores", &of_positives, "positives", positives),
            ("neg_scores", &of_negatives, "negatives", negatives),
        ] {
            if scores.len() != count {
                return Err(format!("{count} {texts} but {} {name}", scores.len()));
            }
            check_scores(name, scores)?;
        }
        return Ok((Some([of_positives, of_negatives]), None));
    }
    // With several texts, it is unclear which one a single number belongs to.
    if positives > 1 || negatives > 0 {
        return Ok((None, None));
    }
    let Some((name, value)) = find(object, &LABELS) else { return Ok((None, None)) };
    let score = [value.as_f64().ok_or_else(|| wrong(name, "a number", value))?];
    check_scores(name, &score)?;
    Ok((Some([score.to_vec(), Vec::new()]), Some(name)))
}

fn check_scores<'a>(name: &str, scores: impl IntoIterator<Item = &'a f64>) -> Result<(), String> {
    match scores.into_iter().find(|score| !(**score as f32).is_finite()) {
        Some(score) => Err(format!("field \"{name}\": {score:e} is too large for a number of 32 bits")),
        None => Ok(()),
    }
}
