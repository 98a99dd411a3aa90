//! MPNet: BERT with a bias on attention scores that depends on the relative position and is the same in every layer.
//!
//! Source: `transformers/models/mpnet/modeling_mpnet.py`.

use embtune_model::{BertConfig, RELATIVE_BUCKETS};
use embtune_torch::TorchError;
use embtune_torch::tch::Tensor;

use super::embeddings::Embeddings;
use super::linear::Builder;
use super::post_norm::PostNormLayer;
use super::relative_attention::RelativeBias;
use super::{Encoder, Packed, Pass};

pub(crate) struct MpNet {
    embeddings: Embeddings,
    /// f32 `[buckets, heads]`.
    relative_bias: Tensor,
    layers: Vec<PostNormLayer>,
}

impl MpNet {
    pub(crate) fn new(config: &BertConfig, builder: Builder<'_>) -> Result<Self, TorchError> {
        let names = config.architecture.embedding_names();
        let stem = names.relative_attention_bias.ok_or_else(|| TorchError::new("no relative attention bias"))?;
        Ok(Self {
            embeddings: Embeddings::new(config, builder)?,
            relative_bias: builder.table(stem, RELATIVE_BUCKETS, config.num_attention_heads)?,
            layers: PostNormLayer::all(config, builder)?,
        })
    }
}

impl Encoder for MpNet {
    fn forward(&self, packed: &Packed, pass: Pass) -> Result<Tensor, TorchError> {
        let hidden = self.embeddings.forward(packed, pass)?;
        let bias = RelativeBias::new(&self.relative_bias, &packed.lengths, pass.kind)?;
        self.layers.iter().try_fold(hidden, |hidden, layer| layer.forward(&hidden, packed, pass, Some(&bias)))
    }
}
