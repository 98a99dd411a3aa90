//! Several processes as one: torch.distributed's store of keys, and Gloo's collective operations.
#![allow(unsafe_code)]

use std::ffi::{CString, c_int};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

use tch::{Device, Kind, Tensor};

use crate::TorchError;
use crate::ffi::{
    Handle, RawGroup, RawStore, check, embtune_group_broadcast, embtune_group_gather, embtune_group_join,
    embtune_group_leave, embtune_group_sum, embtune_store_close, embtune_store_get, embtune_store_open,
    embtune_store_set, handle,
};

/// Keys and values that all processes of a group see, kept by one of them and reached over TCP (c10d's TCPStore).
pub struct Store(NonNull<RawStore>);

// SAFETY: c10d's stores lock around each operation; any thread may call them.
unsafe impl Send for Store {}
// SAFETY: as above.
unsafe impl Sync for Store {}

/// Where a store is.
#[derive(Debug, Clone, Copy)]
pub struct StoreAddress<'a> {
    /// Name or number of the host that keeps it.
    pub host: &'a str,
    /// Its port.
    pub port: u16,
    /// Whether this process is the one that keeps it.
    pub serves: bool,
    /// In front of every key, so that several groups can share a store one after the other.
    pub prefix: &'a str,
}

impl Store {
    /// Connects to a store, or serves it.
    ///
    /// # Errors
    /// A port that is taken, a host that does not answer within the time.
    pub fn open(address: StoreAddress<'_>, timeout: Duration) -> Result<Self, TorchError> {
        let (host, prefix) = (c_string(address.host)?, c_string(address.prefix)?);
        let mut store = ptr::null_mut();
        // SAFETY: both strings live for the call.
        check(unsafe {
            embtune_store_open(
                host.as_ptr(),
                address.port,
                address.serves,
                prefix.as_ptr(),
                milliseconds(timeout),
                &mut store,
            )
        })?;
        NonNull::new(store).map(Self).ok_or_else(|| TorchError::new("no store"))
    }

    /// Sets a key's value.
    ///
    /// # Errors
    /// A store that is gone.
    pub fn set(&self, key: &str, value: &[u8]) -> Result<(), TorchError> {
        let key = c_string(key)?;
        // SAFETY: key and value live for the call, which copies them.
        check(unsafe { embtune_store_set(self.0.as_ptr(), key.as_ptr(), value.as_ptr(), value.len()) })
    }

    /// A key's value, if it has one; does not wait for it.
    ///
    /// # Errors
    /// A store that is gone.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, TorchError> {
        let key = c_string(key)?;
        let mut value: Handle = ptr::null_mut();
        // SAFETY: the key lives for the call, which puts a new tensor into `value` or leaves it alone.
        check(unsafe { embtune_store_get(self.0.as_ptr(), key.as_ptr(), &mut value) })?;
        if value.is_null() {
            return Ok(None);
        }
        // SAFETY: a new tensor that nobody else owns.
        let bytes = unsafe { Tensor::from_ptr(value) };
        Ok(Some(Vec::<u8>::try_from(&bytes)?))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `embtune_store_open` and is not used again.
        unsafe { embtune_store_close(self.0.as_ptr()) }
    }
}

/// Processes that compute together. All of them call the same operations in the same order; each operation waits until
/// all have called it, or until the time of the group is over, which is an error.
///
/// Gloo works on the CPU: tensors of another device go there and back.
pub struct Group {
    raw: NonNull<RawGroup>,
    rank: usize,
    size: usize,
    /// Gloo's threads may look at it for as long as the group lives.
    _store: Arc<Store>,
}

