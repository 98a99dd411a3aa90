//! Rows of tokens to vectors: batches, and the sessions that run them.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use embtune_cli::Device;
use embtune_model::{AnyEncoder, AnyModelDir};
use embtune_onnx::{HeadOptions, Precision};
use embtune_ort_engine::{Engine, EngineError, Kernels};
use embtune_tokenize::{Tokens, longest_first};

use crate::backend::{Backend, Sessions, Worker, native, normalize, onnx_file};
use crate::error::EncodeError;
use crate::options::EncoderOptions;

/// A model with as many bytes of weights gets only one session on a CPU.
const LARGE_WEIGHTS_BYTES: u64 = 512 << 20;
/// Bytes of weights times bytes of text that two CPU cores process in about a minute.
const CPU_WORK_PER_MINUTE: u64 = 128_000_000_000_000;

/// A model on its device.
pub struct ModelRunner {
    backend: Backend,
    pub(crate) device: Device,
    pub(crate) precision: Precision,
    pub(crate) kernels: Vec<Kernels>,
    pub(crate) cuda_failure: Option<String>,
    pub(crate) pooling_guess: Option<String>,
    batch_tokens: usize,
    window_bytes: usize,
    /// Number of elements of a vector, after the model's own truncation.
    dim: usize,
    normalize: bool,
}

impl ModelRunner {
    /// Loads the weights. `skip` is the number of tokens at the beginning of each row that the pooling leaves out.
    pub(crate) fn load(model: &AnyModelDir, options: &EncoderOptions<'_>, skip: usize) -> Result<Self, EncodeError> {
        let head = HeadOptions { normalize: options.normalize, skip };
        let mut engine = Engine::start(options.device, options.ort_library)?;
        if options.profile {
            engine.enable_profiling();
        }
        let device = engine.device();
        let sessions = sessions(model.encoder_bytes(), device, options.threads);
        let backend = match model.encoder() {
            AnyEncoder::Native(config) => {
                native::load(&engine, &model.with_encoder(config.clone()), options, head, sessions)?
            }
            AnyEncoder::Onnx(file) => {
                let pad_rows = device != Device::Cpu;
                onnx_file::load(&engine, model, file, options, head, sessions, pad_rows)?
            }
        };
        Ok(Self {
            dim: model.truncate_dim().unwrap_or(backend.dim).min(backend.dim),
            normalize: options.normalize,
            pooling_guess: model.pooling_guess().filter(|_| backend.pools),
            backend,
            device,
            precision: options.precision,
            kernels: Vec::new(),
            cuda_failure: engine.cuda_failure().map(str::to_owned),
            batch_tokens: options.batch_tokens.unwrap_or(default_batch_tokens(device, sessions.threads)),
            window_bytes: window_bytes(model.encoder_bytes(), device),
        })
    }

    /// Number of elements of a vector.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The most bytes of text that [`run`](Self::run) should be given at once. On a CPU that is about a minute of work,
    /// so that a caller that is stopped between two calls loses no more than that.
    pub fn window_bytes(&self) -> usize {
        self.window_bytes
    }

    /// The vectors of some rows, `[rows, dim]`, in the order of the rows. A row without tokens has a vector of zeros,
    /// as from sentence-transformers' pooling; the tokenizer of such a model adds no special tokens.
    ///
    /// # Errors
    /// The device fails, or a vector is not finite.
    pub fn run(&mut self, rows: &[Tokens]) -> Result<Vec<f32>, EncodeError> {
        let lengths: Vec<usize> = rows.iter().map(|row| row.ids.len()).collect();
        let mut order = longest_first(&lengths);
        order.truncate(order.partition_point(|row| lengths[*row] > 0));
        let batches = self.backend.pack(order.iter().map(|row| lengths[*row]), self.batch_tokens);
        let results = self.run_batches(batches.iter().map(|batch| &order[batch.clone()]).collect(), rows)?;
        // Workers stop profiling with this call, because a profile grows with every run.
        for worker in &mut self.backend.workers {
            if let Some(kernels) = worker.kernels()?.filter(|kernels| kernels.len() > self.kernels.len()) {
                self.kernels = kernels;
            }
        }
        let dim = self.dim;
        let mut vectors = vec![0.0; rows.len() * dim];
        for (batch, result) in batches.into_iter().zip(results) {
            for (row, vector) in order[batch].iter().zip(result.chunks_exact(self.backend.dim)) {
                if vector.iter().any(|x| !x.is_finite()) {
                    return Err(EncodeError::NotFinite(*row));
                }
                let target = &mut vectors[row * dim..(row + 1) * dim];
                target.copy_from_slice(&vector[..dim]);
                if self.normalize && dim < vector.len() {
                    normalize(target);
                }
            }
        }
        Ok(vectors)
    }

    /// Runs batches of rows on all workers. A worker that has finished a batch takes the next one.
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
        let workers = self.backend.workers.as_mut_slice();
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

/// How many sessions to run, and with how many threads each. A small model is fastest with one session for each thread,
/// whose batches stay in the cache. A large model is as fast with one session of many threads, and each further session
/// would hold the weights once more.
fn sessions(weights_bytes: u64, device: Device, threads: usize) -> Sessions {
    // More sessions than cores would only take memory.
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let (count, threads) = match device {
        Device::Cpu if weights_bytes < LARGE_WEIGHTS_BYTES => (threads.min(cores), 1),
        Device::Cpu => (1, threads),
        _ => (1, 1),
    };
    Sessions { count, threads }
}

/// Depends on the weights alone, not on the speed of the machine, so that the same input always falls into the same
/// batches.
fn window_bytes(weights_bytes: u64, device: Device) -> usize {
    match device {
        Device::Cpu => usize::try_from(CPU_WORK_PER_MINUTE / weights_bytes.max(1)).unwrap_or(usize::MAX),
        _ => usize::MAX,
    }
}

/// On a CPU, small batches stay in the cache (about 512 tokens a thread measured best with all-MiniLM-L6-v2). A GPU
/// needs enough work to hide the time of kernel launches.
fn default_batch_tokens(device: Device, threads: usize) -> usize {
    if device == Device::Cpu { 512 * threads } else { 32_768 }
}
