//! Any batch size in fixed memory: gradients through cached vectors (Gao et al. 2021, GradCache).
//!
//! The loss needs all vectors of a batch at once, but the network does not. Rows are computed in micro-batches, the
//! loss gives each vector its gradient, and each micro-batch is then propagated back by itself. Graphs are kept for as
//! many micro-batches as fit in memory, the others are computed a second time. Which ones are kept does not change the
//! result: a second pass repeats the first one bit for bit, dropout included, and gradients are always summed in the
//! same order.

use std::ops::Range;

use embtune_torch::tch::{Device, Kind, Tensor, no_grad};
use embtune_torch::{Reducer, TorchError, generator_state, set_generator_state};

use super::memory::Budget;
use crate::network::{Network, Packed, Pass, Row};

/// The rows of a batch in micro-batches.
struct MicroBatches {
    /// Rows of the batch, longest first, so that memory peaks at the start and not after hours.
    order: Vec<usize>,
    /// The micro-batches, as ranges of `order`.
    ranges: Vec<Range<usize>>,
    /// From this micro-batch on, graphs are kept.
    first_live: usize,
}

impl MicroBatches {
    fn new(lengths: &[usize], budget: Budget) -> Self {
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        order.sort_by_key(|row| std::cmp::Reverse(lengths[*row]));
        let mut ranges: Vec<Range<usize>> = Vec::new();
        let mut tokens = Vec::<usize>::new();
        for (position, row) in order.iter().enumerate() {
            match (ranges.last_mut(), tokens.last_mut()) {
                (Some(range), Some(sum)) if *sum + lengths[*row] <= budget.batch_tokens => {
                    range.end += 1;
                    *sum += lengths[*row];
                }
                _ => {
                    ranges.push(position..position + 1);
                    tokens.push(lengths[*row]);
                }
            }
        }
        let total: usize = tokens.iter().sum();
        let first_live = if total <= budget.live_tokens {
            0
        } else {
            // The micro-batch that is being computed again needs memory as well; the first one is the largest.
            let room = budget.live_tokens.saturating_sub(tokens.first().copied().unwrap_or(0));
            let mut live = 0;
            let count = tokens.iter().rev().take_while(|tokens| {
                live += **tokens;
                live <= room
            });
            tokens.len() - count.count()
        };
        Self { order, ranges, first_live }
    }
}

/// Computes vectors and gradients of a batch, micro-batch by micro-batch.
pub(crate) struct GradCache<'a> {
    pub(crate) network: &'a Network,
    pub(crate) device: Device,
    pub(crate) pass: Pass,
    pub(crate) budget: Budget,
    /// For the last batch before a step: sums the gradients over all processes.
    pub(crate) reducer: Option<&'a Reducer<'a>>,
}

/// A batch between its forward and its backward pass.
pub(crate) struct Forward {
    micro: MicroBatches,
    /// The vectors of each micro-batch, some of them with their graphs.
    outputs: Vec<Tensor>,
    /// The state of the random number generator before each micro-batch that is computed again.
    states: Vec<Option<Tensor>>,
}

impl Forward {
    /// The vectors of all rows in their order, without a graph: `[rows, dimension]`, f32. There must be at least one
    /// row.
    ///
    /// # Errors
    /// An error of libtorch.
    pub(crate) fn vectors(&self) -> Result<Tensor, TorchError> {
        let detached: Vec<_> = self.outputs.iter().map(Tensor::detach).collect();
        let mut positions = vec![0_i64; self.micro.order.len()];
        self.micro.order.iter().enumerate().for_each(|(position, row)| positions[*row] = position as i64);
        let all = Tensor::f_cat(&detached, 0)?;
        Ok(all.f_index_select(0, &Tensor::f_from_slice(&positions)?.f_to_device(all.device())?)?)
    }
}

