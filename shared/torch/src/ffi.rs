//! The calls into the shim.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_double, c_int};
use std::ptr;

use tch::{TchError, Tensor};
use torch_sys::C_tensor;

/// What libtorch said.
#[derive(Debug, thiserror::Error)]
#[error("libtorch: {0}")]
pub struct TorchError(pub(crate) String);

impl TorchError {
    /// An error that is not libtorch's own, from the code that drives it.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl From<TchError> for TorchError {
    /// Only the first line is fit for people: the rest lists C++ frames or back ends.
    fn from(error: TchError) -> Self {
        Self(error.to_string().lines().next().unwrap_or_default().to_owned())
    }
}

pub(crate) type Handle = *mut C_tensor;

/// A store of the shim's, behind a pointer.
#[repr(C)]
pub(crate) struct RawStore([u8; 0]);

/// A share in a group of the shim's, behind a pointer.
#[repr(C)]
pub(crate) struct RawCommunicator([u8; 0]);

/// A share in the shim's NCCL, behind a pointer.
#[repr(C)]
pub(crate) struct RawNccl([u8; 0]);

/// A share in the shim's overlap of sums and backward pass, behind a pointer.
#[repr(C)]
pub(crate) struct RawOverlap([u8; 0]);

#[repr(C)]
pub(crate) struct RawLinear {
    pub(crate) weight: Handle,
    pub(crate) bias: Handle,
    pub(crate) a: Handle,
    pub(crate) b: Handle,
}

#[repr(C)]
pub(crate) struct RawAdamW {
    pub(crate) learning_rate: c_double,
    pub(crate) beta1: c_double,
    pub(crate) beta2: c_double,
    pub(crate) weight_decay: c_double,
    pub(crate) epsilon: c_double,
}

