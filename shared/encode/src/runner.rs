//! Rows of tokens to vectors: batches, and the sessions that run them.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use embtune_cli::Device;
use embtune_model::{AnyEncoder, AnyModelDir};
use embtune_onnx::Precision;
use embtune_ort_engine::{Engine, EngineError, Kernels};
use embtune_tokenize::{Tokens, longest_first};

use crate::encoder::{EncodeError, EncoderOptions};
use crate::network::{Network, Sessions, Worker, foreign, normalize, own};

/// Bytes of weights from which sessions are not multiplied.
const LARGE_WEIGHTS: u64 = 512 << 20;
/// Bytes of weights times bytes of text that a CPU of two cores works off in about a minute.
const CPU_MINUTE: u64 = 128_000_000_000_000;

/// A model on its device.
pub struct Runner {
    network: Network,
    device: Device,
    precision: Precision,
    kernels: Vec<Kernels>,
    fallback: Option<String>,
    batch_tokens: usize,
    window_bytes: usize,
    /// Elements that the model keeps of a vector.
    kept: usize,
    normalize: bool,
    guess: Option<String>,
}

impl Runner {
    pub(crate) fn load(model: &AnyModelDir, options: &EncoderOptions<'_>) -> Result<Self, EncodeError> {
        let mut engine = Engine::start(options.device, options.ort_library)?;
        if options.profile {
            engine.watch();
        }
        let device = engine.device();
        let sessions = sessions(model.encoder_bytes(), device, options.threads);
        let network = match model.encoder() {
            AnyEncoder::Known(config) => own::load(&engine, &model.with_encoder(config.clone()), options, sessions)?,
            AnyEncoder::Onnx(file) => {
                let mixed = device != Device::Cpu;
                foreign::load(&engine, model, file, options, sessions, mixed)?
            }
        };
        let dim = network.dim;
        Ok(Self {
            kept: model.truncate_dim().unwrap_or(dim).min(dim),
            normalize: options.normalize,
            guess: model.pooling_guess().filter(|_| network.pools),
            network,
            device,
            precision: options.precision,
            kernels: Vec::new(),
            fallback: engine.fallback().map(str::to_owned),
            batch_tokens: options.batch_tokens.unwrap_or(default_batch_tokens(device, sessions.threads)),
            window_bytes: window_bytes(model.encoder_bytes(), device),
        })
    }

    /// Elements of a vector.
    pub fn dim(&self) -> usize {
        self.kept
    }

    /// What is to be said about a pooling that nothing but custom says is the right one.
    pub fn pooling_guess(&self) -> Option<&str> {
        self.guess.as_deref()
    }

    /// What the encoder computes in.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Bytes of text beyond which there is no use in giving [`run`](Self::run) more at once: on a CPU what takes about a
    /// minute, so that a caller who stops, or is stopped, between two calls loses no more.
    pub fn window_bytes(&self) -> usize {
        self.window_bytes
    }

    /// The device that runs the model.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Why `auto` did not take CUDA, on a machine that seems to have a GPU.
    pub fn fallback(&self) -> Option<&str> {
        self.fallback.as_deref()
    }

    /// The kernels that ran first, when [`EncoderOptions::profile`] said so.
    pub fn kernels(&self) -> &[Kernels] {
        &self.kernels
    }

    /// Vectors of rows, `[rows, dim]`, in the rows' order. A row without tokens, of a tokenizer that adds none, has the
    /// zero vector, as sentence-transformers' pooling makes it.
    ///
    /// # Errors
    /// A device that fails, a vector that is not finite.
    pub fn run(&mut self, rows: &[Tokens]) -> Result<Vec<f32>, EncodeError> {
        let lengths: Vec<usize> = rows.iter().map(|row| row.ids.len()).collect();
        let mut order = longest_first(&lengths);
        order.truncate(order.partition_point(|row| lengths[*row] > 0));
        let batches = self.network.pack(order.iter().map(|row| lengths[*row]), self.batch_tokens);
        let results = self.run_batches(batches.iter().map(|batch| &order[batch.clone()]).collect(), rows)?;
        // A profile of more than the first rows would fill the memory.
        for worker in &mut self.network.workers {
            if let Some(kernels) = worker.kernels()?.filter(|kernels| kernels.len() > self.kernels.len()) {
                self.kernels = kernels;
            }
        }
        let kept = self.kept;
        let mut vectors = vec![0.0; rows.len() * kept];
        for (batch, result) in batches.into_iter().zip(results) {
            for (row, vector) in order[batch].iter().zip(result.chunks_exact(self.network.dim)) {
                if vector.iter().any(|x| !x.is_finite()) {
                    return Err(EncodeError::NotFinite(*row));
                }
                let target = &mut vectors[row * kept..(row + 1) * kept];
                target.copy_from_slice(&vector[..kept]);
                if self.normalize && kept < vector.len() {
                    normalize(target);
                }
            }
        }
        Ok(vectors)
    }

    /// Runs batches of rows on all workers; each takes the next batch when it is done with one.
    fn run_batches(&mut self, batches: Vec<&[usize]>, rows: &[Tokens]) -> Result<Vec<Vec<f32>>, EncodeError> {
        let next = AtomicUsize::new(0);
        let results: Mutex<Vec<Vec<f32>>> = Mutex::new(vec![Vec::new(); batches.len()]);
        let work = |worker: &mut Box<dyn Worker>| -> Result<(), EngineError> {
            while let index = next.fetch_add(1, Ordering::Relaxed)
                && let Some(batch) = batches.get(index)
            {
                let batch: Vec<&Tokens> = batch.iter().map(|row| &rows[*row]).collect();
                let vectors = worker.run(&batch)?;
                results.lock().unwrap_or_else(PoisonError::into_inner)[index] = vectors;
            }
            Ok(())
        };
        let workers = self.network.workers.as_mut_slice();
        if let [worker] = workers {
            work(worker)?;
        } else {
            thread::scope(|scope| {
                let threads: Vec<_> = workers.iter_mut().map(|worker| scope.spawn(|| work(worker))).collect();
                threads.into_iter().try_for_each(|thread| {
                    thread.join().unwrap_or_else(|_| Err(EngineError::Run("a worker thread panicked".into())))
                })
            })?;
        }
        Ok(results.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Sessions, and CPU threads of each. One session a thread is faster with a small model, whose batches stay in the
/// cache; a large one is as fast with one wide session, and each session would hold its weights once more.
fn sessions(weights: u64, device: Device, threads: usize) -> Sessions {
    // More sessions than cores would only take memory.
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let (count, threads) = match device {
        Device::Cpu if weights < LARGE_WEIGHTS => (threads.min(cores), 1),
        Device::Cpu => (1, threads),
        _ => (1, 1),
    };
    Sessions { count, threads }
}

/// By the weights alone, so that the same text always falls into the same batches.
fn window_bytes(weights: u64, device: Device) -> usize {
    if device == Device::Cpu { usize::try_from(CPU_MINUTE / weights.max(1)).unwrap_or(usize::MAX) } else { usize::MAX }
}

/// On a CPU small batches stay in the cache (measured best around 512 tokens a thread with all-MiniLM-L6-v2); a GPU
/// wants enough work to hide the launches.
fn default_batch_tokens(device: Device, threads: usize) -> usize {
    if device == Device::Cpu { 512 * threads } else { 32_768 }
}
