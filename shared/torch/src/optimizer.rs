//! AdamW over flat buffers.

use tch::{Kind, Tensor};

use crate::TorchError;
use crate::ffi::adamw_step;

/// AdamW (Loshchilov and Hutter 2019), as `torch.optim.AdamW` computes it:
/// `θ ← θ·(1 − η·λ) − η / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε)`.
///
/// Works on one flat f32 buffer whose first `decayed` elements are subject to weight decay.
pub struct AdamW {
    /// β₁, the decay of the first moment.
    pub beta1: f64,
    /// β₂, the decay of the second moment.
    pub beta2: f64,
    /// ε, added to the root of the second moment.
    pub epsilon: f64,
    /// λ, for the first segment.
    weight_decay: f64,
    segments: [Segment; 2],
}

struct Segment {
    start: i64,
    length: i64,
    decays: bool,
    moment1: Tensor,
    moment2: Tensor,
    step: Tensor,
}

impl AdamW {
    /// An optimizer for the buffer `parameters`, f32 `[n]`, with moments of 0, β 0.9 and 0.999, ε 1e-8.
    pub fn new(parameters: &Tensor, decayed: i64, weight_decay: f64) -> Self {
        let options = (Kind::Float, parameters.device());
        let segment = |start: i64, length: i64, decays: bool| Segment {
            start,
            length,
            decays,
            moment1: Tensor::zeros([length], options),
            moment2: Tensor::zeros([length], options),
            step: Tensor::zeros([] as [i64; 0], options),
        };
        let total = parameters.size().iter().product::<i64>();
        let segments = [segment(0, decayed, true), segment(decayed, total - decayed, false)];
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay, segments }
    }

    /// One step.
    ///
    /// # Shapes
    /// - `parameters`, `grad`: `[n]`, f32; `grad` is divided by `divisor`, `[]`, in place.
    ///
    /// # Errors
    /// What libtorch says.
    pub fn step(
        &mut self,
        parameters: &Tensor,
        grad: &Tensor,
        learning_rate: f64,
        divisor: &Tensor,
    ) -> Result<(), TorchError> {
        for segment in &self.segments {
            let parameter = parameters.f_narrow(0, segment.start, segment.length)?;
            let grad = grad.f_narrow(0, segment.start, segment.length)?;
            let weight_decay = if segment.decays { self.weight_decay } else { 0.0 };
            let buffers = [&parameter, &grad, &segment.moment1, &segment.moment2];
            adamw_step(self, learning_rate, weight_decay, buffers, &segment.step, divisor)?;
        }
        Ok(())
    }
}
