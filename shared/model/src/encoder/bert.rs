//! BERT and its relatives: post-norm layers over learned positions.

use super::parameters::Parameters;
use super::{Parameter, RELATIVE_BUCKETS};

/// A relative of BERT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// BERT: positions count from 0.
    Bert,
    /// XLM-RoBERTa and RoBERTa: positions count from `pad_token_id + 1`.
    XlmRoberta,
    /// MPNet: positions as RoBERTa's, no token types, and one table of relative positions for all layers.
    MpNet,
    /// DistilBERT: BERT without token types, under names of its own.
    DistilBert,
}

/// The activation between the two feed-forward matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x · Φ(x)` with the exact error function.
    Gelu,
    /// The tanh approximation (`gelu_new`, `gelu_pytorch_tanh`).
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
}

/// Shape of one of them.
#[derive(Debug, Clone, PartialEq)]
pub struct BertConfig {
    /// Which family.
    pub architecture: Architecture,
    /// Rows of the word embeddings.
    pub vocab_size: usize,
    /// Elements of a hidden state.
    pub hidden_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Attention heads; they share `hidden_size` equally.
    pub num_attention_heads: usize,
    /// Elements between the two feed-forward matrices.
    pub intermediate_size: usize,
    /// Between the two feed-forward matrices.
    pub hidden_act: Activation,
    /// Rows of the position embeddings.
    pub max_position_embeddings: usize,
    /// Rows of the token type embeddings; embtune uses row 0. 0 in the families that have none.
    pub type_vocab_size: usize,
    /// Added to the variance in layer norms.
    pub layer_norm_eps: f64,
    /// The padding token.
    pub pad_token_id: usize,
    /// Dropout on hidden states while training.
    pub hidden_dropout_prob: f64,
    /// Dropout on attention probabilities while training.
    pub attention_probs_dropout_prob: f64,
}

impl Architecture {
    /// What people call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bert => "BERT",
            Self::XlmRoberta => "RoBERTa",
            Self::MpNet => "MPNet",
            Self::DistilBert => "DistilBERT",
        }
    }
}

impl BertConfig {
    /// Elements of an attention head.
    pub fn head_size(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// Row of the position embeddings that padding takes, in the families that give it one: a token there is one of
    /// the id `pad_token_id`, and positions count the other tokens, from the row behind it.
    pub fn position_padding(&self) -> Option<usize> {
        match self.architecture {
            Architecture::Bert | Architecture::DistilBert => None,
            Architecture::XlmRoberta | Architecture::MpNet => Some(self.pad_token_id),
        }
    }

    /// Position of the first token.
    pub fn first_position(&self) -> usize {
        self.position_padding().map_or(0, |padding| padding.saturating_add(1))
    }

    /// Most tokens that the position embeddings allow.
    pub fn max_length(&self) -> usize {
        self.max_position_embeddings.saturating_sub(self.first_position())
    }

    /// Every tensor that the forward pass reads, in the order in which it does; a layer's query, key and value stand
    /// behind each other.
    pub fn parameters(&self) -> Vec<Parameter> {
        let (hidden, inner) = (self.hidden_size, self.intermediate_size);
        let names = self.architecture.embedding_names();
        let mut parameters = Parameters::default();
        parameters.weight(names.word, &[self.vocab_size, hidden]);
        parameters.weight(names.position, &[self.max_position_embeddings, hidden]);
        if let Some(token_type) = names.token_type {
            parameters.weight(token_type, &[self.type_vocab_size, hidden]);
        }
        if let Some(bias) = names.relative_attention_bias {
            parameters.weight(bias, &[RELATIVE_BUCKETS, self.num_attention_heads]);
        }
        parameters.affine(names.norm, &[hidden]);
        for layer in 0..self.num_hidden_layers {
            let names = self.architecture.layer_names(layer);
            for name in [&names.query, &names.key, &names.value, &names.attention_output] {
                parameters.affine(name, &[hidden, hidden]);
            }
            parameters.affine(&names.attention_norm, &[hidden]);
            parameters.affine(&names.intermediate, &[inner, hidden]);
            parameters.affine(&names.output, &[hidden, inner]);
            parameters.affine(&names.output_norm, &[hidden]);
        }
        parameters.into_vec()
    }
}
