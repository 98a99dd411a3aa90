//! A mixture of experts in place of a feed-forward block.

use tch::{Kind, Tensor};

use super::feed_forward::Activation;
use crate::TorchError;

/// Feed-forward blocks `W₂ₑᵀ act(W₁ₑ x)`, of which each token takes the most probable ones, weighted by their probability,
/// which is not normalised again.
///
/// Source: `NomicMoELayer` of nomic-embed-text-v2-moe.
#[derive(Debug, Clone, Copy)]
pub struct Experts<'a> {
    /// `[experts, width]`: softmax of its product with `x` is the probability of each expert.
    pub router: &'a Tensor,
    /// `[experts · inner, width]`.
    pub first: &'a Tensor,
    /// `[experts · inner, width]`.
    pub second: &'a Tensor,
    /// `[width]`, added once.
    pub bias: Option<&'a Tensor>,
    /// Number of experts that a token takes.
    pub chosen: i64,
    /// Between the two matrices.
    pub activation: Activation,
}

impl Experts<'_> {
    /// Applies the block.
    ///
    /// # Shapes
    /// - `x`, output: `[tokens, width]`, of the type of all weights
    ///
    /// # Errors
    /// Shapes, types or devices that do not match.
    pub fn apply(&self, x: &Tensor) -> Result<Tensor, TorchError> {
        let [count, inner] = self.check(x)?;
        let probabilities = x.f_matmul(&self.router.f_tr()?)?.f_softmax(-1, Kind::Float)?;
        let (weights, chosen) = probabilities.f_topk(self.chosen, -1, true, true)?;
        let weights = weights.f_to_kind(x.kind())?;
        let mut sum = x.f_zeros_like()?;
        for expert in 0..count {
            // [2, pairs]: the tokens that take this expert, and which of their choices it is.
            let pairs = chosen.f_eq(expert)?.f_nonzero()?.f_tr()?;
            let (tokens, choice) = (pairs.f_get(0)?, pairs.f_get(1)?);
            if tokens.numel() == 0 {
                continue;
            }
            let rows = |weights: &Tensor| weights.f_narrow(0, expert * inner, inner);
            let hidden = x.f_index_select(0, &tokens)?.f_matmul(&rows(self.first)?.f_tr()?)?;
            let hidden = self.activation.apply(&hidden)?.f_matmul(&rows(self.second)?)?;
            let weight = weights.f_index(&[Some(&tokens), Some(&choice)])?.f_unsqueeze(1)?;
            sum = sum.f_index_add(0, &tokens, &hidden.f_mul(&weight)?)?;
        }
        Ok(match self.bias {
            Some(bias) => sum.f_add(bias)?,
            None => sum,
        })
    }

    /// Number of experts, and inner size of one.
    fn check(&self, x: &Tensor) -> Result<[i64; 2], TorchError> {
        let refuse = |what: String| Err(TorchError::new(format!("experts: {what}")));
        let (of_x, of_router) = (x.size(), self.router.size());
        let (&[_, width], &[count, _]) = (of_x.as_slice(), of_router.as_slice()) else {
            return refuse(format!("{of_x:?} for a router of {of_router:?}"));
        };
        let (first, second) = (self.first.size(), self.second.size());
        if of_router[1] != width || first.len() != 2 || first[1] != width || first != second {
            return refuse(format!("{of_x:?} for weights of {of_router:?}, {first:?} and {second:?}"));
        }
        if self.bias.is_some_and(|bias| bias.size() != [width]) {
            return refuse(format!("a bias that has not {width} elements"));
        }
        if count < 1 || first[0] % count != 0 || !(1..=count).contains(&self.chosen) {
            return refuse(format!("{} rows of {count} experts, {} of which are taken", first[0], self.chosen));
        }
        Ok([count, first[0] / count])
    }
}
