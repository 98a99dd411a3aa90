//! The embeddings: from token ids to the first hidden states.

use embtune_model::BertConfig;
use embtune_torch::TorchError;
use embtune_torch::tch::Tensor;

use super::linear::{Builder, LayerNorm};
use super::{Packed, Pass, sparse_gradient};

/// `dropout(LayerNorm(word + token type + position))`.
pub(crate) struct Embeddings {
    words: Tensor,
    positions: Tensor,
    token_types: Option<Tensor>,
    norm: LayerNorm,
    /// Rows of padding, which get no gradient.
    word_padding: i64,
    position_padding: i64,
}

impl Embeddings {
    pub(crate) fn new(config: &BertConfig, builder: Builder<'_>) -> Result<Self, TorchError> {
        let names = config.architecture.embedding_names();
        let width = config.hidden_size;
        let token_types = names.token_type.map(|stem| builder.table(stem, config.type_vocab_size, width));
        Ok(Self {
            words: builder.table(names.word, config.vocab_size, width)?,
            positions: builder.table(names.position, config.max_position_embeddings, width)?,
            token_types: token_types.transpose()?,
            norm: builder.norm(names.norm, width, config.layer_norm_eps)?,
            word_padding: config.pad_token_id as i64,
            position_padding: config.position_padding().map_or(-1, |row| row as i64),
        })
    }

    /// # Shapes
    /// - output: `[tokens, hidden]`, of the pass's type
    pub(crate) fn forward(&self, packed: &Packed, pass: Pass) -> Result<Tensor, TorchError> {
        let look_up = |table: &Tensor, rows: &Tensor, padding: i64| {
            Tensor::f_embedding(table, rows, padding, false, sparse_gradient(table))
        };
        let mut sum = look_up(&self.words, &packed.input_ids, self.word_padding)?;
        if let Some(types) = &self.token_types {
            sum = sum.f_add(&types.f_narrow(0, 0, 1)?)?;
        }
        let sum = sum.f_add(&look_up(&self.positions, &packed.positions, self.position_padding)?)?;
        let hidden = pass.hidden(packed, 0).apply(&self.norm.norm().apply(&sum)?)?;
        Ok(hidden.f_to_kind(pass.kind)?)
    }
}
