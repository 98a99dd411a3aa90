//! Collective operations between the processes of a training (torch.distributed).
#![allow(unsafe_code)]

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use tch::{Device, Kind, Tensor};

use crate::ffi::{
    Owned, RawCommunicator, c_string, check, embtune_communicator_all_gather, embtune_communicator_all_reduce,
    embtune_communicator_broadcast, embtune_communicator_join, embtune_communicator_leave,
    embtune_communicator_use_nccl, handle, make, milliseconds, process_number,
};
use crate::nccl::Nccl;
use crate::{Store, TorchError};

/// The connection of processes that compute together. All of them call the same operations in the same order; each
/// operation blocks until every process has called it, or fails when the timeout is over.
///
/// Tensors are exchanged by Gloo, which works on the CPU: those on a GPU are copied there and back, unless
/// [`use_nccl`](Self::use_nccl) has switched them to NCCL.
pub struct Communicator {
    raw: Owned<RawCommunicator>,
    rank: usize,
    world_size: usize,
    timeout: Duration,
    bytes_sent: Cell<u64>,
    /// Gloo's threads may use it as long as the communicator lives.
    _store: Arc<Store>,
}

impl Communicator {
    /// Joins the other processes, and blocks until all of them have joined.
    ///
    /// `interface` is the network interface through which the others reach this process; the default is the one that
    /// the host's name resolves to.
    ///
    /// # Errors
    /// A process has not joined within `timeout`.
    pub fn join(
        store: &Arc<Store>,
        rank: usize,
        world_size: usize,
        interface: Option<&str>,
        timeout: Duration,
    ) -> Result<Self, TorchError> {
        let interface = c_string(interface.unwrap_or_default())?;
        let (c_rank, c_size) = (process_number(rank)?, process_number(world_size)?);
        // SAFETY: the store and the string live for the call; the store as long as the communicator.
        let join = |out: *mut _| unsafe {
            embtune_communicator_join(store.raw(), c_rank, c_size, interface.as_ptr(), milliseconds(timeout), out)
        };
        // A reducer has a reference of its own to what is left.
        let raw = Owned::make(join, embtune_communicator_leave)?;
        Ok(Self { raw, rank, world_size, timeout, bytes_sent: Cell::new(0), _store: Arc::clone(store) })
    }

    /// Uses NCCL for tensors on `device` from now on if every process can. Otherwise all of them stay with Gloo, and
    /// the reason is returned.
    ///
    /// NCCL needs a separate GPU for each process. `library` is its file name or path: [`NCCL`](crate::NCCL) is the one
    /// that libtorch itself loads.
    ///
    /// # Errors
    /// A process is gone or has not answered within the timeout.
    pub fn use_nccl(&self, library: &str, device: Device) -> Result<Option<String>, TorchError> {
        // NCCL would wait forever for a process that cannot load it, so the processes first ask each other.
        let loaded = Nccl::load(library).and_then(|nccl| Ok((nccl.new_id()?, nccl)));
        if let Some(reason) = self.first_failure(&loaded)? {
            return Ok(Some(reason));
        }
        let (id, nccl) = loaded?;
        self.broadcast(&id)?;
        let joined = nccl.join(&id, self.rank, self.world_size, device, self.timeout);
        if let Some(reason) = self.first_failure(&joined)? {
            return Ok(Some(reason));
        }
        // SAFETY: both pointers are live for the call, which takes a reference of its own; operations that are pending
        // in the NCCL that was used before hold theirs.
        check(unsafe { embtune_communicator_use_nccl(self.raw(), nccl.raw()) })?;
        Ok(None)
    }

    /// Why some process could not do what all have tried: its own error in the process that failed.
    fn first_failure<T>(&self, tried: &Result<T, TorchError>) -> Result<Option<String>, TorchError> {
        let failed = self.all_gather_number(i64::from(tried.is_err()))?;
        let of_other = || Some(format!("it does not run in rank {}", failed.iter().position(|failed| *failed != 0)?));
        Ok(tried.as_ref().err().map(|error| error.0.clone()).or_else(of_other))
    }