impl Group {
    /// Meets the other processes.
    ///
    /// `interface` is the network interface that they reach this one through; the host's own without it.
    ///
    /// # Errors
    /// A process that does not come within the time.
    pub fn join(
        store: &Arc<Store>,
        rank: usize,
        size: usize,
        interface: Option<&str>,
        timeout: Duration,
    ) -> Result<Self, TorchError> {
        let interface = c_string(interface.unwrap_or_default())?;
        let mut raw = ptr::null_mut();
        // SAFETY: the store and the string live for the call; the store as long as the group.
        check(unsafe {
            embtune_group_join(
                store.0.as_ptr(),
                rank as c_int,
                size as c_int,
                interface.as_ptr(),
                milliseconds(timeout),
                &mut raw,
            )
        })?;
        let raw = NonNull::new(raw).ok_or_else(|| TorchError::new("no group"))?;
        Ok(Self { raw, rank, size, _store: Arc::clone(store) })
    }

    /// Number of this process, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Number of processes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Adds a tensor up over all processes, in place; the sums are the same bits everywhere.
    ///
    /// # Shapes
    /// - `tensor`: any, contiguous, the same in all processes; a float or an integer type
    ///
    /// # Errors
    /// A process that is gone or does not come in time.
    pub fn sum(&self, tensor: &Tensor) -> Result<(), TorchError> {
        // SAFETY: group and tensor live for the call, which writes to the tensor's elements only.
        on_cpu(tensor, |tensor| check(unsafe { embtune_group_sum(self.raw.as_ptr(), handle(tensor)) }))
    }

    /// Copies the tensor of process 0 over those of the others.
    ///
    /// # Shapes
    /// - `tensor`: any, contiguous, the same in all processes
    ///
    /// # Errors
    /// A process that is gone or does not come in time.
    pub fn broadcast(&self, tensor: &Tensor) -> Result<(), TorchError> {
        // SAFETY: group and tensor live for the call, which writes to the tensor's elements only.
        on_cpu(tensor, |tensor| check(unsafe { embtune_group_broadcast(self.raw.as_ptr(), handle(tensor)) }))
    }

    /// The rows of all processes, by rank.
    ///
    /// # Shapes
    /// - `rows`: `[rows, width]`, the same shape in all processes
    /// - output: `[size · rows, width]`, on the device of `rows`
    ///
    /// # Errors
    /// A process that is gone or does not come in time.
    pub fn gather(&self, rows: &Tensor) -> Result<Tensor, TorchError> {
        let own = rows.f_to_device(Device::Cpu)?.f_contiguous()?;
        let (count, width) = own.size2()?;
        let all = Tensor::f_zeros([count * self.size as i64, width], (own.kind(), Device::Cpu))?;
        // SAFETY: group and tensors live for the call, which writes to the elements of `all` only.
        check(unsafe { embtune_group_gather(self.raw.as_ptr(), handle(&all), handle(&own)) })?;
        Ok(all.f_to_device(rows.device())?)
    }

    /// One number from each process, by rank.
    ///
    /// # Errors
    /// A process that is gone or does not come in time.
    pub fn all(&self, number: i64) -> Result<Vec<i64>, TorchError> {
        let own = Tensor::f_full([1, 1], number, (Kind::Int64, Device::Cpu))?;
        Ok(Vec::<i64>::try_from(&self.gather(&own)?.f_view([-1])?)?)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `embtune_group_join` and is not used again.
        unsafe { embtune_group_leave(self.raw.as_ptr()) }
    }
}

/// Does something to a tensor's elements on the CPU.
fn on_cpu(tensor: &Tensor, act: impl FnOnce(&Tensor) -> Result<(), TorchError>) -> Result<(), TorchError> {
    if tensor.device() == Device::Cpu {
        return act(tensor);
    }
    let copy = tensor.f_to_device(Device::Cpu)?;
    act(&copy)?;
    tch::no_grad(|| tensor.shallow_clone().f_copy_(&copy))?;
    Ok(())
}

fn c_string(text: &str) -> Result<CString, TorchError> {
    CString::new(text).map_err(|_| TorchError::new(format!("{text:?} holds a NUL")))
}

fn milliseconds(duration: Duration) -> i64 {
    duration.as_millis().try_into().unwrap_or(i64::MAX)
}
