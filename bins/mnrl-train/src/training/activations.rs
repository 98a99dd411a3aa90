//! The memory of a forward pass, counted by following it.

use std::convert::Infallible;

use embtune_encoders::{
    Attention, Embeddings, Encoder, Experts, FeedForward, Inner, Linear, Mask, Norm, Ops, Part, Projection,
    RelativeBias,
};
use embtune_torch::tch::Kind;

/// What the operations of a forward pass keep for each token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Activations {
    /// Elements of the pass's type.
    elements: usize,
    /// The same, for each token of the row.
    elements_by_length: usize,
    /// Elements that are f32 in every pass.
    floats: usize,
    /// The most elements between two operations.
    widest: usize,
    is_embeddings: bool,
}

/// A hidden state: its number of elements, and whether the operation that made it keeps it.
#[derive(Clone, Copy)]
pub(crate) struct State {
    width: usize,
    is_kept: bool,
}

impl State {
    fn new(width: usize) -> Self {
        Self { width, is_kept: false }
    }
}

impl Activations {
    /// Follows the encoder's pass once.
    pub(crate) fn of(encoder: &Encoder) -> Self {
        let mut kept = Self { elements: 0, elements_by_length: 0, floats: 0, widest: 0, is_embeddings: true };
        let Ok(_): Result<State, Infallible> = encoder.forward(&mut kept);
        kept
    }

    /// Bytes that the backward pass needs for each token of a row of this length.
    pub(crate) fn bytes_per_token(&self, kind: Kind, length: usize) -> u64 {
        let elements = self.elements + self.elements_by_length * length;
        (elements * kind.elt_size_in_bytes() + self.floats * 4) as u64
    }

    /// Bytes that a pass needs for each token of its micro-batch, besides those it keeps: the inner states of one layer
    /// and their gradients.
    pub(crate) fn working_bytes_per_token(&self, kind: Kind) -> u64 {
        (4 * self.widest * kind.elt_size_in_bytes()) as u64
    }

    /// A linear layer keeps its input.
    fn keep_input(&mut self, x: &State) {
        self.elements += if x.is_kept { 0 } else { x.width };
    }

    fn widen(&mut self, width: usize) {
        self.widest = self.widest.max(width);
    }
}

impl Ops for Activations {
    type Value = State;
    type Bias = ();
    type Error = Infallible;

    fn begin(&mut self, part: Part) {
        self.is_embeddings = part == Part::Embeddings;
    }

    /// The rows of words and positions.
    fn embeddings(&mut self, embeddings: &Embeddings) -> Result<State, Infallible> {
        self.floats += 2 * embeddings.words.width;
        self.widen(embeddings.words.width);
        Ok(State::new(embeddings.words.width))
    }

    fn dropout(&mut self, x: &State) -> Result<State, Infallible> {
        Ok(*x)
    }

    fn scale(&mut self, x: &State, _factor: f64) -> Result<State, Infallible> {
        Ok(*x)
    }

    /// Its input, the mean and the deviation. The embeddings are f32.
    fn norm(&mut self, x: &State, _norm: &Norm) -> Result<State, Infallible> {
        if self.is_embeddings {
            self.floats += x.width;
        } else {
            self.elements += x.width;
            self.floats += 2;
        }
        Ok(State::new(x.width))
    }

    fn add(&mut self, residual: &State, _x: &State) -> Result<State, Infallible> {
        Ok(State::new(residual.width))
    }

    fn linear(&mut self, x: &State, linear: &Linear) -> Result<State, Infallible> {
        self.keep_input(x);
        Ok(State::new(linear.output))
    }

    fn relative_bias(&mut self, _bias: &RelativeBias) -> Result<(), Infallible> {
        Ok(())
    }

    /// Its input, queries, keys and values, the result, and a sum for each head. Where there is no fused kernel, the
    /// probabilities are kept before and after dropout and in f32, as are rotated queries and keys, and keys and values
    /// that are repeated for every head.
    fn attention(&mut self, x: &State, attention: &Attention, bias: Option<&()>) -> Result<State, Infallible> {
        let Attention { heads, key_value_heads, size, .. } = *attention;
        self.keep_input(x);
        let qkv = match &attention.projection {
            Projection::Separate(layers) => layers.iter().map(|layer| layer.output).sum(),
            Projection::Stacked(layer) => layer.output,
        };
        self.elements += qkv + heads * size;
        self.floats += heads;
        if attention.head_norms.is_some() {
            self.elements += qkv;
            self.floats += heads + key_value_heads;
        }
        let is_plain = attention.mask == Mask::Full && heads == key_value_heads && attention.rotary.is_none();
        if bias.is_some() || !is_plain {
            self.elements_by_length += 3 * heads;
        }
        if !is_plain {
            self.elements += qkv + 3 * heads * size;
        }
        Ok(State { width: heads * size, is_kept: true })
    }

    /// Its input, and the results of the first matrices.
    fn feed_forward(&mut self, x: &State, feed_forward: &FeedForward) -> Result<State, Infallible> {
        self.keep_input(x);
        let matrices = if matches!(feed_forward.inner, Inner::Plain(_)) { 1 } else { 2 };
        let inner = matrices * feed_forward.inner.width();
        self.elements += inner;
        self.widen(inner);
        Ok(State::new(feed_forward.output.output))
    }

    /// Its input, and for each chosen expert its rows before and after, and the inner state before and after the
    /// activation.
    fn experts(&mut self, x: &State, experts: &Experts) -> Result<State, Infallible> {
        self.keep_input(x);
        self.elements += experts.top * (2 * x.width + 2 * experts.inner) + 2 * experts.router.output;
        self.widen(experts.top * experts.inner);
        Ok(State::new(x.width))
    }
}
