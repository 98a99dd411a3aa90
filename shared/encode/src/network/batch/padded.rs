//! Rows as a rectangle.

use embtune_tokenize::Tokens;

use crate::network::batch::{Batch, longest};

/// Token ids and mask, i64 `[rows, longest]`; short rows are filled on the right.
pub(crate) fn batch(rows: &[&Tokens], pad_token_id: usize) -> Batch {
    let longest = longest(rows);
    let shape = vec![rows.len(), longest];
    let ids = ids(rows, longest, pad_token_id);
    let longs = vec![("input_ids", ids, shape.clone()), ("attention_mask", mask(rows, longest), shape)];
    Batch { longs, ..Batch::default() }
}

/// Token ids, `[rows, longest]`.
pub(crate) fn ids(rows: &[&Tokens], longest: usize, pad_token_id: usize) -> Vec<i64> {
    let mut ids = Vec::with_capacity(rows.len() * longest);
    for row in rows {
        ids.extend(row.ids.iter().map(|id| i64::from(*id)));
        ids.resize(ids.len() + longest - row.ids.len(), pad_token_id as i64);
    }
    ids
}

/// 1 for tokens, 0 for padding, `[rows, longest]`.
pub(crate) fn mask(rows: &[&Tokens], longest: usize) -> Vec<i64> {
    let line = |row: &&Tokens| {
        let tokens = row.ids.len();
        (0..longest).map(move |place| i64::from(place < tokens))
    };
    rows.iter().flat_map(line).collect()
}
