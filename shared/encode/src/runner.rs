//! Rows of tokens to vectors: batches, and the sessions that run them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use embtune_cli::Device;
use embtune_model::{Architecture, ModelDir};
use embtune_onnx::{Form, Layout, Precision};
use embtune_ort_engine::{Engine, EngineError, Graph, Output, Session};
use embtune_tokenize::{Tokens, longest_first};

use crate::batch::{Batch, BatchShape};
use crate::encoder::{EncodeError, Options};

/// A model's graph on its device.
pub struct Runner {
    sessions: Vec<Session>,
    device: Device,
    fallback: Option<String>,
    batch_tokens: usize,
    shape: BatchShape,
    dim: usize,
}

impl Runner {
    pub(crate) fn load(model: &ModelDir, options: &Options<'_>) -> Result<Self, EncodeError> {
        let engine = Engine::start(options.device, options.ort_library)?;
        let device = engine.device();
        check_precision(options.precision, device)?;
        let shape = BatchShape { layout: layout(model, device), config: model.config().clone() };
        let form = Form { layout: shape.layout, precision: options.precision, normalize: options.normalize };
        let (onnx, folder) = embtune_onnx::sentence_encoder(model, form)?;
        let workers = if device == Device::Cpu { options.threads } else { 1 };
        let sessions = engine.sessions(Graph { onnx: &onnx, weights_folder: Some(&folder) }, workers, 1)?;
        Ok(Self {
            sessions,
            device,
            fallback: engine.fallback().map(str::to_owned),
            batch_tokens: options.batch_tokens.unwrap_or(default_batch_tokens(device)),
            shape,
            dim: model.dimension(),
        })
    }

    /// Elements of a vector.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The device that runs the model.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Why `auto` did not take CUDA, on a machine that seems to have a GPU.
    pub fn fallback(&self) -> Option<&str> {
        self.fallback.as_deref()
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

/// On a CPU rows of one length go together, so that nothing is padded; on a GPU all rows are packed one behind the
/// other. Its kernels of variable length take no table of relative positions with fp32, so MPNet is padded there.
fn layout(model: &ModelDir, device: Device) -> Layout {
    match device {
        Device::Cpu => Layout::Equal,
        _ if model.config().architecture == Architecture::MpNet => Layout::Padded,
        _ => Layout::Packed,
    }
}

fn check_precision(precision: Precision, device: Device) -> Result<(), EncodeError> {
    let on_cpu = device == Device::Cpu;
    match precision {
        Precision::Fp16 if on_cpu => Err(EncodeError::Precision { precision, device, instead: "fp32 or int8" }),
        Precision::Int8 if !on_cpu => Err(EncodeError::Precision { precision, device, instead: "fp16" }),
        _ => Ok(()),
    }
}

/// On a CPU thread small batches stay in the cache (measured best around 512 tokens with all-MiniLM-L6-v2); a GPU
/// wants enough work to hide the launches.
fn default_batch_tokens(device: Device) -> usize {
    if device == Device::Cpu { 512 } else { 32_768 }
}

fn run_batch(session: &mut Session, batch: &Batch) -> Result<Vec<f32>, EngineError> {
    let outputs = session.run(&batch.tensors())?;
    match outputs.into_iter().next() {
        Some(Output::F32(vectors, _)) => Ok(vectors),
        _ => Err(EngineError::Run("the model's graph gave no vectors".into())),
    }
}
