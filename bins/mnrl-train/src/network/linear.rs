//! Linear layers and layer norms over the parameters.

use embtune_torch::tch::{Kind, Tensor};
use embtune_torch::{Linear, Norm, TorchError};

use crate::weights::lora::Lora;
use crate::weights::parameters::Parameters;

/// Makes the layers of a network from the parameters.
#[derive(Clone, Copy)]
pub(crate) struct Builder<'a> {
    pub(crate) parameters: &'a Parameters,
    pub(crate) lora: Option<&'a Lora>,
}

impl Builder<'_> {
    /// A table, `[rows, width]`.
    pub(crate) fn table(&self, stem: &str, rows: usize, width: usize) -> Result<Tensor, TorchError> {
        self.parameters.leaf(&[format!("{stem}.weight")], &[rows as i64, width as i64])
    }

    /// A linear layer, `[out, in]` and, if there is one, `[out]`; several that stand behind each other are one.
    pub(crate) fn linear(&self, stems: &[&str], output: usize, input: usize) -> Result<Affine, TorchError> {
        let names = |part: &str| stems.iter().map(|stem| format!("{stem}.{part}")).collect::<Vec<_>>();
        let (rows, columns) = ((output * stems.len()) as i64, input as i64);
        let weight = self.parameters.leaf(&names("weight"), &[rows, columns])?;
        let bias = if self.parameters.has(&names("bias")[0]) {
            self.parameters.leaf(&names("bias"), &[rows])?
        } else {
            Tensor::f_zeros([rows], (Kind::Float, weight.device()))?
        };
        let adapters = match self.lora.filter(|lora| stems.iter().any(|stem| lora.adapts(stem))) {
            Some(lora) => stems
                .iter()
                .map(|stem| Adapter::new(self.parameters, lora, stem, [output as i64, columns]))
                .collect::<Result<_, _>>()?,
            None => Vec::new(),
        };
        Ok(Affine { weight, bias, adapters })
    }

    /// A layer norm, `[width]`.
    pub(crate) fn norm(&self, stem: &str, width: usize, eps: f64) -> Result<LayerNorm, TorchError> {
        let leaf = |part: &str| self.parameters.leaf(&[format!("{stem}.{part}")], &[width as i64]);
        Ok(LayerNorm { weight: leaf("weight")?, bias: leaf("bias")?, eps })
    }
}

/// Weight `[out, in]` and bias `[out]`, f32, with what LoRA adds to the weight.
pub(crate) struct Affine {
    weight: Tensor,
    bias: Tensor,
    /// One for each part of the rows, or none at all.
    adapters: Vec<Adapter>,
}

/// A low-rank change of a part of the rows.
enum Adapter {
    Change { a: Tensor, b: Tensor, scale: f64 },
    Nothing(Tensor),
}

impl Adapter {
    fn new(parameters: &Parameters, lora: &Lora, stem: &str, [output, input]: [i64; 2]) -> Result<Self, TorchError> {
        if !lora.adapts(stem) {
            let device = parameters.device();
            return Ok(Self::Nothing(
                Tensor::f_zeros([1, 1], (Kind::Float, device))?.f_expand([output, input], false)?,
            ));
        }
        let [a, b] = Lora::names(stem);
        let rank = lora.rank as i64;
        Ok(Self::Change {
            a: parameters.leaf(&[a], &[rank, input])?,
            b: parameters.leaf(&[b], &[output, rank])?,
            scale: lora.scale(),
        })
    }

    /// `[out, in]`.
    fn change(&self) -> Result<Tensor, TorchError> {
        Ok(match self {
            Self::Change { a, b, scale } => b.f_matmul(a)?.f_mul_scalar(*scale)?,
            Self::Nothing(zeros) => zeros.shallow_clone(),
        })
    }
}

/// An [`Affine`] in the type that a pass computes in.
pub(crate) struct Cast {
    weight: Tensor,
    bias: Tensor,
}

impl Affine {
    /// Weight and bias in this type; gradients go back to the f32 leaves.
    pub(crate) fn cast(&self, kind: Kind) -> Result<Cast, TorchError> {
        let weight = if self.adapters.is_empty() {
            self.weight.shallow_clone()
        } else {
            let changes = self.adapters.iter().map(Adapter::change).collect::<Result<Vec<_>, _>>()?;
            self.weight.f_add(&Tensor::f_cat(&changes, 0)?)?
        };
        Ok(Cast { weight: weight.f_to_kind(kind)?, bias: self.bias.f_to_kind(kind)? })
    }

    /// `x Wᵀ + b` in the type of `x`.
    pub(crate) fn apply(&self, x: &Tensor) -> Result<Tensor, TorchError> {
        self.cast(x.kind())?.linear().apply(x)
    }
}

impl Cast {
    pub(crate) fn linear(&self) -> Linear<'_> {
        Linear { weight: &self.weight, bias: &self.bias }
    }
}

/// Weight and bias of a layer norm, f32 `[width]`.
pub(crate) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    pub(crate) fn norm(&self) -> Norm<'_> {
        Norm { weight: &self.weight, bias: &self.bias, eps: self.eps }
    }
}
