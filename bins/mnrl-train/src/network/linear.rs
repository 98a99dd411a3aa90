//! Linear layers and norms over the flat parameters.

use std::cell::RefCell;
use std::rc::Rc;

use embtune_encoders as encoders;
use embtune_torch::tch::{Kind, Tensor, no_grad, with_grad};
use embtune_torch::{Linear, Norm, NormKind, TorchError};

use crate::weights::lora::Lora;
use crate::weights::parameters::Parameters;

/// Builds the layers of a network from the parameters.
#[derive(Clone, Copy)]
pub(crate) struct Builder<'a> {
    pub(crate) parameters: &'a Parameters,
    pub(crate) lora: Option<&'a Lora>,
}

impl Builder<'_> {
    /// An embedding table, `[rows, width]`.
    pub(crate) fn table(&self, stem: &str, rows: usize, width: usize) -> Result<Tensor, TorchError> {
        self.parameters.leaf(&[format!("{stem}.weight")], &[rows as i64, width as i64])
    }

    /// Linear layers that read the same input, fused into one.
    pub(crate) fn linear(&self, layers: &[&encoders::Linear]) -> Result<Affine, TorchError> {
        let names = |part: &str| layers.iter().map(|layer| format!("{}.{part}", layer.stem)).collect::<Vec<_>>();
        let rows = layers.iter().map(|layer| layer.output as i64).sum();
        let columns = layers.first().map_or(0, |layer| layer.input as i64);
        let weight = self.parameters.leaf(&names("weight"), &[rows, columns])?;
        let has_bias = layers.iter().all(|layer| layer.bias);
        let bias = has_bias.then(|| self.parameters.leaf(&names("bias"), &[rows])).transpose()?;
        let adapter = self.lora.map_or(Ok(None), |lora| Adapter::new(self.parameters, lora, layers))?;
        Ok(Affine { weight, bias, adapter, last: RefCell::default() })
    }

    /// A norm, `[width]`.
    pub(crate) fn norm(&self, norm: &encoders::Norm) -> Result<NormLeaves, TorchError> {
        let leaf = |part: &str| self.parameters.leaf(&[format!("{}.{part}", norm.stem)], &[norm.width as i64]);
        let (kind, has_bias) = match norm.kind {
            encoders::NormKind::Layer { bias } => (NormKind::Layer, bias),
            encoders::NormKind::Rms { one_plus } => (NormKind::Rms { one_plus }, false),
        };
        let bias = has_bias.then(|| leaf("bias")).transpose()?;
        Ok(NormLeaves { weight: leaf("weight")?, bias, eps: norm.eps, kind })
    }
}

/// Weight `[out, in]` and bias `[out]`, f32, with LoRA's change of the weight.
pub(crate) struct Affine {
    weight: Tensor,
    bias: Option<Tensor>,
    adapter: Option<Adapter>,
    /// The last cast, which all micro-batches of a step share.
    last: RefCell<Option<Rc<Cast>>>,
}

/// A low-rank change B A of a weight, f32: A is `[rank, in]`, B `[out, rank]`. In a fused layer, each part that is
/// changed has its own rows of A and columns of B.
struct Adapter {
    /// A of each part that is changed.
    a: Vec<Tensor>,
    /// B of each part, if it is changed.
    b: Vec<Option<Tensor>>,
    /// Rows of each part.
    rows: Vec<i64>,
    rank: i64,
    scale: f64,
}

