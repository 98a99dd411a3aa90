//! The encoder's weights in one flat buffer, their gradients in another.
//!
//! Zeroing, clipping and the optimizer are then a handful of kernels instead of hundreds.

use embtune_model::{EncoderConfig, NewWeights, Parameter, Weights};
use embtune_torch::tch::{Device, Kind, Tensor};
use embtune_torch::{TorchError, leaf};

/// Flat buffers, and what stands where.
pub(crate) struct Parameters {
    /// f32 `[n]`: first all matrices, which weight decay applies to, then all vectors.
    pub(crate) values: Tensor,
    /// f32 `[n]`.
    pub(crate) grads: Tensor,
    /// Number of elements that weight decay applies to.
    pub(crate) decayed: i64,
    entries: Vec<Entry>,
}

struct Entry {
    parameter: Parameter,
    offset: i64,
}

impl Entry {
    fn length(&self) -> i64 {
        self.parameter.shape.iter().product::<usize>() as i64
    }
}

impl Parameters {
    /// Loads a model's weights as f32.
    pub(crate) fn load(config: &EncoderConfig, weights: &Weights, device: Device) -> anyhow::Result<Self> {
        // The reference's groups: biases and layer norms, which are the vectors, do not decay.
        let (matrices, vectors): (Vec<_>, Vec<_>) =
            config.parameters().into_iter().partition(|parameter| parameter.shape.len() > 1);
        let mut entries = Vec::new();
        let mut offset = 0;
        let mut decayed = 0;
        for parameter in matrices.into_iter().chain(vectors) {
            let entry = Entry { parameter, offset };
            offset += entry.length();
            if entry.parameter.shape.len() > 1 {
                decayed = offset;
            }
            entries.push(entry);
        }
        let options = (Kind::Float, device);
        let values = Tensor::f_zeros([offset], options).map_err(TorchError::from)?;
        for entry in &entries {
            let name = &entry.parameter.name;
            let loaded =
                weights.require(name)?.to_f32().map_err(|kind| anyhow::anyhow!("tensor \"{name}\" is {kind}"))?;
            anyhow::ensure!(loaded.iter().all(|x| x.is_finite()), "tensor \"{name}\" holds NaN or infinity");
            let loaded = Tensor::f_from_slice(&loaded).map_err(TorchError::from)?;
            values.narrow(0, entry.offset, entry.length()).copy_(&loaded);
        }
        let grads = Tensor::f_zeros([offset], options).map_err(TorchError::from)?;
        Ok(Self { values, grads, decayed, entries })
    }

    /// A leaf over one parameter, or over several that stand behind each other, as if it were one of `shape`.
    pub(crate) fn leaf(&self, names: &[String], shape: &[i64]) -> Result<Tensor, TorchError> {
        let missing = |name: &String| TorchError::new(format!("no parameter \"{name}\""));
        let first = names.first().and_then(|name| self.find(name)).ok_or_else(|| missing(&names.concat()))?;
        let mut length = 0;
        for name in names {
            let entry =
                self.find(name).filter(|entry| entry.offset == first.offset + length).ok_or_else(|| missing(name))?;
            length += entry.length();
        }
        let view = |flat: &Tensor| Ok::<_, TorchError>(flat.f_narrow(0, first.offset, length)?.f_view(shape)?);
        leaf(&view(&self.values)?, &view(&self.grads)?)
    }

    fn find(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.parameter.name == name)
    }

    /// The gradient of one parameter, flat.
    #[cfg(test)]
    pub(crate) fn grad(&self, name: &str) -> Option<Tensor> {
        self.find(name).map(|entry| self.grads.narrow(0, entry.offset, entry.length()))
    }

    /// All values by name, as they are saved.
    pub(crate) fn to_weights(&self) -> Result<NewWeights, TorchError> {
        let values = self.values.f_to_device(Device::Cpu)?;
        self.entries
            .iter()
            .map(|entry| {
                let values = values.f_narrow(0, entry.offset, entry.length())?;
                Ok((entry.parameter.name.clone(), Vec::<f32>::try_from(&values)?))
            })
            .collect()
    }
}
