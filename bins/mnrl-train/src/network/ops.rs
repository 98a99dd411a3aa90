//! The operations of encoders, computed by libtorch over packed tokens.

use embtune_encoders::{
    Activation, Attention, Embeddings, Experts, FeedForward, Inner, Linear, Mask, Norm, Ops, Projection, RelativeBias,
    Table,
};
use embtune_torch::tch::{Device, Kind, Tensor};
use embtune_torch::{self as torch, Dropout, Gate, TorchError};

use super::layers::Layers;
use super::{Packed, Pass};

/// A forward pass under way.
pub(crate) struct Forward<'a> {
    layers: &'a Layers,
    packed: &'a Packed,
    pass: Pass,
    /// The dropouts so far, which number the sites of the network.
    sites: i64,
}

impl<'a> Forward<'a> {
    pub(crate) fn new(layers: &'a Layers, packed: &'a Packed, pass: Pass) -> Self {
        Self { layers, packed, pass, sites: 0 }
    }

    /// Dropout at the next site.
    fn next_dropout(&mut self, p: f64) -> Dropout<'a> {
        let site = self.sites;
        self.sites += 1;
        Dropout { keys: &self.packed.keys, site, p }
    }

    fn look_up(&self, table: &Table, rows: &Tensor, padding: Option<usize>) -> Result<Tensor, TorchError> {
        let table = self.layers.table(table)?;
        // A sparse gradient saves the CPU a zeroed copy of the whole table; on CUDA only the dense kernel is
        // deterministic.
        let sparse = table.device() == Device::Cpu;
        Ok(Tensor::f_embedding(table, rows, padding.map_or(-1, |row| row as i64), false, sparse)?)
    }

    /// Queries, keys and values of all tokens, `[tokens, (heads + 2 · key_value_heads) · size]`.
    fn projections(&self, x: &Tensor, attention: &Attention) -> Result<Tensor, TorchError> {
        let (Projection::Separate([linear, ..]) | Projection::Stacked(linear)) = &attention.projection;
        self.layers.linear(linear)?.apply(x)
    }
}

