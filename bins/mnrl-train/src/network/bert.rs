//! BERT, RoBERTa, XLM-RoBERTa and DistilBERT, which differ only in positions, token types and names.
//!
//! Source: `transformers/models/{bert,roberta,xlm_roberta,distilbert}/modeling_*.py`.

use embtune_model::BertConfig;
use embtune_torch::TorchError;
use embtune_torch::tch::Tensor;

use super::embeddings::Embeddings;
use super::linear::Builder;
use super::post_norm::PostNormLayer;
use super::{Encoder, Packed, Pass};

pub(crate) struct Bert {
    embeddings: Embeddings,
    layers: Vec<PostNormLayer>,
}

impl Bert {
    pub(crate) fn new(config: &BertConfig, builder: Builder<'_>) -> Result<Self, TorchError> {
        Ok(Self { embeddings: Embeddings::new(config, builder)?, layers: PostNormLayer::all(config, builder)? })
    }
}

impl Encoder for Bert {
    fn forward(&self, packed: &Packed, pass: Pass) -> Result<Tensor, TorchError> {
        let hidden = self.embeddings.forward(packed, pass)?;
        self.layers.iter().try_fold(hidden, |hidden, layer| layer.forward(&hidden, packed, pass, None))
    }
}
