//! The operations that encoders are made of.
//!
//! A family describes its forward pass once, as calls of [`Ops`]. What a call means is up to the interpreter: it may
//! append nodes to a graph, compute tensors, list the tensors that it would read ([`walk`](crate::walk)), or count
//! bytes. The operations have the size of the parts of a layer, so that an interpreter can use a fused kernel where it
//! has one; the trait grows only when a family needs what is not there.
//!
//! Everything is described for `[tokens, width]`: the tokens of all rows, one after the other. Each row's tokens see
//! only their own row.

use crate::Activation;

/// An interpreter of a forward pass.
pub trait Ops {
    /// Hidden states, `[tokens, width]`.
    type Value;
    /// A bias on attention scores by relative position.
    type Bias;
    /// Why an operation cannot be interpreted.
    type Error;

    /// Says which part of the encoder the following calls belong to. The pass begins in [`Part::Embeddings`].
    fn begin(&mut self, _part: Part) {}

    /// The sum of the rows of the tables for each token, added in the order words, token types, positions.
    ///
    /// # Errors
    /// Those of the interpreter.
    fn embeddings(&mut self, embeddings: &Embeddings) -> Result<Self::Value, Self::Error>;

    /// Dropout on hidden states. Every family applies it at the end of its embeddings.
    ///
    /// # Errors
    /// Those of the interpreter.
    fn dropout(&mut self, x: &Self::Value) -> Result<Self::Value, Self::Error>;

    /// `factor · x`
    ///
    /// # Errors
    /// Those of the interpreter.
    fn scale(&mut self, x: &Self::Value, factor: f64) -> Result<Self::Value, Self::Error>;

    /// A norm over the width.
    ///
    /// # Errors
    /// Those of the interpreter.
    fn norm(&mut self, x: &Self::Value, norm: &Norm) -> Result<Self::Value, Self::Error>;

    /// `residual + dropout(x)`
    ///
    /// # Errors
    /// Those of the interpreter.
    fn add(&mut self, residual: &Self::Value, x: &Self::Value) -> Result<Self::Value, Self::Error>;

    /// `norm(residual + dropout(x))`: the end of a part of a post-norm layer.
    ///
    /// # Errors
    /// Those of the interpreter.
    fn add_norm(&mut self, residual: &Self::Value, x: &Self::Value, norm: &Norm) -> Result<Self::Value, Self::Error> {
        let sum = self.add(residual, x)?;
        self.norm(&sum, norm)
    }

    /// `x Wᵀ + b`
    ///
    /// # Errors
    /// Those of the interpreter.
    fn linear(&mut self, x: &Self::Value, linear: &Linear) -> Result<Self::Value, Self::Error>;

    /// The bias on the scores of attention heads that depends on the distance between query and key.
    ///
    /// # Errors
    /// Those of the interpreter.
    fn relative_bias(&mut self, bias: &RelativeBias) -> Result<Self::Bias, Self::Error>;

    /// Projects `x` to queries, keys and values, and attends: `softmax(scale · Q Kᵀ + bias) V` over the keys that the
    /// mask shows, `[tokens, heads · size]`. Dropout acts on the probabilities.
    ///
    /// # Errors
    /// Those of the interpreter.
    fn attention(
        &mut self,
        x: &Self::Value,
        attention: &Attention,
        bias: Option<&Self::Bias>,
    ) -> Result<Self::Value, Self::Error>;

    /// The feed-forward part of a layer.
    ///
    /// # Errors
    /// Those of the interpreter.
    fn feed_forward(&mut self, x: &Self::Value, feed_forward: &FeedForward) -> Result<Self::Value, Self::Error>;

    /// A feed-forward part whose matrices are chosen for each token.
    ///
    /// # Errors
    /// Those of the interpreter.
    fn experts(&mut self, x: &Self::Value, experts: &Experts) -> Result<Self::Value, Self::Error>;
}

/// A part of an encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Everything before the layers.
    Embeddings,
    /// A layer, counted from 0.
    Layer(usize),
    /// Everything after the layers.
    Head,
}

/// A table of embeddings, `[rows, width]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Name of the tensor without `.weight`.
    pub stem: String,
    /// Number of rows.
    pub rows: usize,
    /// Number of elements of a row.
    pub width: usize,
}

/// The tables whose rows are added up for each token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Embeddings {
    /// By token id.
    pub words: Table,
    /// A token whose row gets no gradient (`padding_idx`).
    pub word_padding: Option<usize>,
    /// By position, see [`EncoderConfig::position_padding`](crate::EncoderConfig::position_padding).
    pub positions: Option<Table>,
    /// By token type, which is 0 unless a reader of the graph says otherwise.
    pub token_types: Option<Table>,
}

impl Embeddings {
    /// Those of an encoder that looks up nothing but words.
    pub(crate) fn of_words(words: Table, word_padding: Option<usize>) -> Self {
        Self { words, word_padding, positions: None, token_types: None }
    }
}

/// A linear layer: `stem.weight` `[output, input]` and, with a bias, `stem.bias` `[output]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linear {
    /// Name of the tensors without `.weight` and `.bias`.
    pub stem: String,
    /// Number of inputs.
    pub input: usize,
    /// Number of outputs.
    pub output: usize,
    /// Whether there is a bias.
    pub bias: bool,
}