impl GradCache<'_> {
    /// The forward pass of some rows.
    ///
    /// # Errors
    /// An error of libtorch.
    pub(crate) fn forward(&self, rows: &[Row<'_>]) -> Result<Forward, TorchError> {
        let lengths: Vec<usize> = rows.iter().map(|row| row.tokens.len()).collect();
        let micro = MicroBatches::new(&lengths, self.budget);
        let mut outputs = Vec::with_capacity(micro.ranges.len());
        let mut states = Vec::new();
        for (index, range) in micro.ranges.iter().enumerate() {
            let packed = self.pack(rows, &micro.order[range.clone()])?;
            if index < micro.first_live {
                states.push(self.generator_state()?);
                outputs.push(no_grad(|| self.network.forward(&packed, self.pass))?);
            } else {
                outputs.push(self.network.forward(&packed, self.pass)?);
            }
        }
        Ok(Forward { micro, outputs, states })
    }

    /// The backward pass: accumulates the gradients of the network's parameters, given those of the rows' vectors.
    ///
    /// # Shapes
    /// - `grads`: `[rows, dimension]`, f32, for the rows of the forward pass
    ///
    /// # Errors
    /// An error of libtorch.
    pub(crate) fn backward(&self, rows: &[Row<'_>], forward: Forward, grads: &Tensor) -> Result<(), TorchError> {
        let Forward { micro, mut outputs, mut states } = forward;
        let order: Vec<_> = micro.order.iter().map(|row| *row as i64).collect();
        let grads = grads.f_index_select(0, &Tensor::f_from_slice(&order)?.f_to_device(self.device)?)?;
        let end = self.generator_state()?;
        // In reverse, so that the kept graphs are freed before others are created.
        for (index, range) in micro.ranges.iter().enumerate().rev() {
            let mut output = outputs.pop().ok_or_else(|| TorchError::new("a micro-batch without vectors"))?;
            if index < micro.first_live {
                self.set_generator_state(states.pop().flatten())?;
                output = self.network.forward(&self.pack(rows, &micro.order[range.clone()])?, self.pass)?;
            }
            if let (0, Some(reducer)) = (index, self.reducer) {
                reducer.prepare_for_backward()?;
            }
            let grad = grads.f_narrow(0, range.start as i64, range.len() as i64)?;
            // The gradient of this product with respect to the parameters is that of the loss.
            output.f_mul(&grad)?.f_sum(Kind::Float)?.f_backward()?;
        }
        self.set_generator_state(end)
    }

    fn pack(&self, rows: &[Row<'_>], chosen: &[usize]) -> Result<Packed, TorchError> {
        let rows: Vec<_> = chosen.iter().map(|row| rows[*row]).collect();
        Packed::new(&rows, self.network.config(), self.device)
    }

    /// The state to return to: only CUDA draws dropout masks, on the CPU they are computed from the rows' keys.
    fn generator_state(&self) -> Result<Option<Tensor>, TorchError> {
        let draws = self.device != Device::Cpu && self.pass != self.pass.without_dropout();
        draws.then(|| generator_state(self.device)).transpose()
    }

    fn set_generator_state(&self, state: Option<Tensor>) -> Result<(), TorchError> {
        state.map_or(Ok(()), |state| set_generator_state(self.device, &state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(lengths: &[usize], batch_tokens: usize, live_tokens: usize) -> (Vec<Range<usize>>, usize) {
        let micro = MicroBatches::new(lengths, Budget { batch_tokens, live_tokens });
        (micro.ranges, micro.first_live)
    }

    #[test]
    fn micro_batches_keep_to_their_budget() {
        assert_eq!(cut(&[3, 9, 1, 5, 2], 8, 100), (vec![0..1, 1..3, 3..5], 0));
        assert_eq!(cut(&[], 8, 100), (vec![], 0));
        assert_eq!(MicroBatches::new(&[3, 9, 5], Budget { batch_tokens: 8, live_tokens: 0 }).order, [1, 2, 0]);
    }

    #[test]
    fn graphs_are_kept_as_far_as_they_fit() {
        let lengths = [4; 10];
        assert_eq!(cut(&lengths, 8, 40).1, 0, "all");
        assert_eq!(cut(&lengths, 8, 39).1, 2, "31 tokens besides the micro-batch that is computed again");
        assert_eq!(cut(&lengths, 8, 0).1, 5, "none");
    }
}
