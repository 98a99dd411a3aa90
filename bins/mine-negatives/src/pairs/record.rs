//! The fields that mining writes.

use embtune_records::{Pair, shortest_decimal};
use serde_json::{Value, json};

use crate::choice::look::Candidate;
use crate::choice::reason::Reason;
use crate::corpus::Corpus;

/// Where the positive stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) score: f32,
    pub(crate) rank: Option<usize>,
}

/// Puts the negatives, and all that was found, into a pair.
///
/// # Errors
/// Texts that cannot be read.
pub(crate) fn fill(
    pair: &mut Pair,
    positive: Place,
    negatives: &[Candidate],
    dropped: &[(Candidate, Reason)],
    corpus: &Corpus,
) -> anyhow::Result<()> {
    let documents: Vec<_> =
        negatives.iter().map(|negative| corpus.document(negative.row)).collect::<anyhow::Result<_>>()?;
    pair.negatives = documents.iter().map(|document| document.full_text().into_owned()).collect();
    let ids: Vec<String> = documents.iter().map(|document| document.id().to_owned()).collect();
    let groups: Vec<String> = documents.iter().map(|document| document.group_or_id().into_owned()).collect();
    pair.negative_groups = (groups != ids).then_some(groups);
    pair.negative_ids = Some(ids);
    let scores = [positive.score].into_iter().chain(negatives.iter().map(|negative| negative.score));
    pair.scores = Some(scores.map(shortest_decimal).collect());
    let dropped = dropped.iter().map(|(candidate, reason)| {
        let Candidate { row, rank, score } = *candidate;
        json!({"id": corpus.vectors.id(row), "rank": rank, "score": shortest_decimal(score), "reason": reason.name()})
    });
    for (field, value) in [
        ("positive_rank", Value::from(positive.rank)),
        ("negative_ranks", negatives.iter().map(|negative| Value::from(negative.rank)).collect()),
        ("dropped", dropped.collect()),
    ] {
        pair.rest.insert(field, value);
    }
    Ok(())
}
