//! Rows one behind the other.

use embtune_model::EncoderConfig;
use embtune_tokenize::Tokens;

use crate::network::batch::{Batch, longest, padded};

/// The inputs of [`embtune_onnx::Layout::Packed`].
pub(crate) fn batch(rows: &[&Tokens], config: &EncoderConfig) -> Batch {
    let longest = longest(rows);
    let ids: Vec<i64> = rows.iter().flat_map(|row| &row.ids).map(|id| i64::from(*id)).collect();
    let positions: Vec<i64> = rows.iter().flat_map(|row| positions(&row.ids, config)).collect();
    let mut starts = vec![0_i32];
    let mut places = Vec::with_capacity(rows.len() * longest);
    for row in rows {
        let start = starts.last().copied().unwrap_or(0);
        let tokens = row.ids.len() as i32;
        // Padding takes the row's last token, which the mask hides.
        places.extend((0..longest as i32).map(|place| start + place.min(tokens - 1).max(0)));
        starts.push(start + tokens);
    }
    let tokens = ids.len();
    Batch {
        longs: vec![
            ("input_ids", ids, vec![tokens]),
            ("position_ids", positions, vec![tokens]),
            ("attention_mask", padded::mask(rows, longest), vec![rows.len(), longest]),
        ],
        ints: vec![("cu_seqlens", starts, vec![rows.len() + 1]), ("padded_index", places, vec![rows.len(), longest])],
    }
}

/// Rows of the position embeddings: where a family gives padding one, a token of its id takes that, and the others are
/// counted from the row behind it.
fn positions(ids: &[u32], config: &EncoderConfig) -> Vec<i64> {
    let Some(padding) = config.position_padding() else { return (0..ids.len() as i64).collect() };
    let mut next = padding as i64;
    let mut place = |id: &u32| {
        if *id as usize == padding {
            return padding as i64;
        }
        next += 1;
        next
    };
    ids.iter().map(&mut place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use embtune_model::{Activation, Architecture, BertConfig};

    fn config(architecture: Architecture) -> EncoderConfig {
        EncoderConfig::Bert(BertConfig {
            architecture,
            vocab_size: 10,
            hidden_size: 2,
            num_hidden_layers: 1,
            num_attention_heads: 1,
            intermediate_size: 2,
            hidden_act: Activation::Gelu,
            max_position_embeddings: 10,
            type_vocab_size: 1,
            layer_norm_eps: 1e-5,
            pad_token_id: 1,
            hidden_dropout_prob: 0.0,
            attention_probs_dropout_prob: 0.0,
        })
    }

    fn tokens(ids: &[u32]) -> Tokens {
        Tokens { ids: ids.to_vec(), truncated: false }
    }

    #[test]
    fn rows_lie_one_behind_the_other() {
        let (long, short) = (tokens(&[5, 6, 1, 7]), tokens(&[8]));
        let Batch { longs, ints } = batch(&[&long, &short], &config(Architecture::Bert));
        assert_eq!(longs[0], ("input_ids", vec![5, 6, 1, 7, 8], vec![5]));
        assert_eq!(longs[1].1, [0, 1, 2, 3, 0]);
        assert_eq!(longs[2], ("attention_mask", vec![1, 1, 1, 1, 1, 0, 0, 0], vec![2, 4]));
        assert_eq!(ints[0], ("cu_seqlens", vec![0, 4, 5], vec![3]));
        assert_eq!(ints[1], ("padded_index", vec![0, 1, 2, 3, 4, 4, 4, 4], vec![2, 4]));
    }

    #[test]
    fn positions_skip_padding_that_stands_in_a_text() {
        let long = tokens(&[5, 6, 1, 7]);
        let batch = batch(&[&long], &config(Architecture::XlmRoberta));
        assert_eq!(batch.longs[1].1, [2, 3, 1, 4]);
    }
}
