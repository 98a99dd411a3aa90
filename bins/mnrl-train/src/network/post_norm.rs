//! The encoder layer of BERT and its relatives.

use embtune_model::{Activation, BertConfig};
use embtune_torch::tch::Tensor;
use embtune_torch::{Attention, TorchError, add_norm, attention, feed_forward};

use super::linear::{Affine, Builder, LayerNorm};
use super::relative_attention::{RelativeBias, relative_attention};
use super::{Packed, Pass};

/// `x = LN(x + dropout(attention(x)))`, then `x = LN(x + dropout(W₂ act(W₁ x)))`.
///
/// Source: `transformers/models/bert/modeling_bert.py`.
pub(crate) struct PostNormLayer {
    heads: i64,
    /// Elements of a head.
    size: i64,
    activation: embtune_torch::Activation,
    /// The first of the layer's three consecutive dropout sites.
    site: i64,
    qkv: Affine,
    attention_output: Affine,
    attention_norm: LayerNorm,
    intermediate: Affine,
    output: Affine,
    output_norm: LayerNorm,
}

impl PostNormLayer {
    /// All layers of an encoder.
    pub(crate) fn all(config: &BertConfig, builder: Builder<'_>) -> Result<Vec<Self>, TorchError> {
        (0..config.num_hidden_layers).map(|index| Self::new(config, builder, index)).collect()
    }

    fn new(config: &BertConfig, builder: Builder<'_>, index: usize) -> Result<Self, TorchError> {
        let (width, inner) = (config.hidden_size, config.intermediate_size);
        let names = config.architecture.layer_names(index);
        Ok(Self {
            heads: config.num_attention_heads as i64,
            size: (config.hidden_size / config.num_attention_heads) as i64,
            activation: match config.hidden_act {
                Activation::Gelu => embtune_torch::Activation::Gelu,
                Activation::GeluTanh => embtune_torch::Activation::GeluTanh,
                Activation::Relu => embtune_torch::Activation::Relu,
            },
            site: 1 + 3 * index as i64,
            qkv: builder.linear(&[&names.query, &names.key, &names.value], width, width)?,
            attention_output: builder.linear(&[&names.attention_output], width, width)?,
            attention_norm: builder.norm(&names.attention_norm, width, config.layer_norm_eps)?,
            intermediate: builder.linear(&[&names.intermediate], inner, width)?,
            output: builder.linear(&[&names.output], width, inner)?,
            output_norm: builder.norm(&names.output_norm, width, config.layer_norm_eps)?,
        })
    }

    /// # Shapes
    /// - `hidden`, output: `[tokens, hidden]`
    pub(crate) fn forward(
        &self,
        hidden: &Tensor,
        packed: &Packed,
        pass: Pass,
        bias: Option<&RelativeBias>,
    ) -> Result<Tensor, TorchError> {
        let qkv = self.qkv.apply(hidden)?;
        let dropout = pass.attention(packed, self.site);
        let context = match bias {
            None => attention(&qkv, &packed.sequences, Attention::new(self.heads, self.size), dropout)?,
            Some(bias) => relative_attention(&qkv, bias, self.heads, dropout)?,
        };
        let output = self.attention_output.apply(&context)?;
        let dropout = pass.hidden(packed, self.site + 1);
        let hidden = add_norm(hidden, &output, self.attention_norm.norm(), dropout)?;
        let (first, second) = (self.intermediate.cast(pass.kind)?, self.output.cast(pass.kind)?);
        let output = feed_forward(&hidden, first.linear(), self.activation, second.linear())?;
        add_norm(&hidden, &output, self.output_norm.norm(), pass.hidden(packed, self.site + 2))
    }
}
