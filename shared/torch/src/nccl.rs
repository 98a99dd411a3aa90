//! NCCL, before a group has taken it.
#![allow(unsafe_code)]

use std::ptr::{self, NonNull};
use std::time::Duration;

use tch::{Device, Tensor};

use crate::TorchError;
use crate::ffi::{
    RawNccl, check, embtune_nccl_drop, embtune_nccl_id, embtune_nccl_join, embtune_nccl_load, handle, make,
};
use crate::group::{c_string, milliseconds, number};

/// NCCL's name in NVIDIA's packages, under which CUDA's libtorch has loaded it.
pub const NCCL: &str = "libnccl.so.2";

pub(crate) struct Nccl(NonNull<RawNccl>);

impl Nccl {
    /// Loads the library, or finds it loaded.
    ///
    /// # Errors
    /// One that is missing, or lacks a function.
    pub(crate) fn load(library: &str) -> Result<Self, TorchError> {
        let library = c_string(library)?;
        let mut raw = ptr::null_mut();
        // SAFETY: the string lives for the call. What the library's functions do is beyond any check: their names and
        // types are those of nccl.h, and the caller names a library that keeps to it.
        check(unsafe { embtune_nccl_load(library.as_ptr(), &mut raw) })?;
        NonNull::new(raw).map(Self).ok_or_else(|| TorchError::new("no NCCL"))
    }

    /// A new id for one process to tell the others: u8 `[128]`.
    ///
    /// # Errors
    /// What NCCL says.
    pub(crate) fn id(&self) -> Result<Tensor, TorchError> {
        // SAFETY: the pointer is live for the call.
        make(|out| unsafe { embtune_nccl_id(self.0.as_ptr(), out) })
    }

    /// Meets the other processes.
    ///
    /// # Errors
    /// What NCCL says, such as that two processes have one GPU; a process that does not come in time.
    pub(crate) fn join(
        &self,
        id: &Tensor,
        rank: usize,
        size: usize,
        device: Device,
        timeout: Duration,
    ) -> Result<(), TorchError> {
        let index = if let Device::Cuda(index) = device { index as i64 } else { -1 };
        let (rank, size) = (number(rank)?, number(size)?);
        // SAFETY: pointer and tensor are live for the call.
        check(unsafe { embtune_nccl_join(self.0.as_ptr(), handle(id), rank, size, index, milliseconds(timeout)) })
    }

    pub(crate) fn raw(&self) -> *mut RawNccl {
        self.0.as_ptr()
    }
}

impl Drop for Nccl {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `embtune_nccl_load` and is not used again.
        unsafe { embtune_nccl_drop(self.0.as_ptr()) }
    }
}