impl Adapter {
    fn new(parameters: &Parameters, lora: &Lora, layers: &[&encoders::Linear]) -> Result<Option<Self>, TorchError> {
        let rank = lora.rank as i64;
        let (mut a, mut b, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        for layer in layers {
            let output = layer.output as i64;
            rows.push(output);
            if !lora.adapts(&layer.stem) {
                b.push(None);
                continue;
            }
            let [of_a, of_b] = Lora::names(&layer.stem);
            a.push(parameters.leaf(&[of_a], &[rank, layer.input as i64])?);
            b.push(Some(parameters.leaf(&[of_b], &[output, rank])?));
        }
        Ok((!a.is_empty()).then(|| Self { a, b, rows, rank, scale: lora.scale() }))
    }

    /// A, and B times the scale.
    fn factors(&self) -> Result<(Tensor, Tensor), TorchError> {
        let width = self.rank * self.a.len() as i64;
        let mut before = 0;
        let mut blocks = Vec::new();
        for (b, rows) in self.b.iter().zip(&self.rows) {
            blocks.push(match b {
                None => Tensor::f_zeros([*rows, width], (Kind::Float, self.a[0].device()))?,
                Some(b) => {
                    before += self.rank;
                    b.f_constant_pad_nd([before - self.rank, width - before, 0, 0])?
                }
            });
        }
        Ok((Tensor::f_cat(&self.a, 0)?, Tensor::f_cat(&blocks, 0)?.f_mul_scalar(self.scale)?))
    }
}

/// An [`Affine`] in the type that a pass computes in, at some version of its values.
pub(crate) struct Cast {
    version: i64,
    kind: Kind,
    weight: Tensor,
    bias: Option<Tensor>,
    /// A and B, in the same type.
    factors: Option<(Tensor, Tensor)>,
}

impl Affine {
    /// Weight and bias in this type; gradients flow back to the f32 leaves. The cast is computed once for all
    /// micro-batches between two updates of the values: its backward pass saves no tensors, so it can run any number of
    /// times.
    pub(crate) fn cast(&self, kind: Kind) -> Result<Rc<Cast>, TorchError> {
        // All trained values share one buffer, which counts its changes; frozen values never change.
        let changing = self.adapter.as_ref().map_or(&self.weight, |adapter| &adapter.a[0]);
        let version = changing.f_internal_version()?;
        if let Some(last) = self.last.borrow().as_ref().filter(|last| (last.version, last.kind) == (version, kind)) {
            return Ok(Rc::clone(last));
        }
        // With a graph even if this pass needs none, because the next pass shares the cast.
        let cast = Rc::new(with_grad(|| self.compute_cast(version, kind))?);
        *self.last.borrow_mut() = Some(Rc::clone(&cast));
        Ok(cast)
    }

    fn compute_cast(&self, version: i64, kind: Kind) -> Result<Cast, TorchError> {
        let bias = self.bias.as_ref().map(|bias| bias.f_to_kind(kind)).transpose()?;
        let Some(adapter) = &self.adapter else {
            return Ok(Cast { version, kind, weight: self.weight.f_to_kind(kind)?, bias, factors: None });
        };
        let (a, b) = adapter.factors()?;
        let weight = no_grad(|| self.weight.f_add(&b.f_matmul(&a)?)?.f_to_kind(kind))?;
        Ok(Cast { version, kind, weight, bias, factors: Some((a.f_to_kind(kind)?, b.f_to_kind(kind)?)) })
    }

    /// `x Wᵀ + b` in the type of `x`.
    pub(crate) fn apply(&self, x: &Tensor) -> Result<Tensor, TorchError> {
        self.cast(x.kind())?.linear().apply(x)
    }
}

impl Cast {
    pub(crate) fn linear(&self) -> Linear<'_> {
        let adapter = self.factors.as_ref().map(|(a, b)| embtune_torch::Adapter { a, b, included: true });
        Linear { weight: &self.weight, bias: self.bias.as_ref(), adapter }
    }
}

/// Weight and bias of a norm, f32 `[width]`.
pub(crate) struct NormLeaves {
    weight: Tensor,
    bias: Option<Tensor>,
    eps: f64,
    kind: NormKind,
}

impl NormLeaves {
    pub(crate) fn norm(&self) -> Norm<'_> {
        Norm { weight: &self.weight, bias: self.bias.as_ref(), eps: self.eps, kind: self.kind }
    }
}
