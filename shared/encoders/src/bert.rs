//! BERT and its relatives RoBERTa, XLM-RoBERTa, CamemBERT, MPNet and DistilBERT: post-norm layers over learned
//! positions.
//!
//! Source: the field names, defaults, module names and formulas in
//! `transformers/models/{bert,roberta,xlm_roberta,camembert,mpnet,distilbert}/{configuration,modeling}_*.py`.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::activation::Activation;
use crate::config_json::{ConfigError, OtherKeys, head_size, parse};
use crate::family::{Dropout, EncoderConfig, Family};
use crate::ops::{
    Attention, Embeddings, FeedForward, Inner, Linear, Norm, NormKind, Ops, Part, Projection, RelativeBias, Table,
};

/// A member of the family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    /// Positions count from 0.
    Bert,
    /// XLM-RoBERTa, RoBERTa and CamemBERT: positions count from `pad_token_id + 1`.
    Roberta,
    /// Positions as RoBERTa's, no token types, and one table of relative positions for all layers.
    MpNet,
    /// BERT without token types, with its own names of tensors.
    DistilBert,
}

/// A member of the BERT family.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bert {
    member: Member,
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    hidden_act: Activation,
    /// Rows of the position embeddings.
    max_position_embeddings: usize,
    /// Rows of the token type embeddings, of which only the first is used.
    type_vocab_size: usize,
    layer_norm_eps: f64,
    pad_token_id: usize,
    dropout: Dropout,
}

/// Rows of MPNet's table of relative positions, which its forward pass fixes.
const RELATIVE_BUCKETS: usize = 32;
/// The distance up to which MPNet's rows are spread, fixed in the same place.
const MAX_RELATIVE_DISTANCE: usize = 128;

impl Family for Bert {
    const MODEL_TYPES: &[&str] = &["bert", "roberta", "xlm-roberta", "camembert", "mpnet", "distilbert"];

    fn from_json(model_type: &str, json: &Value) -> Result<Self, ConfigError> {
        let bert = match model_type {
            "distilbert" => parse::<RawDistilBert>(json)?.into_bert()?,
            "mpnet" => parse::<RawBert>(json)?.into_bert(Member::MpNet)?,
            "bert" => parse::<RawBert>(json)?.into_bert(Member::Bert)?,
            _ => parse::<RawBert>(json)?.into_bert(Member::Roberta)?,
        };
        head_size(bert.hidden_size, bert.num_attention_heads)?;
        if bert.has_token_types() && bert.type_vocab_size == 0 {
            return Err(ConfigError::Unsupported("has no token types".into()));
        }
        Ok(bert)
    }

    fn config(&self) -> EncoderConfig {
        let position_padding = match self.member {
            Member::Bert | Member::DistilBert => None,
            Member::Roberta | Member::MpNet => Some(self.pad_token_id),
        };
        let reserved = position_padding.map_or(0, |row| row.saturating_add(1));
        EncoderConfig {
            name: match self.member {
                Member::Bert => "BERT",
                Member::Roberta => "RoBERTa",
                Member::MpNet => "MPNet",
                Member::DistilBert => "DistilBERT",
            },
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            num_hidden_layers: self.num_hidden_layers,
            pad_token_id: self.pad_token_id,
            max_length: self.max_position_embeddings.saturating_sub(reserved),
            position_padding,
            has_token_types: self.member == Member::Bert,
            int8: true,
            dropout: self.dropout,
        }
    }

    fn forward<O: Ops>(&self, ops: &mut O) -> Result<O::Value, O::Error> {
        let hidden = self.hidden_size;
        let table = |stem: &str, rows| Table { stem: stem.into(), rows, width: hidden };
        let embeddings = ops.embeddings(&Embeddings {
            words: table("embeddings.word_embeddings", self.vocab_size),
            word_padding: Some(self.pad_token_id),
            positions: Some(table("embeddings.position_embeddings", self.max_position_embeddings)),
            token_types: self
                .has_token_types()
                .then(|| table("embeddings.token_type_embeddings", self.type_vocab_size)),
        })?;
        let bias = match self.member {
            Member::MpNet => Some(ops.relative_bias(&RelativeBias {
                table: Table {
                    stem: "encoder.relative_attention_bias".into(),
                    rows: RELATIVE_BUCKETS,
                    width: self.num_attention_heads,
                },
                max_distance: MAX_RELATIVE_DISTANCE,
            })?),
            _ => None,
        };
        let normed = ops.norm(&embeddings, &self.norm("embeddings.LayerNorm".into()))?;
        let mut x = ops.dropout(&normed)?;
        for index in 0..self.num_hidden_layers {
            ops.begin(Part::Layer(index));
            x = self.layer(ops, index, &x, bias.as_ref())?;
        }
        ops.begin(Part::Head);
        Ok(x)
    }
}

impl Bert {
    fn has_token_types(&self) -> bool {
        matches!(self.member, Member::Bert | Member::Roberta)
    }

    fn norm(&self, stem: String) -> Norm {
        let kind = NormKind::Layer { bias: true };
        Norm { stem, width: self.hidden_size, eps: self.layer_norm_eps, kind }
    }

