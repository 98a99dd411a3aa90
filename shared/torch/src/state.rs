//! Random numbers and memory of a device.
#![allow(unsafe_code)]

use tch::{Device, Tensor};

use crate::TorchError;
use crate::ffi::{check, embtune_cuda_memory, embtune_generator_state, embtune_set_generator_state, handle, make};

/// Seeds the generators of all devices.
pub fn seed(seed: u64) {
    // The bits, not the value: every u64 is a valid seed.
    tch::manual_seed(seed as i64);
}

fn index(device: Device) -> i64 {
    match device {
        Device::Cuda(index) => index as i64,
        _ => -1,
    }
}

/// State of a device's random number generator, u8 `[bytes]` on the CPU.
///
/// # Errors
/// An error of libtorch.
pub fn generator_state(device: Device) -> Result<Tensor, TorchError> {
    // SAFETY: the shim fills in the handle.
    make(|out| unsafe { embtune_generator_state(index(device), out) })
}

/// Restores the state of a device's random number generator.
///
/// # Errors
/// A state of another kind of device.
pub fn set_generator_state(device: Device, state: &Tensor) -> Result<(), TorchError> {
    // SAFETY: the handle is a live tensor for the call; the generator checks its type and size.
    check(unsafe { embtune_set_generator_state(index(device), handle(state)) })
}

/// Memory of a CUDA device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CudaMemory {
    /// Bytes that tensors can still allocate.
    pub free: u64,
    /// The most bytes that tensors have held at once.
    pub peak: u64,
}

/// Memory of a CUDA device; `None` for the CPU.
///
/// # Errors
/// An error of libtorch.
pub fn cuda_memory(device: Device) -> Result<Option<CudaMemory>, TorchError> {
    let Device::Cuda(index) = device else { return Ok(None) };
    let (mut free, mut peak) = (0, 0);
    // SAFETY: both numbers live for the call.
    check(unsafe { embtune_cuda_memory(index as i64, &mut free, &mut peak) })?;
    Ok(Some(CudaMemory { free: free.max(0) as u64, peak: peak.max(0) as u64 }))
}