impl Ops for Forward<'_> {
    /// `[tokens, width]`: f32 until the dropout at the end of the embeddings, then of the pass's type.
    type Value = Tensor;
    /// f32 `[heads, 2 · most + 1]`, by the offset of the key from the query.
    type Bias = Tensor;
    type Error = TorchError;

    fn embeddings(&mut self, embeddings: &Embeddings) -> Result<Tensor, TorchError> {
        let mut sum = self.look_up(&embeddings.words, &self.packed.input_ids, embeddings.word_padding)?;
        sum = sum.f_to_kind(Kind::Float)?;
        if let Some(types) = &embeddings.token_types {
            sum = sum.f_add(&self.layers.table(types)?.f_narrow(0, 0, 1)?)?;
        }
        if let Some(positions) = &embeddings.positions {
            let padding = self.packed.position_padding;
            sum = sum.f_add(&self.look_up(positions, &self.packed.positions, padding)?)?;
        }
        Ok(sum)
    }

    fn dropout(&mut self, x: &Tensor) -> Result<Tensor, TorchError> {
        let dropout = self.next_dropout(self.pass.hidden_dropout);
        Ok(dropout.apply(x)?.f_to_kind(self.pass.kind)?)
    }

    fn scale(&mut self, x: &Tensor, factor: f64) -> Result<Tensor, TorchError> {
        Ok(x.f_mul_scalar(factor)?)
    }

    fn norm(&mut self, x: &Tensor, norm: &Norm) -> Result<Tensor, TorchError> {
        self.layers.norm(norm)?.norm().apply(x)
    }

    fn add(&mut self, residual: &Tensor, x: &Tensor) -> Result<Tensor, TorchError> {
        let dropout = self.next_dropout(self.pass.hidden_dropout);
        torch::add(residual, x, dropout)
    }

    fn add_norm(&mut self, residual: &Tensor, x: &Tensor, norm: &Norm) -> Result<Tensor, TorchError> {
        let dropout = self.next_dropout(self.pass.hidden_dropout);
        torch::add_norm(residual, x, self.layers.norm(norm)?.norm(), dropout)
    }

    fn linear(&mut self, x: &Tensor, linear: &Linear) -> Result<Tensor, TorchError> {
        self.layers.linear(linear)?.apply(x)
    }

    fn relative_bias(&mut self, bias: &RelativeBias) -> Result<Tensor, TorchError> {
        let table = self.layers.table(&bias.table)?;
        let rows: Vec<_> = bias.buckets(bias.last_start()).into_iter().map(|bucket| bucket as i64).collect();
        let rows = Tensor::f_from_slice(&rows)?.f_to_device(table.device())?;
        Ok(table.f_index_select(0, &rows)?.f_transpose(0, 1)?.f_contiguous()?)
    }

    fn attention(&mut self, x: &Tensor, attention: &Attention, bias: Option<&Tensor>) -> Result<Tensor, TorchError> {
        let (heads, kv_heads) = (attention.heads as i64, attention.key_value_heads as i64);
        let mut qkv = self.projections(x, attention)?;
        if let Some([query, key]) = &attention.head_norms {
            let (query, key) = (self.layers.norm(query)?.norm(), self.layers.norm(key)?.norm());
            qkv = torch::head_norm(&qkv, heads, kv_heads, query, key)?;
        }
        let rotary = attention.rotary.map(|rotary| self.layers.rotary(rotary, attention.size)).transpose()?;
        let options = torch::Attention {
            heads,
            kv_heads,
            size: attention.size as i64,
            scale: attention.scale,
            mask: match attention.mask {
                Mask::Full => torch::Mask::Full,
                Mask::Causal => torch::Mask::Causal,
                Mask::Window(reach) => torch::Mask::Window(reach as i64),
            },
            rotary,
            bias,
        };
        let dropout = self.next_dropout(self.pass.attention_dropout);
        torch::attention(&qkv, &self.packed.sequences, options, dropout)
    }

    fn feed_forward(&mut self, x: &Tensor, feed_forward: &FeedForward) -> Result<Tensor, TorchError> {
        let kind = self.pass.kind;
        let activation = activation(feed_forward.activation);
        let output = self.layers.linear(&feed_forward.output)?;
        let (Inner::Plain(first) | Inner::Gated { gate: first, .. } | Inner::Stacked { linear: first, .. }) =
            &feed_forward.inner;
        let first = self.layers.linear(first)?;
        if feed_forward.drops_inner {
            let dropout = self.next_dropout(self.pass.hidden_dropout);
            if dropout.p > 0.0 {
                let inner = activated(&first.apply(x)?, &feed_forward.inner, activation)?;
                return output.apply(&dropout.apply(&inner)?);
            }
        }
        let (first, output) = (first.cast(kind)?, output.cast(kind)?);
        match feed_forward.inner {
            Inner::Plain(_) => torch::feed_forward(x, first.linear(), activation, output.linear()),
            Inner::Gated { .. } | Inner::Stacked { gate_first: true, .. } => {
                torch::gated_feed_forward(x, Gate::GateFirst(first.linear()), activation, output.linear())
            }
            Inner::Stacked { gate_first: false, .. } => {
                torch::gated_feed_forward(x, Gate::UpFirst(first.linear()), activation, output.linear())
            }
        }
    }

    fn experts(&mut self, x: &Tensor, experts: &Experts) -> Result<Tensor, TorchError> {
        let cast = |name| Ok::<_, TorchError>(self.layers.expert(name)?.f_to_kind(x.kind())?);
        let router = self.layers.linear(&experts.router)?.cast(x.kind())?;
        torch::Experts {
            router: router.linear().weight,
            first: &cast(&experts.first)?,
            second: &cast(&experts.second)?,
            bias: Some(&cast(&experts.bias)?),
            chosen: experts.top as i64,
            activation: activation(experts.activation),
        }
        .apply(x)
    }
}

fn activation(activation: Activation) -> torch::Activation {
    match activation {
        Activation::Gelu => torch::Activation::Gelu,
        Activation::GeluTanh => torch::Activation::GeluTanh,
        Activation::Relu => torch::Activation::Relu,
        Activation::Silu => torch::Activation::Silu,
    }
}

/// What is between the matrices of a feed-forward part, from the output of the first one: `act(y)`, or `act(G) · U` of
/// its halves.
fn activated(y: &Tensor, inner: &Inner, activation: torch::Activation) -> Result<Tensor, TorchError> {
    let gate_first = match inner {
        Inner::Plain(_) => return activation.apply(y),
        Inner::Gated { .. } => true,
        Inner::Stacked { gate_first, .. } => *gate_first,
    };
    let halves = y.f_chunk(2, -1)?;
    let (gate, up) = if gate_first { (&halves[0], &halves[1]) } else { (&halves[1], &halves[0]) };
    Ok(activation.apply(gate)?.f_mul(up)?)
}