    /// `x = LN(x + attention(x))`, then `x = LN(x + W₂ act(W₁ x))`
    fn layer<O: Ops>(
        &self,
        ops: &mut O,
        index: usize,
        x: &O::Value,
        bias: Option<&O::Bias>,
    ) -> Result<O::Value, O::Error> {
        let (layers, [query, key, value, attention_output, attention_norm, intermediate, output, output_norm]) =
            self.member.layer_names();
        let name = |part: &str| format!("{layers}.{index}.{part}");
        let (hidden, inner, heads) = (self.hidden_size, self.intermediate_size, self.num_attention_heads);
        let linear = |part: &str, shape| Linear::new(name(part), shape, true);
        let size = hidden / heads;
        let projection = Projection::Separate([query, key, value].map(|part| linear(part, [hidden, hidden])));
        let attention = Attention::new(projection, heads, size);
        let context = ops.attention(x, &attention, bias)?;
        let attended = ops.linear(&context, &linear(attention_output, [hidden, hidden]))?;
        let x = ops.add_norm(x, &attended, &self.norm(name(attention_norm)))?;
        let feed_forward = FeedForward {
            inner: Inner::Plain(linear(intermediate, [inner, hidden])),
            activation: self.hidden_act,
            drops_inner: false,
            output: linear(output, [hidden, inner]),
        };
        let result = ops.feed_forward(&x, &feed_forward)?;
        ops.add_norm(&x, &result, &self.norm(name(output_norm)))
    }
}

impl Member {
    /// What precedes a layer's number in the names of its tensors, and what follows it: query, key, value and output of
    /// the attention and the norm after it, both linear layers of the feed-forward part and the norm after it.
    fn layer_names(self) -> (&'static str, [&'static str; 8]) {
        match self {
            Self::Bert | Self::Roberta => (
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
        }
    }
}

/// `config.json` of all members but DistilBERT.
#[derive(Deserialize)]
struct RawBert {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    hidden_act: String,
    max_position_embeddings: usize,
    #[serde(default = "default_token_types")]
    type_vocab_size: usize,
    #[serde(default = "default_epsilon")]
    layer_norm_eps: f64,
    pad_token_id: Option<usize>,
    #[serde(default = "default_dropout")]
    hidden_dropout_prob: f64,
    #[serde(default = "default_dropout")]
    attention_probs_dropout_prob: f64,
    position_embedding_type: Option<String>,
    relative_attention_num_buckets: Option<usize>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// `config.json` of DistilBERT.
#[derive(Deserialize)]
struct RawDistilBert {
    vocab_size: usize,
    dim: usize,
    n_layers: usize,
    n_heads: usize,
    hidden_dim: usize,
    activation: String,
    max_position_embeddings: usize,
    pad_token_id: Option<usize>,
    #[serde(default = "default_dropout")]
    dropout: f64,
    #[serde(default = "default_dropout")]
    attention_dropout: f64,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Attention is bidirectional, and positions are absolute.
fn fixed() -> [(&'static str, Value); 3] {
    [
        ("is_causal", json!(false)),
        ("use_bidirectional_attention", json!(true)),
        ("position_embedding_type", json!("absolute")),
    ]
}

/// Dropout of other heads, and the initial values of the position embeddings.
const WITHOUT_EFFECT: [&str; 3] = ["qa_dropout", "seq_classif_dropout", "sinusoidal_pos_embds"];

fn default_token_types() -> usize {
    2
}
fn default_epsilon() -> f64 {
    1e-12
}
fn default_dropout() -> f64 {
    0.1
}

impl RawBert {
    fn into_bert(self, member: Member) -> Result<Bert, ConfigError> {
        if let Some(kind) = self.position_embedding_type.filter(|kind| kind != "absolute") {
            let what = format!("position_embedding_type \"{kind}\" is not supported (supported: absolute)");
            return Err(ConfigError::Unsupported(what));
        }
        OtherKeys { fixed: &fixed(), without_effect: &[] }.check(&self.rest)?;
        let is_mpnet = member == Member::MpNet;
        if let Some(buckets) = self.relative_attention_num_buckets.filter(|n| is_mpnet && *n != RELATIVE_BUCKETS) {
            let what =
                format!("relative_attention_num_buckets {buckets} is not supported (supported: {RELATIVE_BUCKETS})");
            return Err(ConfigError::Unsupported(what));
        }
        Ok(Bert {
            member,
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: self.num_attention_heads,
            intermediate_size: self.intermediate_size,
            hidden_act: Activation::parse("hidden_act", &self.hidden_act)?,
            max_position_embeddings: self.max_position_embeddings,
            type_vocab_size: if is_mpnet { 0 } else { self.type_vocab_size },
            layer_norm_eps: self.layer_norm_eps,
            pad_token_id: match member {
                // The reference implementation of MPNet ignores its configuration here.
                Member::MpNet => 1,
                Member::Roberta => self.pad_token_id.unwrap_or(1),
                Member::Bert | Member::DistilBert => self.pad_token_id.unwrap_or(0),
            },
            dropout: Dropout {
                hidden: Some(("hidden_dropout_prob", self.hidden_dropout_prob)),
                attention: Some(("attention_probs_dropout_prob", self.attention_probs_dropout_prob)),
            },
        })
    }
}

impl RawDistilBert {
    fn into_bert(self) -> Result<Bert, ConfigError> {
        OtherKeys { fixed: &fixed(), without_effect: &WITHOUT_EFFECT }.check(&self.rest)?;
        Ok(Bert {
            member: Member::DistilBert,
            vocab_size: self.vocab_size,
            hidden_size: self.dim,
            num_hidden_layers: self.n_layers,
            num_attention_heads: self.n_heads,
            intermediate_size: self.hidden_dim,
            hidden_act: Activation::parse("activation", &self.activation)?,
            max_position_embeddings: self.max_position_embeddings,
            type_vocab_size: 0,
            layer_norm_eps: default_epsilon(),
            pad_token_id: self.pad_token_id.unwrap_or(0),
            dropout: Dropout {
                hidden: Some(("dropout", self.dropout)),
                attention: Some(("attention_dropout", self.attention_dropout)),
            },
        })
    }
}
