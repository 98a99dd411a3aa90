//! The C functions of the shim, and how their results become Rust values.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_double, c_int};
use std::ptr::{self, NonNull};
use std::time::Duration;

use tch::{TchError, Tensor};
use torch_sys::C_tensor;

/// An error of libtorch, or of the code that calls it.
#[derive(Debug, thiserror::Error)]
#[error("libtorch: {0}")]
pub struct TorchError(pub(crate) String);

impl TorchError {
    /// An error that is not libtorch's own, from the code that calls it.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl From<TchError> for TorchError {
    /// Keeps the first line only: the others list C++ frames or back ends.
    fn from(error: TchError) -> Self {
        Self(error.to_string().lines().next().unwrap_or_default().to_owned())
    }
}

pub(crate) type Handle = *mut C_tensor;

/// The shim's store; only pointers to it exist here.
#[repr(C)]
pub(crate) struct RawStore([u8; 0]);

/// The shim's shared pointer to a process group.
#[repr(C)]
pub(crate) struct RawCommunicator([u8; 0]);

/// The shim's shared pointer to NCCL.
#[repr(C)]
pub(crate) struct RawNccl([u8; 0]);

/// The shim's shared pointer to a gradient reducer.
#[repr(C)]
pub(crate) struct RawReducer([u8; 0]);

#[repr(C)]
pub(crate) struct RawLinear {
    pub(crate) weight: Handle,
    pub(crate) bias: Handle,
    pub(crate) a: Handle,
    pub(crate) b: Handle,
    pub(crate) included: bool,
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
    pub(crate) fn embtune_gated_feed_forward(
        x: Handle,
        first: *const RawLinear,
        second: *const RawLinear,
        gate_first: bool,
        down: *const RawLinear,
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
    pub(crate) fn embtune_communicator_join(
        store: *mut RawStore,
        rank: c_int,
        size: c_int,
        interface: *const c_char,
        timeout_ms: i64,
        out: *mut *mut RawCommunicator,
    ) -> c_int;
    pub(crate) fn embtune_communicator_leave(group: *mut RawCommunicator);
    pub(crate) fn embtune_communicator_all_reduce(group: *mut RawCommunicator, tensor: Handle) -> c_int;
    pub(crate) fn embtune_communicator_all_gather(
        group: *mut RawCommunicator,
        tensor: Handle,
        out: *mut Handle,
    ) -> c_int;
    pub(crate) fn embtune_communicator_broadcast(group: *mut RawCommunicator, tensor: Handle) -> c_int;
    pub(crate) fn embtune_communicator_use_nccl(group: *mut RawCommunicator, nccl: *mut RawNccl) -> c_int;
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
    pub(crate) fn embtune_reducer_new(group: *mut RawCommunicator, out: *mut *mut RawReducer) -> c_int;
    pub(crate) fn embtune_reducer_drop(reducer: *mut RawReducer);
    pub(crate) fn embtune_reducer_add(
        reducer: *mut RawReducer,
        grads: Handle,
        leaves: *const Handle,
        count: usize,
    ) -> c_int;
    pub(crate) fn embtune_reducer_prepare(reducer: *mut RawReducer) -> c_int;
    pub(crate) fn embtune_reducer_started(reducer: *mut RawReducer, out: *mut usize) -> c_int;
    pub(crate) fn embtune_reducer_finish(reducer: *mut RawReducer) -> c_int;
    pub(crate) fn embtune_cuda_memory(index: i64, free: *mut i64, peak: *mut i64) -> c_int;
}

/// The pointer that the shim takes; valid while the tensor lives.
///
/// The shim checks type, shape and device, and whether the tensor is defined at all, before it touches memory, because
/// safe code may pass any tensor.
pub(crate) fn handle(tensor: &Tensor) -> Handle {
    tensor.as_ptr().cast_mut()
}

/// Turns the shim's status into a result.
pub(crate) fn check(status: c_int) -> Result<(), TorchError> {
    if status == 0 {
        return Ok(());
    }
    // SAFETY: the message is a thread-local C string that lives until the next failure on this thread.
    let message = unsafe { CStr::from_ptr(embtune_last_error()) };
    Err(TorchError(message.to_string_lossy().lines().next().unwrap_or_default().to_owned()))
}

/// The tensor that a call creates.
///
/// `call` gets a pointer to a handle, and must store a new one there when it returns 0.
pub(crate) fn make(call: impl FnOnce(*mut Handle) -> c_int) -> Result<Tensor, TorchError> {
    let mut out = ptr::null_mut();
    check(call(&mut out))?;
    // SAFETY: the shim returned 0, so the handle is a new tensor that nobody else owns.
    Ok(unsafe { Tensor::from_ptr(out) })
}

/// An object of the shim, which is freed when it is dropped.
pub(crate) struct Owned<T> {
    raw: NonNull<T>,
    free: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    /// The object that a call creates.
    ///
    /// `call` gets a pointer to a pointer, and must store there an object that `free` frees when it returns 0.
    pub(crate) fn make(
        call: impl FnOnce(*mut *mut T) -> c_int,
        free: unsafe extern "C" fn(*mut T),
    ) -> Result<Self, TorchError> {
        let mut raw = ptr::null_mut();
        check(call(&mut raw))?;
        let raw = NonNull::new(raw).ok_or_else(|| TorchError::new("the shim has created nothing"))?;
        Ok(Self { raw, free })
    }

    /// The pointer that the shim takes; valid while this lives.
    pub(crate) fn raw(&self) -> *mut T {
        self.raw.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from the call that `free` belongs to, and is not used again.
        unsafe { (self.free)(self.raw.as_ptr()) }
    }
}

/// A C string, which must not contain a NUL.
pub(crate) fn c_string(text: &str) -> Result<CString, TorchError> {
    CString::new(text).map_err(|_| TorchError::new(format!("{text:?} contains a NUL")))
}

/// Milliseconds that C++ can add to the current time: at most a century, because it counts nanoseconds in 64 bits.
pub(crate) fn milliseconds(duration: Duration) -> i64 {
    const CENTURY: i64 = 100 * 365 * 24 * 60 * 60 * 1000;
    duration.as_millis().try_into().unwrap_or(CENTURY).min(CENTURY)
}

/// A rank or a number of processes as a C int.
pub(crate) fn process_number(number: usize) -> Result<c_int, TorchError> {
    c_int::try_from(number).map_err(|_| TorchError::new(format!("{number} processes are too many")))
}
