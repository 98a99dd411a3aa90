//! Gradients that are summed over all processes while the backward pass still computes others.
#![allow(unsafe_code)]

use std::ops::Range;

use tch::Tensor;

use crate::ffi::{
    Owned, RawReducer, check, embtune_reducer_add, embtune_reducer_drop, embtune_reducer_finish, embtune_reducer_new,
    embtune_reducer_prepare, embtune_reducer_started, handle,
};
use crate::{Communicator, TorchError};

/// A part of a flat gradient that is summed in one operation.
#[derive(Debug)]
pub struct Bucket<'t> {
    /// Elements of the flat gradient.
    pub range: Range<i64>,
    /// The leaves whose gradients are in it, from [`leaf`](crate::leaf).
    pub leaves: Vec<&'t Tensor>,
}

/// Sums a flat gradient over all processes, each bucket as soon as the backward pass has completed it, like the reducer
/// of `torch.nn.parallel.DistributedDataParallel`.
///
/// The sums are those of [`Communicator::all_reduce`] over one bucket after the other, bit for bit.
pub struct Reducer<'g> {
    /// When it is dropped, the leaves' hooks keep references to what it points to, and do nothing from then on; if it
    /// never is, they start sums in a group that is still alive.
    raw: Owned<RawReducer>,
    group: &'g Communicator,
    grads: Tensor,
}

impl<'g> Reducer<'g> {
    /// A reducer of buckets that together cover `grads`, in the order in which the backward pass completes them.
    ///
    /// # Errors
    /// The buckets do not cover each element of `grads` exactly once, or a leaf's gradient is not in its bucket.
    pub fn new(group: &'g Communicator, grads: &Tensor, buckets: &[Bucket<'_>]) -> Result<Self, TorchError> {
        let ranges = buckets.iter().map(|bucket| bucket.range.clone());
        if !is_partition(ranges, grads.numel() as i64) {
            return Err(TorchError::new("reducer: the buckets do not cover each element of the gradient once"));
        }
        // SAFETY: the group lives for the call, which takes a reference of its own.
        let raw = Owned::make(|out| unsafe { embtune_reducer_new(group.raw(), out) }, embtune_reducer_drop)?;
        let reducer = Self { raw, group, grads: grads.shallow_clone() };
        for Bucket { range, leaves } in buckets {
            let part = grads.f_narrow(0, range.start, range.end - range.start)?;
            let leaves: Vec<_> = leaves.iter().map(|leaf| handle(leaf)).collect();
            // SAFETY: all tensors live for the call, which takes references of its own to what it keeps.
            check(unsafe { embtune_reducer_add(reducer.raw.raw(), handle(&part), leaves.as_ptr(), leaves.len()) })?;
        }
        Ok(reducer)
    }

    /// Announces that the next backward pass is the last one before the sum. A second pass makes
    /// [`finish`](Self::finish) fail, because it would change gradients that are being summed.
    ///
    /// # Errors
    /// The sums of an earlier announcement are not finished.
    pub fn prepare_for_backward(&self) -> Result<(), TorchError> {
        // SAFETY: the pointer is live.
        check(unsafe { embtune_reducer_prepare(self.raw.raw()) })
    }

    /// Number of buckets whose sum has started.
    ///
    /// # Errors
    /// An error of libtorch.
    pub fn started(&self) -> Result<usize, TorchError> {
        let mut started = 0;
        // SAFETY: pointer and number are live for the call.
        check(unsafe { embtune_reducer_started(self.raw.raw(), &mut started) })?;
        Ok(started)
    }

    /// Starts the sums that have not started, which without a backward pass are all of them, and waits for every sum.
    ///
    /// # Errors
    /// A process is gone or has not answered within the timeout.
    pub fn finish(&self) -> Result<(), TorchError> {
        self.group.count_all_reduce(&self.grads);
        // SAFETY: the pointer is live.
        check(unsafe { embtune_reducer_finish(self.raw.raw()) })
    }
}

/// Whether the ranges cover each number below `count` exactly once.
fn is_partition(ranges: impl Iterator<Item = Range<i64>>, count: i64) -> bool {
    let mut ranges: Vec<_> = ranges.collect();
    ranges.sort_by_key(|range| (range.start, range.end));
    let end = ranges.iter().try_fold(0, |end, range| (range.start == end && range.end >= end).then_some(range.end));
    end == Some(count)
}
