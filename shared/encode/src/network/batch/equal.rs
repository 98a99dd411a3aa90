//! Rows of one length.

use embtune_tokenize::Tokens;

use crate::network::batch::{Batch, longest};

/// Token ids, i64 `[rows, length]`.
pub(crate) fn batch(rows: &[&Tokens]) -> Batch {
    let ids: Vec<i64> = rows.iter().flat_map(|row| &row.ids).map(|id| i64::from(*id)).collect();
    Batch { longs: vec![("input_ids", ids, vec![rows.len(), longest(rows)])], ..Batch::default() }
}
