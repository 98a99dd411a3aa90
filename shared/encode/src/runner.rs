//! Rows of tokens to vectors: batches, and the sessions that run them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use embtune_cli::Device;
use embtune_model::{EncoderConfig, ModelDir};
use embtune_onnx::{Form, Layout, Precision};
use embtune_ort_engine::{Engine, EngineError, Graph, Kernels, Output, Session};
use embtune_tokenize::{Tokens, longest_first};

use crate::batch::{Batch, BatchShape};
use crate::encoder::{EncodeError, Options};

/// Bytes of weights from which sessions are not multiplied.
const LARGE_WEIGHTS: u64 = 512 << 20;
/// Bytes of weights times bytes of text that a CPU of two cores works off in about a minute.
const CPU_MINUTE: u64 = 128_000_000_000_000;

/// A model's graph on its device.
pub struct Runner {
    sessions: Vec<Session>,
    device: Device,
    precision: Precision,
    kernels: Vec<Kernels>,
    fallback: Option<String>,
    batch_tokens: usize,
    window_bytes: usize,
    shape: BatchShape,
    dim: usize,
}

impl Runner {
    pub(crate) fn load(model: &ModelDir, options: &Options<'_>) -> Result<Self, EncodeError> {
        let mut engine = Engine::start(options.device, options.ort_library)?;
        if options.watch {
            engine.watch();
        }
        let device = engine.device();
        check_precision(options.precision, device, model)?;
        let shape = BatchShape { layout: layout(model, device), config: model.config().clone() };
        let form = Form { layout: shape.layout, precision: options.precision, normalize: options.normalize };
        let (onnx, folder) = embtune_onnx::sentence_encoder(model, form)?;
        let (count, threads) = sessions(model, device, options.threads);
        let sessions = engine.sessions(Graph { onnx: &onnx, weights_folder: Some(&folder) }, count, threads)?;
        Ok(Self {
            sessions,
            device,
            precision: options.precision,
            kernels: Vec::new(),
            fallback: engine.fallback().map(str::to_owned),
            batch_tokens: options.batch_tokens.unwrap_or(default_batch_tokens(device, threads)),
            window_bytes: window_bytes(model, device),
            shape,
            dim: model.dimension(),
        })
    }

    /// Elements of a vector.
    pub fn dim(&self) -> usize {
        self.dim
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

    /// The kernels that ran first, when [`Options::watch`] said so.
    pub fn kernels(&self) -> &[Kernels] {
        &self.kernels
    }

    /// Vectors of rows, `[rows, dim]`, in the rows' order.
    ///
    /// # Errors
    /// A device that fails, a vector that is not finite.
    pub fn run(&mut self, rows: &[Tokens]) -> Result<Vec<f32>, EncodeError> {
        let lengths: Vec<usize> = rows.iter().map(|row| row.ids.len()).collect();
        let order = longest_first(&lengths);
        let batches = self.shape.pack(order.iter().map(|row| lengths[*row]), self.batch_tokens);
        let results = self.run_batches(batches.iter().map(|batch| &order[batch.clone()]).collect(), rows)?;
        // A profile of more than the first rows would fill the memory.
        for session in &mut self.sessions {
            if let Some(kernels) = session.kernels()?.filter(|kernels| kernels.len() > self.kernels.len()) {
                self.kernels = kernels;
            }
        }
        let mut vectors = vec![0.0; rows.len() * self.dim];
        for (batch, result) in batches.into_iter().zip(results) {
            for (row, vector) in order[batch].iter().zip(result.chunks_exact(self.dim)) {
                if vector.iter().any(|x| !x.is_finite()) {
                    return Err(EncodeError::NotFinite(*row));
                }
                vectors[row * self.dim..(row + 1) * self.dim].copy_from_slice(vector);
            }
        }
        Ok(vectors)
    }

    /// Runs batches of rows on all sessions; each takes the next batch when it is done with one.
    fn run_batches(&mut self, batches: Vec<&[usize]>, rows: &[Tokens]) -> Result<Vec<Vec<f32>>, EncodeError> {
        let next = AtomicUsize::new(0);
        let results: Mutex<Vec<Vec<f32>>> = Mutex::new(vec![Vec::new(); batches.len()]);
        let shape = &self.shape;
        let work = |session: &mut Session| -> Result<(), EngineError> {
            while let index = next.fetch_add(1, Ordering::Relaxed)
                && let Some(batch) = batches.get(index)
            {
                let batch: Vec<&Tokens> = batch.iter().map(|row| &rows[*row]).collect();
                let vectors = run_batch(session, &shape.batch(&batch))?;
                results.lock().unwrap_or_else(PoisonError::into_inner)[index] = vectors;
            }
            Ok(())
        };
        if let [session] = self.sessions.as_mut_slice() {
            work(session)?;
        } else {
            thread::scope(|scope| {
                let workers: Vec<_> = self.sessions.iter_mut().map(|session| scope.spawn(|| work(session))).collect();
                workers.into_iter().try_for_each(|worker| {
                    worker.join().unwrap_or_else(|_| Err(EngineError::Run("a worker thread panicked".into())))
                })
            })?;
        }
        Ok(results.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

/// On a CPU rows of one length go together, so that nothing is padded.
fn layout(model: &ModelDir, device: Device) -> Layout {
    if device == Device::Cpu { Layout::Equal } else { Layout::of_cuda(model.config()) }
}

fn check_precision(precision: Precision, device: Device, model: &ModelDir) -> Result<(), EncodeError> {
    let on_cpu = device == Device::Cpu;
    match precision {
        Precision::Fp16 if on_cpu => Err(EncodeError::Precision { precision, device, instead: "fp32 or int8" }),
        Precision::Int8 if !on_cpu => Err(EncodeError::Precision { precision, device, instead: "fp16" }),
        Precision::Int8 if !matches!(model.config(), EncoderConfig::Bert(_)) => {
            Err(EncodeError::Int8 { architecture: model.config().name() })
        }
        _ => Ok(()),
    }
}

/// Sessions, and CPU threads of each. One session a thread is faster with a small model, whose batches stay in the
/// cache; a large one is as fast with one wide session, and each session would hold its weights once more.
fn sessions(model: &ModelDir, device: Device, threads: usize) -> (usize, usize) {
    let bytes = model.weights_file().metadata().map_or(0, |file| file.len());
    match device {
        Device::Cpu if bytes < LARGE_WEIGHTS => (threads, 1),
        Device::Cpu => (1, threads),
        _ => (1, 1),
    }
}

/// By the weights alone, so that the same text always falls into the same batches.
fn window_bytes(model: &ModelDir, device: Device) -> usize {
    let weights = model.weights_file().metadata().map_or(0, |file| file.len());
    if device == Device::Cpu { usize::try_from(CPU_MINUTE / weights.max(1)).unwrap_or(usize::MAX) } else { usize::MAX }
}

/// On a CPU small batches stay in the cache (measured best around 512 tokens a thread with all-MiniLM-L6-v2); a GPU
/// wants enough work to hide the launches.
fn default_batch_tokens(device: Device, threads: usize) -> usize {
    if device == Device::Cpu { 512 * threads } else { 32_768 }
}

fn run_batch(session: &mut Session, batch: &Batch) -> Result<Vec<f32>, EngineError> {
    let outputs = session.run(&batch.tensors())?;
    match outputs.into_iter().next() {
        Some(Output::F32(vectors, _)) => Ok(vectors),
        _ => Err(EngineError::Run("the model's graph gave no vectors".into())),
    }
}
