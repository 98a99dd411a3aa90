//! The model's weights in flat buffers: one that is trained, with its gradients in another, and one that is not.
//!
//! Zeroing, clipping and the optimizer are then a handful of kernels instead of hundreds.

use std::cell::{Ref, RefCell};
use std::collections::HashMap;
use std::ops::Range;

use embtune_model::{NewWeights, Weights};
use embtune_torch::tch::{Device, Kind, Tensor};
use embtune_torch::{Segment, TorchError, leaf};

use crate::weights::lora::Lora;

/// A parameter as it comes into the buffers.
pub(crate) struct Spec {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    /// How it is trained; not at all if this is missing.
    pub(crate) training: Option<Group>,
    /// Its first values; those of the base model if this is missing.
    pub(crate) initial: Option<Vec<f32>>,
}

/// Parameters that share their optimizer's options.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Group {
    /// Factor on the learning rate.
    pub(crate) rate: f64,
    /// λ of AdamW.
    pub(crate) weight_decay: f64,
}

/// Flat buffers, and what stands where.
pub(crate) struct Parameters {
    /// f32 `[n]`.
    pub(crate) values: Tensor,
    /// f32 `[n]`.
    pub(crate) grads: Tensor,
    /// f32 `[m]`: what is not trained.
    frozen: Tensor,
    /// Groups of `values`, which lie behind each other.
    pub(crate) segments: Vec<Segment>,
    entries: Vec<Entry>,
    by_name: HashMap<String, usize>,
    leaves: RefCell<Vec<(Range<i64>, Tensor)>>,
}

struct Entry {
    name: String,
    length: i64,
    offset: i64,
    is_trained: bool,
}

impl Parameters {
    /// Lays out and loads all parameters, f32; those of a group stand together, in the order in which they are given.
    pub(crate) fn load(specs: Vec<Spec>, weights: &Weights, device: Device) -> anyhow::Result<Self> {
        let mut groups: Vec<Group> = Vec::new();
        for group in specs.iter().filter_map(|spec| spec.training) {
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        let mut all = Self {
            values: Tensor::new(),
            grads: Tensor::new(),
            frozen: Tensor::new(),
            segments: Vec::new(),
            entries: Vec::new(),
            by_name: HashMap::new(),
            leaves: RefCell::default(),
        };
        let mut trained = 0;
        for group in groups {
            let start = trained;
            for spec in specs.iter().filter(|spec| spec.training == Some(group)) {
                all.push(spec, &mut trained, true);
            }
            all.segments.push(Segment { range: start..trained, rate: group.rate, weight_decay: group.weight_decay });
        }
        let mut frozen = 0;
        for spec in specs.iter().filter(|spec| spec.training.is_none()) {
            all.push(spec, &mut frozen, false);
        }
        anyhow::ensure!(trained > 0, "every parameter is frozen: there is nothing to train");
        let zeros = |count| Tensor::f_zeros([count], (Kind::Float, device)).map_err(TorchError::from);
        (all.values, all.grads, all.frozen) = (zeros(trained)?, zeros(trained)?, zeros(frozen)?);
        for spec in specs {
            let place = all.place(&spec.name).ok_or_else(|| TorchError::new("parameter without a place"))?;
            let values = match spec.initial {
                Some(values) => Tensor::f_from_slice(&values).map_err(TorchError::from)?,
                None => base_values(weights, &spec.name)?,
            };
            all.view(place).and_then(|mut to| Ok(to.f_copy_(&values)?))?;
        }
        Ok(all)
    }

    fn push(&mut self, spec: &Spec, end: &mut i64, is_trained: bool) {
        let length = spec.shape.iter().product::<usize>() as i64;
        self.by_name.insert(spec.name.clone(), self.entries.len());
        self.entries.push(Entry { name: spec.name.clone(), length, offset: *end, is_trained });
        *end += length;
    }

    fn place(&self, name: &str) -> Option<&Entry> {
        self.by_name.get(name).map(|index| &self.entries[*index])
    }

    fn view(&self, entry: &Entry) -> Result<Tensor, TorchError> {
        let buffer = if entry.is_trained { &self.values } else { &self.frozen };
        Ok(buffer.f_narrow(0, entry.offset, entry.length)?)
    }

    /// Number of elements that are trained, and of those that are not.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.values.numel() as u64, self.frozen.numel() as u64)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// A leaf over one parameter, or over several that stand behind each other, as if it were one of `shape`; without
    /// a gradient if they are not trained.
    pub(crate) fn leaf(&self, names: &[String], shape: &[i64]) -> Result<Tensor, TorchError> {
        let missing = |name: &str| TorchError::new(format!("no parameter \"{name}\" where it is expected"));
        let first = names.first().and_then(|name| self.place(name)).ok_or_else(|| missing(&names.concat()))?;
        let mut length = 0;
        for name in names {
            let entry = self
                .place(name)
                .filter(|entry| entry.is_trained == first.is_trained && entry.offset == first.offset + length)
                .ok_or_else(|| missing(name))?;
            length += entry.length;
        }
        let view = |flat: &Tensor| Ok::<_, TorchError>(flat.f_narrow(0, first.offset, length)?.f_view(shape)?);
        if !first.is_trained {
            return view(&self.frozen);
        }
        let leaf = leaf(&view(&self.values)?, &view(&self.grads)?)?;
        self.leaves.borrow_mut().push((first.offset..first.offset + length, leaf.shallow_clone()));
        Ok(leaf)
    }

    /// All leaves that are trained, with their places in `values`, in the order in which a network has asked for them.
    pub(crate) fn leaves(&self) -> Ref<'_, [(Range<i64>, Tensor)]> {
        Ref::map(self.leaves.borrow(), Vec::as_slice)
    }

