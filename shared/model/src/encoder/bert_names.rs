//! What Hugging Face calls the tensors of BERT and its relatives.
//!
//! Source: the module names in `transformers/models/{bert,xlm_roberta,mpnet,distilbert}/modeling_*.py`. Each name is
//! a stem: `.weight` stands behind it, and for a linear layer or a layer norm `.bias` too.

use super::Architecture;

/// Stems of the tensors before the layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmbeddingNames {
    /// `[vocab_size, hidden]`.
    pub word: &'static str,
    /// `[max_position_embeddings, hidden]`.
    pub position: &'static str,
    /// `[type_vocab_size, hidden]`, in the families that tell token types apart.
    pub token_type: Option<&'static str>,
    /// Layer norm over the sum of these.
    pub norm: &'static str,
    /// `[buckets, heads]`, added to the attention scores of every layer, see [`crate::relative_position_bucket`].
    pub relative_attention_bias: Option<&'static str>,
}

/// Stems of the tensors of one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerNames {
    /// Linear, `[hidden, hidden]`.
    pub query: String,
    /// Linear, `[hidden, hidden]`.
    pub key: String,
    /// Linear, `[hidden, hidden]`.
    pub value: String,
    /// Linear, `[hidden, hidden]`.
    pub attention_output: String,
    /// Layer norm behind the attention.
    pub attention_norm: String,
    /// Linear, `[intermediate, hidden]`.
    pub intermediate: String,
    /// Linear, `[hidden, intermediate]`.
    pub output: String,
    /// Layer norm at the end of the layer.
    pub output_norm: String,
}

impl Architecture {
    /// Names of the tensors that stand once.
    pub fn embedding_names(self) -> EmbeddingNames {
        EmbeddingNames {
            word: "embeddings.word_embeddings",
            position: "embeddings.position_embeddings",
            token_type: match self {
                Self::Bert | Self::XlmRoberta => Some("embeddings.token_type_embeddings"),
                Self::MpNet | Self::DistilBert => None,
            },
            norm: "embeddings.LayerNorm",
            relative_attention_bias: (self == Self::MpNet).then_some("encoder.relative_attention_bias"),
        }
    }

    /// Names of the tensors of a layer, counted from 0.
    pub fn layer_names(self, layer: usize) -> LayerNames {
        let (layers, [query, key, value, attention_output, attention_norm, intermediate, output, output_norm]) =
            match self {
                Self::Bert | Self::XlmRoberta => (
                    "encoder.layer",
                    [
                        "attention.self.query",
                        "attention.self.key",
                        "attention.self.value",
                        "attention.output.dense",
                        "attention.output.LayerNorm",
                        "intermediate.dense",
                        "output.dense",
                        "output.LayerNorm",
                    ],
                ),
                Self::MpNet => (
                    "encoder.layer",
                    [
                        "attention.attn.q",
                        "attention.attn.k",
                        "attention.attn.v",
                        "attention.attn.o",
                        "attention.LayerNorm",
                        "intermediate.dense",
                        "output.dense",
                        "output.LayerNorm",
                    ],
                ),
                Self::DistilBert => (
                    "transformer.layer",
                    [
                        "attention.q_lin",
                        "attention.k_lin",
                        "attention.v_lin",
                        "attention.out_lin",
                        "sa_layer_norm",
                        "ffn.lin1",
                        "ffn.lin2",
                        "output_layer_norm",
                    ],
                ),
            };
        let name = |part: &str| format!("{layers}.{layer}.{part}");
        LayerNames {
            query: name(query),
            key: name(key),
            value: name(value),
            attention_output: name(attention_output),
            attention_norm: name(attention_norm),
            intermediate: name(intermediate),
            output: name(output),
            output_norm: name(output_norm),
        }
    }
}
