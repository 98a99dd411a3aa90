//! A forward pass that computes nothing, but visits everything that it would read.

use std::convert::Infallible;

use crate::ops::{
    Attention, Embeddings, Experts, FeedForward, Inner, Linear, Mask, Norm, NormKind, Ops, Part, Projection,
    RelativeBias, Table,
};

/// Sees the tensors of an encoder in the order in which a forward pass reads them.
pub trait Visitor {
    /// Why a tensor cannot be used.
    type Error;

    /// Says which part of the encoder the following tensors belong to.
    fn part(&mut self, _part: Part) {}

    /// A table of embeddings.
    ///
    /// # Errors
    /// Those of the visitor.
    fn table(&mut self, table: &Table) -> Result<(), Self::Error>;

    /// Linear layers that read the same input, so that they can be computed as one.
    ///
    /// # Errors
    /// Those of the visitor.
    fn linear(&mut self, layers: &[&Linear]) -> Result<(), Self::Error>;

    /// A norm.
    ///
    /// # Errors
    /// Those of the visitor.
    fn norm(&mut self, norm: &Norm) -> Result<(), Self::Error>;

    /// A mixture of experts.
    ///
    /// # Errors
    /// Those of the visitor.
    fn experts(&mut self, experts: &Experts) -> Result<(), Self::Error>;

    /// An attention, whose projections and norms have been visited.
    ///
    /// # Errors
    /// Those of the visitor.
    fn attention(&mut self, _attention: &Attention, _has_bias: bool) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// The interpreter that calls a visitor.
pub(crate) struct Walk<'a, V>(pub(crate) &'a mut V);

impl<V: Visitor> Ops for Walk<'_, V> {
    type Value = ();
    type Bias = ();
    type Error = V::Error;

    fn begin(&mut self, part: Part) {
        self.0.part(part);
    }

    fn embeddings(&mut self, embeddings: &Embeddings) -> Result<(), V::Error> {
        let Embeddings { words, positions, token_types, .. } = embeddings;
        [Some(words), positions.as_ref(), token_types.as_ref()].into_iter().flatten().try_for_each(|t| self.0.table(t))
    }

    fn dropout(&mut self, (): &()) -> Result<(), V::Error> {
        Ok(())
    }

    fn scale(&mut self, (): &(), _factor: f64) -> Result<(), V::Error> {
        Ok(())
    }

    fn norm(&mut self, (): &(), norm: &Norm) -> Result<(), V::Error> {
        self.0.norm(norm)
    }

    fn add(&mut self, (): &(), (): &()) -> Result<(), V::Error> {
        Ok(())
    }

    fn linear(&mut self, (): &(), linear: &Linear) -> Result<(), V::Error> {
        self.0.linear(&[linear])
    }

    fn relative_bias(&mut self, bias: &RelativeBias) -> Result<(), V::Error> {
        self.0.table(&bias.table)
    }

    fn attention(&mut self, (): &(), attention: &Attention, bias: Option<&()>) -> Result<(), V::Error> {
        match &attention.projection {
            Projection::Separate([query, key, value]) => self.0.linear(&[query, key, value])?,
            Projection::Stacked(linear) => self.0.linear(&[linear])?,
        }
        attention.head_norms.iter().flatten().try_for_each(|norm| self.0.norm(norm))?;
        self.0.attention(attention, bias.is_some())
    }

    fn feed_forward(&mut self, (): &(), feed_forward: &FeedForward) -> Result<(), V::Error> {
        match &feed_forward.inner {
            Inner::Plain(linear) | Inner::Stacked { linear, .. } => self.0.linear(&[linear])?,
            Inner::Gated { gate, up } => self.0.linear(&[gate, up])?,
        }
        self.0.linear(&[&feed_forward.output])
    }

    fn experts(&mut self, (): &(), experts: &Experts) -> Result<(), V::Error> {
        self.0.linear(&[&experts.router])?;
        self.0.experts(experts)
    }
}

/// A tensor of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Hugging Face name, without the prefix that some checkpoints add.
    pub name: String,
    /// Sizes, outermost first; a linear layer is `[out, in]`.
    pub shape: Vec<usize>,
    /// What it serves.
    pub kind: ParameterKind,
    /// The part of the model that it belongs to.
    pub part: Part,
}

/// What a tensor serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterKind {
    /// Rows that are looked up.
    Table,
    /// The weight of a linear layer.
    Linear,
    /// The weight of a norm.
    Norm,
    /// The bias of a linear layer or of a norm.
    Bias,
    /// The matrices of all experts.
    Experts,
}

impl Linear {
    /// The tensors of a layer that belongs to this part of a model: the weight, then the bias if there is one.
    pub fn parameters(&self, part: Part) -> Vec<Parameter> {
        let name = |suffix: &str| format!("{}.{suffix}", self.stem);
        let weight = (name("weight"), vec![self.output, self.input], ParameterKind::Linear);
        let bias = self.bias.then(|| (name("bias"), vec![self.output], ParameterKind::Bias));
        let parameter = |(name, shape, kind)| Parameter { name, shape, kind, part };
        [weight].into_iter().chain(bias).map(parameter).collect()
    }
}

/// Collects the tensors of an encoder.
pub(crate) struct Collector {
    part: Part,
    pub(crate) parameters: Vec<Parameter>,
    /// Whether every attention so far is one over all tokens, without a bias.
    pub(crate) is_plain: bool,
}

impl Collector {
    pub(crate) fn new() -> Self {
        Self { part: Part::Embeddings, parameters: Vec::new(), is_plain: true }
    }

    fn push(&mut self, name: String, shape: &[usize], kind: ParameterKind) {
        self.parameters.push(Parameter { name, shape: shape.to_vec(), kind, part: self.part });
    }
}

impl Visitor for Collector {
    type Error = Infallible;

    fn part(&mut self, part: Part) {
        self.part = part;
    }

    fn table(&mut self, table: &Table) -> Result<(), Infallible> {
        self.push(format!("{}.weight", table.stem), &[table.rows, table.width], ParameterKind::Table);
        Ok(())
    }

    fn linear(&mut self, layers: &[&Linear]) -> Result<(), Infallible> {
        self.parameters.extend(layers.iter().flat_map(|linear| linear.parameters(self.part)));
        Ok(())
    }

    fn norm(&mut self, norm: &Norm) -> Result<(), Infallible> {
        self.push(format!("{}.weight", norm.stem), &[norm.width], ParameterKind::Norm);
        if norm.kind == (NormKind::Layer { bias: true }) {
            self.push(format!("{}.bias", norm.stem), &[norm.width], ParameterKind::Bias);
        }
        Ok(())
    }

    fn experts(&mut self, experts: &Experts) -> Result<(), Infallible> {
        let (rows, width) = (experts.router.output.saturating_mul(experts.inner), experts.router.input);
        self.push(experts.first.clone(), &[rows, width], ParameterKind::Experts);
        self.push(experts.second.clone(), &[rows, width], ParameterKind::Experts);
        self.push(experts.bias.clone(), &[width], ParameterKind::Bias);
        Ok(())
    }

    fn attention(&mut self, attention: &Attention, has_bias: bool) -> Result<(), Infallible> {
        self.is_plain &= attention.mask == Mask::Full && !has_bias;
        Ok(())
    }
}