    /// The gradient of one parameter, flat.
    #[cfg(test)]
    pub(crate) fn grad(&self, name: &str) -> Option<Tensor> {
        self.place(name).filter(|entry| entry.is_trained).map(|entry| self.grads.narrow(0, entry.offset, entry.length))
    }

    /// What is trained as the base model has it: f32 `[n]`, on the CPU.
    pub(crate) fn base(&self, weights: &Weights) -> anyhow::Result<Tensor> {
        let base = Tensor::f_zeros(self.values.size(), (Kind::Float, Device::Cpu)).map_err(TorchError::from)?;
        for entry in self.entries.iter().filter(|entry| entry.is_trained) {
            base.narrow(0, entry.offset, entry.length).copy_(&base_values(weights, &entry.name)?);
        }
        Ok(base)
    }

    /// Whether the values in training are the base model's, or of LoRA's changes that there are none.
    pub(crate) fn is_base(&self, weights: &Weights) -> anyhow::Result<bool> {
        for entry in self.entries.iter().filter(|entry| entry.is_trained) {
            let values = self.view(entry)?.f_to_device(Device::Cpu).map_err(TorchError::from)?;
            let is_same = match Lora::begins_as_zero(&entry.name) {
                Some(true) => values == values.zeros_like(),
                Some(false) => true,
                None => values == base_values(weights, &entry.name)?,
            };
            if !is_same {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// All values by name.
    pub(crate) fn to_weights(&self) -> Result<NewWeights, TorchError> {
        self.entries
            .iter()
            .map(|entry| Ok((entry.name.clone(), Vec::<f32>::try_from(&self.view(entry)?.f_to_device(Device::Cpu)?)?)))
            .collect()
    }
}

fn base_values(weights: &Weights, name: &str) -> anyhow::Result<Tensor> {
    let loaded = weights.require(name)?.to_f32().map_err(|kind| anyhow::anyhow!("tensor \"{name}\" is {kind}"))?;
    anyhow::ensure!(loaded.iter().all(|x| x.is_finite()), "tensor \"{name}\" holds NaN or infinity");
    Ok(Tensor::f_from_slice(&loaded).map_err(TorchError::from)?)
}