    pub(crate) fn raw(&self) -> *mut RawCommunicator {
        self.raw.raw()
    }

    /// Number of this process, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Number of processes.
    pub fn world_size(&self) -> usize {
        self.world_size
    }

    /// Bytes that this process has sent so far in [`all_reduce`](Self::all_reduce) and
    /// [`all_gather`](Self::all_gather).
    ///
    /// In a ring (Patarasu and Yuan 2009) every process forwards all parts of a sum but one, twice; and of gathered
    /// rows all parts but one, once.
    pub fn bytes_sent(&self) -> u64 {
        self.bytes_sent.get()
    }

    pub(crate) fn count_all_reduce(&self, tensor: &Tensor) {
        self.bytes_sent.set(self.bytes_sent.get() + all_reduce_bytes(self.world_size, bytes(tensor)));
    }

    /// Sums a tensor over all processes, in place; the sums have the same bits in all of them.
    ///
    /// # Shapes
    /// - `tensor`: any, contiguous, the same in all processes; a float or an integer type
    ///
    /// # Errors
    /// A process is gone or has not answered within the timeout.
    pub fn all_reduce(&self, tensor: &Tensor) -> Result<(), TorchError> {
        self.count_all_reduce(tensor);
        // SAFETY: communicator and tensor live for the call, which checks that the elements are contiguous and writes
        // to them only. Whether another process sends as many is for Gloo and NCCL to compare.
        check(unsafe { embtune_communicator_all_reduce(self.raw(), handle(tensor)) })
    }

    /// Copies the tensor of process 0 over those of the others.
    ///
    /// # Shapes
    /// - `tensor`: any, contiguous, the same in all processes
    ///
    /// # Errors
    /// A process is gone or has not answered within the timeout.
    pub fn broadcast(&self, tensor: &Tensor) -> Result<(), TorchError> {
        // SAFETY: as in `all_reduce`.
        check(unsafe { embtune_communicator_broadcast(self.raw(), handle(tensor)) })
    }

    /// The rows of all processes, ordered by rank.
    ///
    /// # Shapes
    /// - `rows`: `[rows, width]`, the same shape in all processes
    /// - output: `[world_size · rows, width]`, on the device of `rows`
    ///
    /// # Errors
    /// A process is gone or has not answered within the timeout.
    pub fn all_gather(&self, rows: &Tensor) -> Result<Tensor, TorchError> {
        rows.size2()?;
        self.bytes_sent.set(self.bytes_sent.get() + all_gather_bytes(self.world_size, bytes(rows)));
        // SAFETY: communicator and tensor live for the call.
        make(|out| unsafe { embtune_communicator_all_gather(self.raw(), handle(rows), out) })
    }

    /// One number from each process, ordered by rank.
    ///
    /// # Errors
    /// A process is gone or has not answered within the timeout.
    pub fn all_gather_number(&self, number: i64) -> Result<Vec<i64>, TorchError> {
        let own = Tensor::f_full([1, 1], number, (Kind::Int64, Device::Cpu))?;
        Ok(Vec::<i64>::try_from(&self.all_gather(&own)?.f_view([-1])?)?)
    }
}

/// Bytes that each process sends in a ring all-reduce of tensors of this many bytes.
pub fn all_reduce_bytes(world_size: usize, bytes: u64) -> u64 {
    2 * (world_size as u64 - 1) * bytes / world_size as u64
}

/// Bytes that each process sends in a ring all-gather to which each contributes this many bytes.
pub fn all_gather_bytes(world_size: usize, bytes: u64) -> u64 {
    (world_size as u64 - 1) * bytes
}

fn bytes(tensor: &Tensor) -> u64 {
    (tensor.numel() * tensor.kind().elt_size_in_bytes()) as u64
}
