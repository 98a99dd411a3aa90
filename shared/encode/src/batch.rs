//! Rows of tokens as the inputs of a graph, in its [`Layout`](embtune_onnx::Layout).

use embtune_encoders::EncoderConfig;
use embtune_ort_engine::Tensor;
use embtune_tokenize::Tokens;

/// The inputs of a graph: name, elements (row-major) and shape of each.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Batch {
    pub(crate) longs: Vec<(&'static str, Vec<i64>, Vec<usize>)>,
    pub(crate) ints: Vec<(&'static str, Vec<i32>, Vec<usize>)>,
}

impl Batch {
    /// The inputs of [`Layout::Equal`](embtune_onnx::Layout::Equal), for rows of one length.
    pub(crate) fn equal(rows: &[&Tokens]) -> Self {
        Self { longs: vec![("input_ids", concatenated_ids(rows), vec![rows.len(), longest(rows)])], ..Self::default() }
    }

    /// The inputs of [`Layout::Padded`](embtune_onnx::Layout::Padded), for rows of any length.
    pub(crate) fn padded(rows: &[&Tokens], pad_token_id: usize) -> Self {
        let longest = longest(rows);
        let shape = vec![rows.len(), longest];
        let ids = padded_ids(rows, longest, pad_token_id);
        let mask = attention_mask(rows, longest);
        Self { longs: vec![("input_ids", ids, shape.clone()), ("attention_mask", mask, shape)], ..Self::default() }
    }

    /// The inputs of [`Layout::Packed`](embtune_onnx::Layout::Packed), for rows of any length.
    pub(crate) fn packed(rows: &[&Tokens], config: &EncoderConfig) -> Self {
        let longest = longest(rows);
        let ids = concatenated_ids(rows);
        let position_ids: Vec<i64> = rows.iter().flat_map(|row| config.positions(&row.ids)).collect();
        let mut cu_seqlens = vec![0_i32];
        let mut padded_index = Vec::with_capacity(rows.len() * longest);
        for row in rows {
            let start = cu_seqlens.last().copied().unwrap_or(0);
            let tokens = row.ids.len() as i32;
            // Padding points at the row's last token; the mask hides it.
            padded_index.extend((0..longest as i32).map(|column| start + column.min(tokens - 1).max(0)));
            cu_seqlens.push(start + tokens);
        }
        let tokens = ids.len();
        let rectangle = vec![rows.len(), longest];
        Self {
            longs: vec![
                ("input_ids", ids, vec![tokens]),
                ("position_ids", position_ids, vec![tokens]),
                ("attention_mask", attention_mask(rows, longest), rectangle.clone()),
            ],
            ints: vec![("cu_seqlens", cu_seqlens, vec![rows.len() + 1]), ("padded_index", padded_index, rectangle)],
        }
    }

    /// The inputs as ONNX Runtime takes them.
    pub(crate) fn tensors(&self) -> Vec<(&str, Tensor<'_>)> {
        let longs = self.longs.iter().map(|(name, data, shape)| (*name, Tensor::I64(data, shape)));
        let ints = self.ints.iter().map(|(name, data, shape)| (*name, Tensor::I32(data, shape)));
        longs.chain(ints).collect()
    }
}

/// Number of tokens of the longest row.
pub(crate) fn longest(rows: &[&Tokens]) -> usize {
    rows.iter().map(|row| row.ids.len()).max().unwrap_or(0)
}

/// Token ids `[rows, longest]`; short rows are padded on the right.
pub(crate) fn padded_ids(rows: &[&Tokens], longest: usize, pad_token_id: usize) -> Vec<i64> {
    let mut ids = Vec::with_capacity(rows.len() * longest);
    for row in rows {
        ids.extend(row.ids.iter().map(|id| i64::from(*id)));
        ids.resize(ids.len() + longest - row.ids.len(), pad_token_id as i64);
    }
    ids
}

/// 1 for tokens and 0 for padding, `[rows, longest]`.
pub(crate) fn attention_mask(rows: &[&Tokens], longest: usize) -> Vec<i64> {
    let mask = |row: &&Tokens| {
        let tokens = row.ids.len();
        (0..longest).map(move |column| i64::from(column < tokens))
    };
    rows.iter().flat_map(mask).collect()
}

/// The token ids of all rows, concatenated.
fn concatenated_ids(rows: &[&Tokens]) -> Vec<i64> {
    rows.iter().flat_map(|row| &row.ids).map(|id| i64::from(*id)).collect()
}

#[cfg(test)]
mod tests {
    use embtune_encoders::Encoder;
    use serde_json::json;

    use super::*;

    fn config() -> EncoderConfig {
        let json = json!({
            "model_type": "bert", "vocab_size": 10, "hidden_size": 2, "num_hidden_layers": 1,
            "num_attention_heads": 1, "intermediate_size": 2, "hidden_act": "gelu", "max_position_embeddings": 10,
        });
        Encoder::from_json(&json).unwrap().config().clone()
    }

    fn tokens(ids: &[u32]) -> Tokens {
        Tokens { ids: ids.to_vec(), truncated: false }
    }

    #[test]
    fn packed_rows_are_concatenated() {
        let (long, short) = (tokens(&[5, 6, 1, 7]), tokens(&[8]));
        let Batch { longs, ints } = Batch::packed(&[&long, &short], &config());
        assert_eq!(longs[0], ("input_ids", vec![5, 6, 1, 7, 8], vec![5]));
        assert_eq!(longs[1].1, [0, 1, 2, 3, 0]);
        assert_eq!(longs[2], ("attention_mask", vec![1, 1, 1, 1, 1, 0, 0, 0], vec![2, 4]));
        assert_eq!(ints[0], ("cu_seqlens", vec![0, 4, 5], vec![3]));
        assert_eq!(ints[1], ("padded_index", vec![0, 1, 2, 3, 4, 4, 4, 4], vec![2, 4]));
    }
}