impl Linear {
    /// A layer with this bias.
    pub fn new(stem: impl Into<String>, [output, input]: [usize; 2], bias: bool) -> Self {
        Self { stem: stem.into(), input, output, bias }
    }
}

/// A norm over the last axis, `[width]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Norm {
    /// Name of the tensors without `.weight` and `.bias`.
    pub stem: String,
    /// Number of elements.
    pub width: usize,
    /// Added to the variance, or to the mean square.
    pub eps: f64,
    /// The formula.
    pub kind: NormKind,
}

/// The formula of a norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormKind {
    /// `γ (x − mean) / √(variance + ε) + β` (Ba et al. 2016); without a bias, β is 0.
    Layer {
        /// Whether there is a β.
        bias: bool,
    },
    /// `γ x / √(mean(x²) + ε)` (Zhang and Sennrich 2019).
    Rms {
        /// Whether γ is 1 plus the stored weight, as in Gemma.
        one_plus: bool,
    },
}

/// A bias on attention scores by relative position: `stem.weight` `[buckets, heads]`, see [`RelativeBias::buckets`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelativeBias {
    /// The table; its rows are the buckets.
    pub table: Table,
    /// Distances from this one on share a row.
    pub max_distance: usize,
}

/// Which keys of its row a token sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mask {
    /// All.
    Full,
    /// Itself and those before it.
    Causal,
    /// Those at most this many tokens before or after it.
    Window(usize),
}

/// Rotary positions: elements `i` and `i + size / 2` of a query or a key are rotated as a pair, by the angle
/// `position · scale · θ^(−2i / size)` (Su et al. 2021, <https://arxiv.org/abs/2104.09864>, in the form of `rotate_half`
/// in transformers).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rotary {
    /// θ.
    pub theta: f64,
    /// A factor on all angles.
    pub scale: f64,
}

impl Rotary {
    /// The angle of each pair of elements at position 1, rounded to f32 as the reference rounds it.
    pub fn frequencies(&self, size: usize) -> Vec<f32> {
        let frequency = |i: usize| {
            let exponent = i as f32 / size as f32;
            1.0 / self.theta.powf(f64::from(exponent)) as f32 * self.scale as f32
        };
        (0..size).step_by(2).map(frequency).collect()
    }
}

/// Where queries, keys and values come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Projection {
    /// A layer each.
    Separate([Linear; 3]),
    /// One layer, whose outputs are all queries, then all keys, then all values.
    Stacked(Linear),
}

/// Attention of every row over its own tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct Attention {
    /// Where queries, keys and values come from.
    pub projection: Projection,
    /// Number of query heads.
    pub heads: usize,
    /// Number of heads of keys and values; each is shared by a group of adjacent query heads.
    pub key_value_heads: usize,
    /// Number of elements of a head.
    pub size: usize,
    /// Factor on the scores.
    pub scale: f64,
    /// The visible keys.
    pub mask: Mask,
    /// Norms over each head of the queries and of the keys, before the rotation.
    pub head_norms: Option<[Norm; 2]>,
    /// Rotary positions.
    pub rotary: Option<Rotary>,
}

impl Attention {
    /// As in BERT: every head has its own keys and values and sees all tokens, and scores are divided by `√size`, rounded
    /// as the kernels round it that compute it themselves.
    pub(crate) fn new(projection: Projection, heads: usize, size: usize) -> Self {
        Self {
            projection,
            heads,
            key_value_heads: heads,
            size,
            scale: f64::from(1.0 / (size as f32).sqrt()),
            mask: Mask::Full,
            head_norms: None,
            rotary: None,
        }
    }
}

/// The first matrices of a feed-forward part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inner {
    /// `act(W x)`
    Plain(Linear),
    /// `act(G x) · U x`
    Gated {
        /// G.
        gate: Linear,
        /// U.
        up: Linear,
    },
    /// `act(G x) · U x`, where G and U are the halves of one matrix.
    Stacked {
        /// G and U.
        linear: Linear,
        /// Whether G is the first half.
        gate_first: bool,
    },
}

impl Inner {
    /// Number of elements between the matrices.
    pub fn width(&self) -> usize {
        match self {
            Self::Plain(linear) | Self::Gated { gate: linear, .. } => linear.output,
            Self::Stacked { linear, .. } => linear.output / 2,
        }
    }
}

/// `W₂ inner(x)`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedForward {
    /// The first matrices.
    pub inner: Inner,
    /// act.
    pub activation: Activation,
    /// Whether dropout acts between the matrices, too.
    pub drops_inner: bool,
    /// W₂.
    pub output: Linear,
}

/// A mixture of experts: `Σ p_e · act(x W₁ₑᵀ) W₂ₑ + b` over the experts e with the largest probabilities
/// `p = softmax(router x)`, which are not normalised again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Experts {
    /// `[experts, width]`.
    pub router: Linear,
    /// Number of experts that compute a token.
    pub top: usize,
    /// Number of elements between the matrices of an expert.
    pub inner: usize,
    /// Name of W₁ of all experts, `[experts · inner, width]`.
    pub first: String,
    /// Name of W₂ of all experts, `[experts · inner, width]`.
    pub second: String,
    /// Name of b, `[width]`.
    pub bias: String,
    /// act.
    pub activation: Activation,
}
