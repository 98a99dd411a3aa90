//! Gradients that are added up over all processes while the backward pass computes others.
#![allow(unsafe_code)]

use std::ops::Range;
use std::ptr::{self, NonNull};

use tch::Tensor;

use crate::ffi::{
    RawOverlap, check, embtune_overlap_add, embtune_overlap_arm, embtune_overlap_drop, embtune_overlap_finish,
    embtune_overlap_new, embtune_overlap_started, handle,
};
use crate::{Communicator, TorchError};

/// A part of a flat gradient that is added up at once.
#[derive(Debug)]
pub struct Bucket<'t> {
    /// Elements of the flat gradient.
    pub range: Range<i64>,
    /// The leaves whose gradients are in it, from [`leaf`](crate::leaf).
    pub leaves: Vec<&'t Tensor>,
}

/// Adds up a flat gradient over all processes, each bucket as soon as the backward pass has all of it.
///
/// The sums are those of [`Communicator::sum`] over the buckets one after the other, bit for bit.
pub struct Overlap<'g> {
    raw: NonNull<RawOverlap>,
    group: &'g Communicator,
    grads: Tensor,
}

impl<'g> Overlap<'g> {
    /// For buckets that together are `grads`, the first to be complete first.
    ///
    /// # Errors
    /// Buckets that lack a part of `grads` or have one twice; a leaf whose gradient is not in its bucket.
    pub fn new(group: &'g Communicator, grads: &Tensor, buckets: &[Bucket<'_>]) -> Result<Self, TorchError> {
        let ranges = buckets.iter().map(|bucket| bucket.range.clone());
        if !partitions(ranges, grads.numel() as i64) {
            return Err(TorchError::new("overlap: the buckets are not each element of the gradient once"));
        }
        let mut raw = ptr::null_mut();
        // SAFETY: the group lives for the call, which takes a share of its own.
        check(unsafe { embtune_overlap_new(group.raw(), &mut raw) })?;
        let raw = NonNull::new(raw).ok_or_else(|| TorchError::new("no overlap"))?;
        let overlap = Self { raw, group, grads: grads.shallow_clone() };
        for Bucket { range, leaves } in buckets {
            let part = grads.f_narrow(0, range.start, range.end - range.start)?;
            let leaves: Vec<_> = leaves.iter().map(|leaf| handle(leaf)).collect();
            // SAFETY: all tensors live for the call, which takes shares of its own in what it needs.
            check(unsafe { embtune_overlap_add(raw.as_ptr(), handle(&part), leaves.as_ptr(), leaves.len()) })?;
        }
        Ok(overlap)
    }

    /// Says that the next backward pass is the last one before the sum. A second one is an error of
    /// [`finish`](Self::finish): it would change what is being added up.
    ///
    /// # Errors
    /// One that is armed, and whose sums are not finished.
    pub fn arm(&self) -> Result<(), TorchError> {
        // SAFETY: the pointer is live.
        check(unsafe { embtune_overlap_arm(self.raw.as_ptr()) })
    }

    /// Number of buckets whose sum has begun.
    ///
    /// # Errors
    /// What libtorch says.
    pub fn started(&self) -> Result<usize, TorchError> {
        let mut started = 0;
        // SAFETY: pointer and number are live for the call.
        check(unsafe { embtune_overlap_started(self.raw.as_ptr(), &mut started) })?;
        Ok(started)
    }

    /// Adds up what has not begun, such as all of it without a backward pass, and waits for everything.
    ///
    /// # Errors
    /// A process that is gone or does not come in time.
    pub fn finish(&self) -> Result<(), TorchError> {
        self.group.count_sum(&self.grads);
        // SAFETY: the pointer is live.
        check(unsafe { embtune_overlap_finish(self.raw.as_ptr()) })
    }
}

impl Drop for Overlap<'_> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `embtune_overlap_new` and is not used again. The leaves' hooks have shares in what
        // it points to, which do nothing from now on; where this is never called, they start sums in a group that lives.
        unsafe { embtune_overlap_drop(self.raw.as_ptr()) }
    }
}

/// Whether ranges have each number below `count` once.
fn partitions(ranges: impl Iterator<Item = Range<i64>>, count: i64) -> bool {
    let mut ranges: Vec<_> = ranges.collect();
    ranges.sort_by_key(|range| (range.start, range.end));
    let end = ranges.iter().try_fold(0, |end, range| (range.start == end && range.end >= end).then_some(range.end));
    end == Some(count)
}