unsafe extern "C" {
    fn embtune_last_error() -> *const c_char;
    pub(crate) fn embtune_leaf(data: Handle, grad: Handle, out: *mut Handle) -> c_int;
    pub(crate) fn embtune_clip(grad: Handle, max_norm: c_double, norm: *mut Handle, divisor: *mut Handle) -> c_int;
    pub(crate) fn embtune_adamw(
        parameter: Handle,
        grad: Handle,
        moment1: Handle,
        moment2: Handle,
        step: Handle,
        options: *const RawAdamW,
        divisor: Handle,
    ) -> c_int;
    pub(crate) fn embtune_dropout(x: Handle, keys: Handle, site: i64, p: c_double, out: *mut Handle) -> c_int;
    pub(crate) fn embtune_add_norm(
        residual: Handle,
        x: Handle,
        gamma: Handle,
        beta: Handle,
        epsilon: c_double,
        keys: Handle,
        site: i64,
        p: c_double,
        out: *mut Handle,
    ) -> c_int;
    pub(crate) fn embtune_attention(
        qkv: Handle,
        starts: Handle,
        heads: i64,
        keys: Handle,
        site: i64,
        p: c_double,
        out: *mut Handle,
    ) -> c_int;
    pub(crate) fn embtune_varlen_attention(
        qkv: Handle,
        starts: Handle,
        longest: i64,
        heads: i64,
        p: c_double,
        out: *mut Handle,
    ) -> c_int;
    pub(crate) fn embtune_linear(x: Handle, linear: *const RawLinear, out: *mut Handle) -> c_int;
    pub(crate) fn embtune_feed_forward(
        x: Handle,
        first: *const RawLinear,
        second: *const RawLinear,
        activation: i64,
        out: *mut Handle,
    ) -> c_int;
    pub(crate) fn embtune_generator_state(index: i64, out: *mut Handle) -> c_int;
    pub(crate) fn embtune_set_generator_state(index: i64, state: Handle) -> c_int;
    pub(crate) fn embtune_store_open(
        host: *const c_char,
        port: u16,
        serves: bool,
        prefix: *const c_char,
        timeout_ms: i64,
        out: *mut *mut RawStore,
    ) -> c_int;
    pub(crate) fn embtune_store_close(store: *mut RawStore);
    pub(crate) fn embtune_store_set(store: *mut RawStore, key: *const c_char, value: *const u8, length: usize)
    -> c_int;
    pub(crate) fn embtune_store_get(store: *mut RawStore, key: *const c_char, out: *mut Handle) -> c_int;
    pub(crate) fn embtune_group_join(
        store: *mut RawStore,
        rank: c_int,
        size: c_int,
        interface: *const c_char,
        timeout_ms: i64,
        out: *mut *mut RawCommunicator,
    ) -> c_int;
    pub(crate) fn embtune_group_leave(group: *mut RawCommunicator);
    pub(crate) fn embtune_group_sum(group: *mut RawCommunicator, tensor: Handle) -> c_int;
    pub(crate) fn embtune_group_gather(group: *mut RawCommunicator, tensor: Handle, out: *mut Handle) -> c_int;
    pub(crate) fn embtune_group_broadcast(group: *mut RawCommunicator, tensor: Handle) -> c_int;
    pub(crate) fn embtune_group_use_nccl(group: *mut RawCommunicator, nccl: *mut RawNccl) -> c_int;
    pub(crate) fn embtune_nccl_load(library: *const c_char, out: *mut *mut RawNccl) -> c_int;
    pub(crate) fn embtune_nccl_drop(nccl: *mut RawNccl);
    pub(crate) fn embtune_nccl_id(nccl: *const RawNccl, out: *mut Handle) -> c_int;
    pub(crate) fn embtune_nccl_join(
        nccl: *mut RawNccl,
        id: Handle,
        rank: c_int,
        size: c_int,
        index: i64,
        timeout_ms: i64,
    ) -> c_int;
    pub(crate) fn embtune_overlap_new(group: *mut RawCommunicator, out: *mut *mut RawOverlap) -> c_int;
    pub(crate) fn embtune_overlap_drop(overlap: *mut RawOverlap);
    pub(crate) fn embtune_overlap_add(
        overlap: *mut RawOverlap,
        grads: Handle,
        leaves: *const Handle,
        count: usize,
    ) -> c_int;
    pub(crate) fn embtune_overlap_arm(overlap: *mut RawOverlap) -> c_int;
    pub(crate) fn embtune_overlap_started(overlap: *mut RawOverlap, out: *mut usize) -> c_int;
    pub(crate) fn embtune_overlap_finish(overlap: *mut RawOverlap) -> c_int;
    pub(crate) fn embtune_cuda_memory(index: i64, free: *mut i64, peak: *mut i64) -> c_int;
}

/// The pointer that the shim takes; valid while the tensor lives.
///
/// What the tensor is (its type, shape, device, or whether it is one at all) is the shim's to check before it touches
/// memory, because safe code may hand over any tensor.
pub(crate) fn handle(tensor: &Tensor) -> Handle {
    tensor.as_ptr().cast_mut()
}

/// The shim's status as a result.
pub(crate) fn check(status: c_int) -> Result<(), TorchError> {
    if status == 0 {
        return Ok(());
    }
    // SAFETY: the message is a thread-local C string that lives until the next failure on this thread.
    let message = unsafe { CStr::from_ptr(embtune_last_error()) };
    Err(TorchError(message.to_string_lossy().lines().next().unwrap_or_default().to_owned()))
}

/// The tensor that a call makes.
///
/// `call` is given where to put the handle, and must put a new one there when it returns 0.
pub(crate) fn make(call: impl FnOnce(*mut Handle) -> c_int) -> Result<Tensor, TorchError> {
    let mut out = ptr::null_mut();
    check(call(&mut out))?;
    // SAFETY: the shim returned 0, so the handle is a new tensor that nobody else owns.
    Ok(unsafe { Tensor::from_ptr(out) })
}
