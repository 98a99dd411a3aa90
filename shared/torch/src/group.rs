//! Several processes as one: torch.distributed's store of keys, and collective operations.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::{CString, c_int};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

use tch::{Device, Kind, Tensor};

use crate::TorchError;
use crate::ffi::{
    Handle, RawCommunicator, RawStore, check, embtune_group_broadcast, embtune_group_gather, embtune_group_join,
    embtune_group_leave, embtune_group_sum, embtune_group_use_nccl, embtune_store_close, embtune_store_get,
    embtune_store_open, embtune_store_set, handle, make,
};
use crate::nccl::Nccl;

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
/// What they exchange goes through Gloo, which works on the CPU: tensors of a GPU go there and back, unless
/// [`use_nccl`](Self::use_nccl) has taken NCCL for them.
pub struct Communicator {
    raw: NonNull<RawCommunicator>,
    rank: usize,
    size: usize,
    timeout: Duration,
    sent: Cell<u64>,
    /// Gloo's threads may look at it for as long as the group lives.
    _store: Arc<Store>,
}

impl Communicator {
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
        let (rank_number, size_number) = (number(rank)?, number(size)?);
        let mut raw = ptr::null_mut();
        // SAFETY: the store and the string live for the call; the store as long as the group.
        check(unsafe {
            embtune_group_join(
                store.0.as_ptr(),
                rank_number,
                size_number,
                interface.as_ptr(),
                milliseconds(timeout),
                &mut raw,
            )
        })?;
        let raw = NonNull::new(raw).ok_or_else(|| TorchError::new("no group"))?;
        Ok(Self { raw, rank, size, timeout, sent: Cell::new(0), _store: Arc::clone(store) })
    }

    /// Takes NCCL for the tensors of a device from now on, if every process can; or says why not, and all stay with Gloo.
    ///
    /// NCCL wants a GPU of its own for each process. `library` is its name or path, [`NCCL`](crate::NCCL) as CUDA's
    /// libtorch has it.
    ///
    /// # Errors
    /// A process that is gone or does not come in time.
    pub fn use_nccl(&self, library: &str, device: Device) -> Result<Option<String>, TorchError> {
        // Nobody waits for the others inside of NCCL before all are known to come.
        let loaded = Nccl::load(library).and_then(|nccl| Ok((nccl.id()?, nccl)));
        if let Some(reason) = self.reason_against(&loaded)? {
            return Ok(Some(reason));
        }
        let (id, nccl) = loaded?;
        self.broadcast(&id)?;
        let joined = nccl.join(&id, self.rank, self.size, device, self.timeout);
        if let Some(reason) = self.reason_against(&joined)? {
            return Ok(Some(reason));
        }
        // SAFETY: both pointers are live for the call, which takes a share of its own; so have operations that are pending
        // in the NCCL that was there before.
        check(unsafe { embtune_group_use_nccl(self.raw.as_ptr(), nccl.raw()) })?;
        Ok(None)
    }

    /// Why a process could not do what all have tried.
    fn reason_against<T>(&self, tried: &Result<T, TorchError>) -> Result<Option<String>, TorchError> {
        let all = self.all(i64::from(tried.is_err()))?;
        let of_other = || Some(format!("it does not run in rank {}", all.iter().position(|failed| *failed != 0)?));
        Ok(tried.as_ref().err().map(|error| error.0.clone()).or_else(of_other))
    }

    pub(crate) fn raw(&self) -> *mut RawCommunicator {
        self.raw.as_ptr()
    }

    /// Number of this process, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Number of processes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Bytes that this process has sent so far, in sums and gathered rows.
    ///
    /// In a ring (Patarasu and Yuan 2009) a process passes on all parts of a sum but one, twice; and of gathered rows
    /// all but one, once.
    pub fn sent(&self) -> u64 {
        self.sent.get()
    }

    /// Counts a sum over a tensor.
    pub(crate) fn count_sum(&self, tensor: &Tensor) {
        self.sent.set(self.sent.get() + ring_sum(self.size, bytes(tensor)));
    }

    /// Adds a tensor up over all processes, in place; the sums are the same bits everywhere.
    ///
    /// # Shapes
    /// - `tensor`: any, contiguous, the same in all processes; a float or an integer type
    ///
    /// # Errors
    /// A process that is gone or does not come in time.
    pub fn sum(&self, tensor: &Tensor) -> Result<(), TorchError> {
        self.count_sum(tensor);
        // SAFETY: group and tensor live for the call, which checks that the elements are in one piece and writes to them
        // only. How many another process sends is for Gloo and NCCL to compare.
        check(unsafe { embtune_group_sum(self.raw.as_ptr(), handle(tensor)) })
    }

    /// Copies the tensor of process 0 over those of the others.
    ///
    /// # Shapes
    /// - `tensor`: any, contiguous, the same in all processes
    ///
    /// # Errors
    /// A process that is gone or does not come in time.
    pub fn broadcast(&self, tensor: &Tensor) -> Result<(), TorchError> {
        // SAFETY: as in `sum`.
        check(unsafe { embtune_group_broadcast(self.raw.as_ptr(), handle(tensor)) })
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
        rows.size2()?;
        self.sent.set(self.sent.get() + ring_gather(self.size, bytes(rows)));
        // SAFETY: group and tensor live for the call.
        make(|out| unsafe { embtune_group_gather(self.raw.as_ptr(), handle(rows), out) })
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

impl Drop for Communicator {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `embtune_group_join` and is not used again; an overlap has a share of its own.
        unsafe { embtune_group_leave(self.raw.as_ptr()) }
    }
}

/// Bytes that each of so many processes sends to add up so many bytes of each.
pub fn ring_sum(size: usize, bytes: u64) -> u64 {
    2 * (size as u64 - 1) * bytes / size as u64
}

/// Bytes that each of so many processes sends so that all get so many bytes of each.
pub fn ring_gather(size: usize, bytes: u64) -> u64 {
    (size as u64 - 1) * bytes
}

fn bytes(tensor: &Tensor) -> u64 {
    (tensor.numel() * tensor.kind().elt_size_in_bytes()) as u64
}

pub(crate) fn c_string(text: &str) -> Result<CString, TorchError> {
    CString::new(text).map_err(|_| TorchError::new(format!("{text:?} holds a NUL")))
}

/// Milliseconds that C++ can add to the time of now: at most a century, because it counts nanoseconds in 64 bits.
pub(crate) fn milliseconds(duration: Duration) -> i64 {
    const CENTURY: i64 = 100 * 365 * 24 * 60 * 60 * 1000;
    duration.as_millis().try_into().unwrap_or(CENTURY).min(CENTURY)
}

/// A number of processes as C counts them.
pub(crate) fn number(of_processes: usize) -> Result<c_int, TorchError> {
    c_int::try_from(of_processes).map_err(|_| TorchError::new(format!("{of_processes} processes are too many")))
}
