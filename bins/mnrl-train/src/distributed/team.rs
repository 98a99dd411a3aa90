//! What the processes of a training do together.

use std::cell::Cell;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use embtune_cli::{Interrupt, Interrupted};
use embtune_torch::tch::{Device, Tensor};
use embtune_torch::{Bucket, Communicator, NCCL, Overlap, Store, StoreAddress, TorchError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::buckets::{Part, cut};
use super::links::{LOOK, Links, linger, named, ranks};
use super::pulse::Pulse;
use super::{Crew, Split, World};
use crate::checkpoint::first_difference;
use crate::weights::parameters::Parameters;

/// The processes of a training; of a process that is alone, every operation is what it would be without the others.
pub(crate) struct Team(Option<Links>);

impl Team {
    /// A process of its own.
    pub(crate) fn alone() -> Self {
        Self(None)
    }

    /// Meets the other processes.
    ///
    /// # Errors
    /// A port that is taken, a process that does not come within the time, a signal.
    pub(crate) fn join(world: World, timeout: Duration, interrupt: &Interrupt) -> anyhow::Result<Self> {
        let place = format!("{}:{} (MASTER_ADDR, MASTER_PORT)", world.host, world.port);
        if world.serves() {
            // libtorch would say the same in a page of C++.
            TcpListener::bind(("0.0.0.0", world.port)).with_context(|| format!("{place}: cannot wait there"))?;
        } else {
            wait_for_store(&world, timeout, interrupt, &place)?;
        }
        let prefix = format!("embtune/{}", world.attempt);
        let address = StoreAddress { host: &world.host, port: world.port, serves: world.serves(), prefix: &prefix };
        let store = Arc::new(Store::open(address, timeout).with_context(|| place.clone())?);
        let pulse = Pulse::start(Arc::clone(&store), world.rank, world.size);
        match Communicator::join(&store, world.rank, world.size, world.interface.as_deref(), timeout) {
            Ok(group) => Ok(Self(Some(Links { world, timeout, group, pulse, told: Cell::new(0) }))),
            Err(error) => {
                let seconds = timeout.as_secs();
                let who = match pulse.beats().map(|beats| ranks(&beats, |beat| beat.is_none())) {
                    Err(_) => format!("{place} does not answer"),
                    Ok(missing) if missing.is_empty() => error.to_string(),
                    Ok(missing) => format!("{} has not come within {seconds} s (--dist-timeout)", named(&missing)),
                };
                pulse.say_ended(who.clone());
                pulse.stop();
                Err(anyhow::anyhow!(who).context(format!("rank {}", world.rank)))
            }
        }
    }

    /// Number of this process, from 0.
    pub(crate) fn rank(&self) -> usize {
        self.0.as_ref().map_or(0, |links| links.world.rank)
    }

    /// Number of processes.
    pub(crate) fn size(&self) -> usize {
        self.0.as_ref().map_or(1, |links| links.world.size)
    }

    /// Number of this process among those of its machine, if there are others.
    pub(crate) fn local_rank(&self) -> Option<usize> {
        self.0.as_ref().map(|links| links.world.local_rank)
    }

    /// How many processes there are.
    pub(crate) fn crew(&self) -> Crew {
        let here = self.0.as_ref().and_then(|links| links.world.local_size).unwrap_or(1);
        Crew { size: self.size(), rank: self.rank(), here }
    }

    /// Whether this is the process that writes: the only one, or the first.
    pub(crate) fn is_main(&self) -> bool {
        self.rank() == 0
    }

    /// The rows of a whole batch, in its order.
    ///
    /// # Shapes
    /// - `rows`: `[own rows, width]`, as `split` gives them to this process
    /// - output: `[rows, width]`, the same bits in all processes
    ///
    /// # Errors
    /// A process that is gone or hangs.
    pub(crate) fn gather(&self, rows: Tensor, split: &Split) -> anyhow::Result<Tensor> {
        let Some(links) = &self.0 else { return Ok(rows) };
        links.together(|group| {
            // All send as many rows as the one with the most.
            let lacking = split.most() as i64 - rows.size()[0];
            let all = group.gather(&rows.f_constant_pad_nd([0, 0, 0, lacking])?)?;
            Ok(all.f_index_select(0, &Tensor::f_from_slice(&split.places())?.f_to_device(all.device())?)?)
        })
    }

    /// Lets GPUs exchange what they have without the CPU, where each process has one of its own; or says why not.
    ///
    /// # Errors
    /// A process that is gone or hangs.
    pub(crate) fn link_gpus(&self, device: Device) -> anyhow::Result<Option<String>> {
        let Some(links) = &self.0 else { return Ok(None) };
        let on_gpus = links.together(|group| group.all(i64::from(device.is_cuda())))?;
        if on_gpus.iter().all(|on_gpu| *on_gpu == 0) {
            return Ok(None);
        }
        let on_cpu: Vec<_> = (0..on_gpus.len()).filter(|rank| on_gpus[*rank] == 0).collect();
        if on_cpu.is_empty() {
            links.together(|group| group.use_nccl(NCCL, device))
        } else {
            Ok(Some(format!("{} runs on the CPU", named(&on_cpu))))
        }
    }

    /// What adds up the gradient of a network over all processes, for as long as its leaves are those of now.
    ///
    /// # Errors
    /// What libtorch says.
    pub(crate) fn overlap(&self, parameters: &Parameters) -> Result<Option<Overlap<'_>>, TorchError> {
        let Some(links) = &self.0 else { return Ok(None) };
        let leaves = parameters.leaves();
        let ranges: Vec<_> = leaves.iter().map(|(range, _)| range.clone()).collect();
        let bucket = |Part { range, leaves: inside }| Bucket {
            range,
            leaves: inside.into_iter().map(|leaf: usize| &leaves[leaf].1).collect(),
        };
        let buckets: Vec<_> = cut(&ranges, parameters.grads.numel() as i64).into_iter().map(bucket).collect();
        Overlap::new(&links.group, &parameters.grads, &buckets).map(Some)
    }

    /// Adds up what is not added up yet.
    ///
    /// # Errors
    /// A process that is gone or hangs.
    pub(crate) fn finish(&self, overlap: &Overlap<'_>) -> anyhow::Result<()> {
        self.0.as_ref().map_or(Ok(()), |links| links.together(|_| overlap.finish()))
    }

    /// Bytes that this process, like every other, has sent so far, if there are others.
    pub(crate) fn sent(&self) -> Option<u64> {
        self.0.as_ref().map(|links| links.group.sent())
    }

    /// Makes a tensor what it is in process 0.
    ///
    /// # Errors
    /// A process that is gone or hangs.
    pub(crate) fn copy_from_main(&self, tensor: &Tensor) -> anyhow::Result<()> {
        self.0.as_ref().map_or(Ok(()), |links| links.together(|group| group.broadcast(tensor)))
    }

    /// Lets process 0 do something, and tells all others what came of it. They wait for as long as it lives.
    ///
    /// # Errors
    /// In process 0 what `act` says; in the others, that it has failed or is gone.
    pub(crate) fn by_main<T: Serialize + DeserializeOwned>(
        &self,
        act: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let Some(links) = &self.0 else { return act() };
        let key = format!("main/{}", links.told.replace(links.told.get() + 1));
        if self.is_main() {
            let value = act()?;
            let told = links.pulse.set(&key, serde_json::to_vec(&value)?);
            told.map_err(|_| anyhow::anyhow!("{}:{} does not answer", links.world.host, links.world.port))?;
            return Ok(value);
        }
        Ok(serde_json::from_slice(&links.wait_for_main(&key)?)?)
    }

    /// Refuses to train with processes that were told something else.
    ///
    /// # Errors
    /// The first setting that is not as in process 0; which process it is that differs.
    pub(crate) fn agree(&self, settings: &Map<String, Value>) -> anyhow::Result<()> {
        let Some(links) = &self.0 else { return Ok(()) };
        let of_main = self.by_main(|| Ok(settings.clone()))?;
        let difference = first_difference(&of_main, settings);
        let differing = links.together(|group| group.all(i64::from(difference.is_some())))?;
        let same = "\nhint: start all processes with the same flags, data and model";
        if let Some((name, of_main, own)) = difference {
            anyhow::bail!("{name} is {own} here, and {of_main} in rank 0{same}");
        }
        let differing: Vec<_> = (0..differing.len()).filter(|rank| differing[*rank] != 0).collect();
        anyhow::ensure!(differing.is_empty(), "{} was started with other flags or data{same}", named(&differing));
        Ok(())
    }

    /// Whether any process was asked to end: all of them end at the same step.
    ///
    /// # Errors
    /// A process that is gone or hangs.
    pub(crate) fn interrupted(&self, interrupt: &Interrupt) -> anyhow::Result<Option<anyhow::Error>> {
        let own = interrupt.check().err().map(anyhow::Error::new);
        let Some(links) = &self.0 else { return Ok(own) };
        let signals = links.together(|group| group.all(i64::from(own.is_some())))?;
        let first = signals.iter().position(|signal| *signal != 0);
        Ok(own.or(first.map(|rank| anyhow::Error::new(Interrupted).context(format!("stopped with rank {rank}")))))
    }

    /// Takes leave of the others, who are told when something went wrong.
    ///
    /// # Errors
    /// Those of `result`, with this process's number.
    pub(crate) fn leave<T>(self, result: anyhow::Result<T>) -> anyhow::Result<T> {
        let Some(Links { world, group, pulse, .. }) = self.0 else { return result };
        // Only the first line: a hint is for who reads this process's own message.
        let why = |error: &anyhow::Error| format!("{error:#}").lines().next().unwrap_or_default().to_owned();
        if let Err(error) = &result {
            pulse.say_ended(why(error));
            drop(group); // now the operations of the others fail
            if world.serves() {
                linger(&pulse);
            }
        }
        pulse.stop();
        result.with_context(|| format!("rank {}", world.rank))
    }
}

/// Waits until the store's port is open, so that libtorch need not try again and again.
fn wait_for_store(world: &World, timeout: Duration, interrupt: &Interrupt, place: &str) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        interrupt.check()?;
        let Err(error) = TcpStream::connect((world.host.as_str(), world.port)) else { return Ok(()) };
        anyhow::ensure!(
            began.elapsed() < timeout,
            "rank {}: nobody answers at {place} within {} s (--dist-timeout): {error}",
            world.rank,
            timeout.as_secs()
        );
        thread::sleep(LOOK);
    }
}
