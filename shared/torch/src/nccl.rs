//! The NCCL library, before a process group uses it.
#![allow(unsafe_code)]

use std::time::Duration;

use tch::{Device, Tensor};

use crate::TorchError;
use crate::ffi::{
    Owned, RawNccl, c_string, check, embtune_nccl_drop, embtune_nccl_id, embtune_nccl_join, embtune_nccl_load, handle,
    make, milliseconds, process_number,
};

/// The file name of NCCL in NVIDIA's packages, under which libtorch's CUDA part has loaded it.
pub const NCCL: &str = "libnccl.so.2";

pub(crate) struct Nccl(Owned<RawNccl>);

impl Nccl {
    /// Loads the library unless it is loaded already.
    ///
    /// # Errors
    /// The library is missing or lacks a function.
    pub(crate) fn load(library: &str) -> Result<Self, TorchError> {
        let library = c_string(library)?;
        // SAFETY: the string lives for the call. Nothing can check what the library's functions do: their names and
        // types are those of nccl.h, and the caller names a library that implements it.
        let load = |out: *mut _| unsafe { embtune_nccl_load(library.as_ptr(), out) };
        Owned::make(load, embtune_nccl_drop).map(Self)
    }

    /// A new communicator id, which one process sends to the others: u8 `[128]`.
    ///
    /// # Errors
    /// NCCL's own.
    pub(crate) fn new_id(&self) -> Result<Tensor, TorchError> {
        // SAFETY: the pointer is live for the call.
        make(|out| unsafe { embtune_nccl_id(self.0.raw(), out) })
    }

    /// Joins the communicator, and blocks until all other processes have joined it too.
    ///
    /// # Errors
    /// NCCL's own, such as for two processes on one GPU; a process that has not joined within `timeout`.
    pub(crate) fn join(
        &self,
        id: &Tensor,
        rank: usize,
        world_size: usize,
        device: Device,
        timeout: Duration,
    ) -> Result<(), TorchError> {
        let index = if let Device::Cuda(index) = device { index as i64 } else { -1 };
        let (rank, size) = (process_number(rank)?, process_number(world_size)?);
        // SAFETY: pointer and tensor are live for the call.
        check(unsafe { embtune_nccl_join(self.0.raw(), handle(id), rank, size, index, milliseconds(timeout)) })
    }

    pub(crate) fn raw(&self) -> *mut RawNccl {
        self.0.raw()
    }
}
