//! The collective operations of a training's processes.

use std::cell::Cell;
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use embtune_cli::{Interrupt, Interrupted};
use embtune_torch::tch::{Device, Tensor};
use embtune_torch::{Bucket, Communicator, NCCL, Reducer, Store, StoreAddress, TorchError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::buckets::{BucketRange, cut};
use super::heartbeat::Heartbeat;
use super::peers::{POLL_INTERVAL, Peers, linger, named, ranks};
use super::{RankInfo, Rendezvous, RowAssignment};

/// The processes of a training. In a single process every operation leaves its input as it is.
pub(crate) struct ProcessGroup(Option<Peers>);

impl ProcessGroup {
    /// A single process.
    pub(crate) fn single() -> Self {
        Self(None)
    }

    /// Joins the other processes.
    ///
    /// # Errors
    /// The port is taken, a process does not join within `timeout`, a signal.
    pub(crate) fn join(rendezvous: Rendezvous, timeout: Duration, interrupt: &Interrupt) -> anyhow::Result<Self> {
        let Rendezvous { rank, world_size, master_addr: host, master_port: port, .. } = &rendezvous;
        let (rank, world_size, port, serves) = (*rank, *world_size, *port, rendezvous.serves_store());
        let address = format!("{host}:{port} (MASTER_ADDR, MASTER_PORT)");
        if serves {
            // libtorch would report a port that is taken with a page of C++.
            TcpListener::bind(("0.0.0.0", port)).with_context(|| format!("{address}: cannot listen there"))?;
        } else {
            wait_for_store(&rendezvous, timeout, interrupt, &address)?;
        }
        let prefix = format!("embtune/{}", rendezvous.restart_count);
        let store_address = StoreAddress { host, port, serves, prefix: &prefix };
        let store = Arc::new(Store::open(store_address, timeout).with_context(|| address.clone())?);
        let heartbeat = Heartbeat::start(Arc::clone(&store), rank, world_size);
        match Communicator::join(&store, rank, world_size, rendezvous.interface.as_deref(), timeout) {
            Ok(communicator) => {
                Ok(Self(Some(Peers { rendezvous, timeout, communicator, heartbeat, published: Cell::new(0) })))
            }
            Err(error) => {
                let seconds = timeout.as_secs();
                let reason = match heartbeat.beats().map(|beats| ranks(&beats, |beat| beat.is_none())) {
                    Err(_) => format!("{address} does not respond"),
                    Ok(missing) if missing.is_empty() => error.to_string(),
                    Ok(missing) => {
                        format!("timed out after {seconds} s waiting for {} (--dist-timeout)", named(&missing))
                    }
                };
                heartbeat.announce_exit(reason.clone());
                heartbeat.stop();
                Err(anyhow::anyhow!(reason).context(format!("rank {rank}")))
            }
        }
    }

    /// Number of this process, from 0.
    pub(crate) fn rank(&self) -> usize {
        self.0.as_ref().map_or(0, |peers| peers.rendezvous.rank)
    }

    /// Number of processes.
    pub(crate) fn world_size(&self) -> usize {
        self.0.as_ref().map_or(1, |peers| peers.rendezvous.world_size)
    }

    /// Number of this process on its machine, if there are several processes.
    pub(crate) fn local_rank(&self) -> Option<usize> {
        self.0.as_ref().map(|peers| peers.rendezvous.local_rank)
    }

    /// Rank and numbers of processes.
    pub(crate) fn rank_info(&self) -> RankInfo {
        let local_world_size = self.0.as_ref().and_then(|peers| peers.rendezvous.local_world_size).unwrap_or(1);
        RankInfo { rank: self.rank(), world_size: self.world_size(), local_world_size }
    }

    /// Whether this is the process that writes the model, the log and the checkpoints: the first one.
    pub(crate) fn is_main_process(&self) -> bool {
        self.rank() == 0
    }

    /// The rows of a whole batch, in its order.
    ///
    /// # Shapes
    /// - `rows`: `[own rows, width]`, those that `assignment` gives to this process
    /// - output: `[rows, width]`, the same bits in all processes
    ///
    /// # Errors
    /// A process is gone or hangs.
    pub(crate) fn all_gather(&self, rows: Tensor, assignment: &RowAssignment) -> anyhow::Result<Tensor> {
        let Some(peers) = &self.0 else { return Ok(rows) };
        peers.run(|communicator| {
            // Every process sends as many rows as the one with the most.
            let padding = assignment.max_rows() as i64 - rows.size()[0];
            let all = communicator.all_gather(&rows.f_constant_pad_nd([0, 0, 0, padding])?)?;
            let positions = Tensor::f_from_slice(&assignment.positions())?.f_to_device(all.device())?;
            Ok(all.f_index_select(0, &positions)?)
        })
    }

    /// The ranks of the processes for which something holds.
    ///
    /// # Errors
    /// A process is gone or hangs.
    pub(crate) fn ranks_where(&self, holds: bool) -> anyhow::Result<Vec<usize>> {
        let Some(peers) = &self.0 else { return Ok(if holds { vec![0] } else { Vec::new() }) };
        let all = peers.run(|communicator| communicator.all_gather_number(i64::from(holds)))?;
        Ok((0..all.len()).filter(|rank| all[*rank] != 0).collect())
    }

    /// Lets GPUs exchange tensors directly if each process has its own. Returns the reason if they cannot.
    ///
    /// # Errors
    /// A process is gone or hangs.
    pub(crate) fn link_gpus(&self, device: Device) -> anyhow::Result<Option<String>> {
        let Some(peers) = &self.0 else { return Ok(None) };
        let on_cpu = self.ranks_where(!device.is_cuda())?;
        if on_cpu.len() == self.world_size() {
            Ok(None)
        } else if on_cpu.is_empty() {
            peers.run(|communicator| communicator.use_nccl(NCCL, device))
        } else {
            Ok(Some(format!("{} runs on the CPU", named(&on_cpu))))
        }
    }

    /// A reducer that sums a flat gradient over all processes during the backward pass; `None` in a single process.
    ///
    /// `leaves` are the network's parameters with their ranges in `grads`, in the order in which the forward pass uses
    /// them.
    ///
    /// # Errors
    /// An error of libtorch.
    pub(crate) fn reducer(
        &self,
        grads: &Tensor,
        leaves: &[(Range<i64>, Tensor)],
    ) -> Result<Option<Reducer<'_>>, TorchError> {
        let Some(peers) = &self.0 else { return Ok(None) };
        let ranges: Vec<_> = leaves.iter().map(|(range, _)| range.clone()).collect();
        let bucket = |BucketRange { range, leaves: inside }| Bucket {
            range,
            leaves: inside.into_iter().map(|leaf: usize| &leaves[leaf].1).collect(),
        };
        let buckets: Vec<_> = cut(&ranges, grads.numel() as i64).into_iter().map(bucket).collect();
        Reducer::new(&peers.communicator, grads, &buckets).map(Some)
    }

    /// Waits for the sums of a reducer, and starts those that the backward pass has not started.
    ///
    /// # Errors
    /// A process is gone or hangs.
    pub(crate) fn finish(&self, reducer: &Reducer<'_>) -> anyhow::Result<()> {
        self.0.as_ref().map_or(Ok(()), |peers| peers.run(|_| reducer.finish()))
    }

    /// Bytes that each process has sent so far; `None` in a single process.
    pub(crate) fn bytes_sent(&self) -> Option<u64> {
        self.0.as_ref().map(|peers| peers.communicator.bytes_sent())
    }

    /// Copies the tensor of process 0 over those of the others.
    ///
    /// # Errors
    /// A process is gone or hangs.
    pub(crate) fn broadcast(&self, tensor: &Tensor) -> anyhow::Result<()> {
        self.0.as_ref().map_or(Ok(()), |peers| peers.run(|communicator| communicator.broadcast(tensor)))
    }

    /// Runs `act` in process 0 and returns its result in all processes, which wait as long as process 0 is alive.
    ///
    /// # Errors
    /// In process 0 those of `act`; in the others, that process 0 has failed or is gone.
    pub(crate) fn on_main_process<T: Serialize + DeserializeOwned>(
        &self,
        act: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let Some(peers) = &self.0 else { return act() };
        let key = format!("main/{}", peers.published.replace(peers.published.get() + 1));
        if self.is_main_process() {
            let value = act()?;
            let published = peers.heartbeat.set(&key, serde_json::to_vec(&value)?);
            let Rendezvous { master_addr, master_port, .. } = &peers.rendezvous;
            published.map_err(|_| anyhow::anyhow!("{master_addr}:{master_port} does not respond"))?;
            return Ok(value);
        }
        Ok(serde_json::from_slice(&peers.wait_for_main(&key)?)?)
    }

    /// Whether any process has received a signal: then all of them end at the same step.
    ///
    /// # Errors
    /// A process is gone or hangs.
    pub(crate) fn interrupted(&self, interrupt: &Interrupt) -> anyhow::Result<Option<anyhow::Error>> {
        let own = interrupt.check().err().map(anyhow::Error::new);
        if self.0.is_none() {
            return Ok(own);
        }
        let first = self.ranks_where(own.is_some())?.first().copied();
        let of_other = |rank| anyhow::Error::new(Interrupted).context(format!("stopped together with rank {rank}"));
        Ok(own.or(first.map(of_other)))
    }

    /// Leaves the group. If `result` is an error, the other processes learn why.
    ///
    /// # Errors
    /// The error of `result`, with this process's rank.
    pub(crate) fn leave<T>(self, result: anyhow::Result<T>) -> anyhow::Result<T> {
        let Some(Peers { rendezvous, communicator, heartbeat, .. }) = self.0 else { return result };
        // Only the first line: a hint is for the reader of this process's own message.
        let reason = |error: &anyhow::Error| format!("{error:#}").lines().next().unwrap_or_default().to_owned();
        if let Err(error) = &result {
            heartbeat.announce_exit(reason(error));
            drop(communicator); // now the pending operations of the others fail
            if rendezvous.serves_store() {
                linger(&heartbeat);
            }
        }
        heartbeat.stop();
        result.with_context(|| format!("rank {}", rendezvous.rank))
    }
}

/// Waits until the store's port is open, so that libtorch need not retry.
fn wait_for_store(
    rendezvous: &Rendezvous,
    timeout: Duration,
    interrupt: &Interrupt,
    address: &str,
) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        interrupt.check()?;
        let destination = (rendezvous.master_addr.as_str(), rendezvous.master_port);
        let Err(error) = TcpStream::connect(destination) else { return Ok(()) };
        anyhow::ensure!(
            began.elapsed() < timeout,
            "rank {}: timed out after {} s waiting for {address} (--dist-timeout): {error}",
            rendezvous.rank,
            timeout.as_secs()
        );
        thread::sleep(POLL_INTERVAL);
    }
}
