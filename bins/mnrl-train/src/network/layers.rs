//! All tables, linear layers and norms of an encoder, as leaves of the parameters.

use std::collections::HashMap;

use embtune_encoders::{Attention, Encoder, Experts, Linear, Norm, Part, Table, Visitor};
use embtune_torch::tch::Tensor;
use embtune_torch::{Rotary, TorchError};

use super::linear::{Affine, Builder, NormLeaves};

/// Everything that a forward pass reads, by the stem of its name; fused layers by that of the first one.
#[derive(Default)]
pub(crate) struct Layers {
    tables: HashMap<String, Tensor>,
    linears: HashMap<String, Affine>,
    norms: HashMap<String, NormLeaves>,
    /// The tensors of mixtures of experts, by their whole names.
    experts: HashMap<String, Tensor>,
    rotary: Vec<(embtune_encoders::Rotary, usize, Rotary)>,
}

impl Layers {
    /// Creates the leaves in the order of the forward pass.
    ///
    /// # Errors
    /// A parameter that does not exist.
    pub(crate) fn new(encoder: &Encoder, builder: Builder<'_>) -> Result<Self, TorchError> {
        let mut loader = Loader { builder, is_layer: false, layers: Self::default() };
        encoder.visit(&mut loader)?;
        Ok(loader.layers)
    }

    pub(crate) fn table(&self, table: &Table) -> Result<&Tensor, TorchError> {
        self.tables.get(&table.stem).ok_or_else(|| missing(&table.stem))
    }

    pub(crate) fn linear(&self, linear: &Linear) -> Result<&Affine, TorchError> {
        self.linears.get(&linear.stem).ok_or_else(|| missing(&linear.stem))
    }

    pub(crate) fn norm(&self, norm: &Norm) -> Result<&NormLeaves, TorchError> {
        self.norms.get(&norm.stem).ok_or_else(|| missing(&norm.stem))
    }

    /// The angles for heads of this size.
    pub(crate) fn rotary(&self, rotary: embtune_encoders::Rotary, size: usize) -> Result<&Rotary, TorchError> {
        let known = self.rotary.iter().find(|(kind, of, _)| (*kind, *of) == (rotary, size));
        known.map(|(_, _, angles)| angles).ok_or_else(|| missing("rotary positions"))
    }

    pub(crate) fn expert(&self, name: &str) -> Result<&Tensor, TorchError> {
        self.experts.get(name).ok_or_else(|| missing(name))
    }
}

fn missing(name: &str) -> TorchError {
    TorchError::new(format!("the encoder does not have \"{name}\""))
}

/// Visits an encoder and creates its leaves.
struct Loader<'a> {
    builder: Builder<'a>,
    /// Whether the part at hand is a layer: only its linear layers can be adapted.
    is_layer: bool,
    layers: Layers,
}

impl Loader<'_> {
    fn add_rotary(&mut self, rotary: embtune_encoders::Rotary, size: usize) -> Result<(), TorchError> {
        if self.layers.rotary(rotary, size).is_err() {
            let frequencies = Tensor::f_from_slice(&rotary.frequencies(size))?;
            self.layers.rotary.push((rotary, size, Rotary::with_frequencies(&frequencies)?));
        }
        Ok(())
    }
}

impl Visitor for Loader<'_> {
    type Error = TorchError;

    fn part(&mut self, part: Part) {
        self.is_layer = matches!(part, Part::Layer(_));
    }

    fn table(&mut self, table: &Table) -> Result<(), TorchError> {
        let leaf = self.builder.table(&table.stem, table.rows, table.width)?;
        self.layers.tables.insert(table.stem.clone(), leaf);
        Ok(())
    }

    fn linear(&mut self, layers: &[&Linear]) -> Result<(), TorchError> {
        let lora = self.builder.lora.filter(|_| self.is_layer);
        let affine = Builder { lora, ..self.builder }.linear(layers)?;
        let Some(first) = layers.first() else { return Ok(()) };
        self.layers.linears.insert(first.stem.clone(), affine);
        Ok(())
    }

    fn norm(&mut self, norm: &Norm) -> Result<(), TorchError> {
        self.layers.norms.insert(norm.stem.clone(), self.builder.norm(norm)?);
        Ok(())
    }

    fn attention(&mut self, attention: &Attention, _has_bias: bool) -> Result<(), TorchError> {
        attention.rotary.map_or(Ok(()), |rotary| self.add_rotary(rotary, attention.size))
    }

    fn experts(&mut self, experts: &Experts) -> Result<(), TorchError> {
        let width = experts.router.input as i64;
        let rows = (experts.router.output * experts.inner) as i64;
        for (name, shape) in
            [(&experts.first, &[rows, width][..]), (&experts.second, &[rows, width]), (&experts.bias, &[width])]
        {
            let leaf = self.builder.parameters.leaf(std::slice::from_ref(name), shape)?;
            self.layers.experts.insert(name.clone(), leaf);
        }
        Ok(())
    }
}
