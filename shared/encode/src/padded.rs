//! A batch of rows as the rectangle that the graph takes.

use embtune_tokenize::Tokens;

/// Token ids and mask, i64 `[rows, longest]`; short rows are filled on the right.
pub(crate) struct Padded {
    pub(crate) input_ids: Vec<i64>,
    pub(crate) attention_mask: Vec<i64>,
    pub(crate) shape: [usize; 2],
}

impl Padded {
    pub(crate) fn new(rows: &[&Tokens], pad_token_id: usize) -> Self {
        let longest = rows.iter().map(|row| row.ids.len()).max().unwrap_or(0);
        let mut input_ids = Vec::with_capacity(rows.len() * longest);
        let mut attention_mask = Vec::with_capacity(rows.len() * longest);
        for row in rows {
            input_ids.extend(row.ids.iter().map(|id| i64::from(*id)));
            attention_mask.extend(row.ids.iter().map(|_| 1_i64));
            let end = input_ids.len() + longest - row.ids.len();
            input_ids.resize(end, pad_token_id as i64);
            attention_mask.resize(end, 0);
        }
        Self { input_ids, attention_mask, shape: [rows.len(), longest] }
    }
}
