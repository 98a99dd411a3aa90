//! The model's weights in flat buffers: one for trained parameters, one for their gradients, and one for frozen ones.
//!
//! Zeroing, clipping and the optimizer then take a handful of kernels instead of hundreds.

use std::cell::{Ref, RefCell};
use std::collections::HashMap;
use std::ops::Range;

use embtune_model::{NewWeights, Weights};
use embtune_torch::tch::{Device, Kind, Tensor};
use embtune_torch::{ParamGroup, TorchError, leaf};

/// A parameter before it is placed in the buffers.
pub(crate) struct ParamSpec {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    /// How it is trained; `None` if it is frozen.
    pub(crate) training: Option<ParamOptions>,
    pub(crate) initial: Initial,
}

/// The optimizer's options for a parameter; parameters with equal options form a group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ParamOptions {
    /// Factor on the learning rate.
    pub(crate) lr_scale: f64,
    /// λ of AdamW.
    pub(crate) weight_decay: f64,
}

/// The initial values of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Initial {
    /// Those of the base model.
    BaseModel,
    /// Zeros. As long as they are zeros, the parameter does not change the model.
    Zeros,
    /// These. They alone do not change the model, as LoRA's A does not without its B.
    Values(Vec<f32>),
}

/// Flat buffers, and where each parameter is in them.
pub(crate) struct Parameters {
    /// Trained values, f32 `[n]`.
    pub(crate) values: Tensor,
    /// Their gradients, f32 `[n]`.
    pub(crate) grads: Tensor,
    /// Frozen values, f32 `[m]`.
    frozen: Tensor,
    /// Consecutive ranges of `values` with equal options.
    pub(crate) groups: Vec<ParamGroup>,
    entries: Vec<Entry>,
    by_name: HashMap<String, usize>,
    leaves: RefCell<Vec<(Range<i64>, Tensor)>>,
}

struct Entry {
    name: String,
    length: i64,
    offset: i64,
    is_trained: bool,
    /// With empty `Values`, which [`Parameters::is_base`] does not need.
    initial: Initial,
}

impl Parameters {
    /// Arranges and loads all parameters, f32. Those of a group are consecutive, in the order of `specs`.
    ///
    /// # Errors
    /// Nothing to train, or base weights that are missing or not finite.
    pub(crate) fn load(specs: Vec<ParamSpec>, weights: &Weights, device: Device) -> anyhow::Result<Self> {
        let mut groups: Vec<ParamOptions> = Vec::new();
        for options in specs.iter().filter_map(|spec| spec.training) {
            if !groups.contains(&options) {
                groups.push(options);
            }
        }
        let mut all = Self {
            values: Tensor::new(),
            grads: Tensor::new(),
            frozen: Tensor::new(),
            groups: Vec::new(),
            entries: Vec::new(),
            by_name: HashMap::new(),
            leaves: RefCell::default(),
        };
        let mut trained = 0;
        for options in groups {
            let start = trained;
            for spec in specs.iter().filter(|spec| spec.training == Some(options)) {
                all.push(spec, &mut trained, true);
            }
            let ParamOptions { lr_scale, weight_decay } = options;
            all.groups.push(ParamGroup { range: start..trained, lr_scale, weight_decay });
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
                Initial::BaseModel => base_values(weights, &spec.name)?,
                Initial::Zeros => continue,
                Initial::Values(values) => Tensor::f_from_slice(&values).map_err(TorchError::from)?,
            };
            all.view(place).and_then(|mut to| Ok(to.f_copy_(&values)?))?;
        }
        Ok(all)
    }

    fn push(&mut self, spec: &ParamSpec, end: &mut i64, is_trained: bool) {
        let length = spec.shape.iter().product::<usize>() as i64;
        self.by_name.insert(spec.name.clone(), self.entries.len());
        let initial = match &spec.initial {
            Initial::Values(_) => Initial::Values(Vec::new()),
            other => other.clone(),
        };
        self.entries.push(Entry { name: spec.name.clone(), length, offset: *end, is_trained, initial });
        *end += length;
    }

    fn place(&self, name: &str) -> Option<&Entry> {
        self.by_name.get(name).map(|index| &self.entries[*index])
    }

    fn view(&self, entry: &Entry) -> Result<Tensor, TorchError> {
        let buffer = if entry.is_trained { &self.values } else { &self.frozen };
        Ok(buffer.f_narrow(0, entry.offset, entry.length)?)
    }

    /// Number of elements that are trained, and of those that are frozen.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.values.numel() as u64, self.frozen.numel() as u64)
    }

    /// A leaf of this shape over one parameter, or over several consecutive ones; without a gradient if they are
    /// frozen.
    ///
    /// # Errors
    /// A parameter that does not exist or does not follow the one before.
    pub(crate) fn leaf(&self, names: &[String], shape: &[i64]) -> Result<Tensor, TorchError> {
        let missing = |name: &str| TorchError::new(format!("parameter \"{name}\" is not where it is expected"));
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

    /// All trained leaves with their ranges in `values`, in the order in which the network has created them.
    pub(crate) fn leaves(&self) -> Ref<'_, [(Range<i64>, Tensor)]> {
        Ref::map(self.leaves.borrow(), Vec::as_slice)
    }

    /// The gradient of one parameter, flat.
    #[cfg(test)]
    pub(crate) fn grad(&self, name: &str) -> Option<Tensor> {
        self.place(name).filter(|entry| entry.is_trained).map(|entry| self.grads.narrow(0, entry.offset, entry.length))
    }

    /// The base model's values of the trained parameters: f32 `[n]`, on the CPU.
    ///
    /// # Errors
    /// A parameter that the base model does not have.
    pub(crate) fn base(&self, weights: &Weights) -> anyhow::Result<Tensor> {
        let base = Tensor::f_zeros(self.values.size(), (Kind::Float, Device::Cpu)).map_err(TorchError::from)?;
        for entry in self.entries.iter().filter(|entry| entry.is_trained) {
            base.narrow(0, entry.offset, entry.length).copy_(&base_values(weights, &entry.name)?);
        }
        Ok(base)
    }

    /// Whether the model in training is still the base model.
    ///
    /// # Errors
    /// Base weights that are missing or not finite.
    pub(crate) fn is_base(&self, weights: &Weights) -> anyhow::Result<bool> {
        for entry in self.entries.iter().filter(|entry| entry.is_trained) {
            let values = self.view(entry)?.f_to_device(Device::Cpu).map_err(TorchError::from)?;
            let is_same = match entry.initial {
                Initial::BaseModel => values == base_values(weights, &entry.name)?,
                Initial::Zeros => values == values.zeros_like(),
                Initial::Values(_) => true,
            };
            if !is_same {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// All values by name; with LoRA, its matrices are separate from the weights they change.
    ///
    /// # Errors
    /// An error of libtorch.
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
