//! A loaded model.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use embtune_cli::Device;
use embtune_model::{ModelDir, ModelError};
use embtune_ort_engine::{Engine, EngineError, Graph, Output, Session, Tensor};
use embtune_tokenize::{TokenizeError, Tokenizer, Tokens, longest_first, pack};

use crate::padded::Padded;

/// Why texts cannot be encoded.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The model directory.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The tokenizer.
    #[error(transparent)]
    Tokenize(#[from] TokenizeError),
    /// ONNX Runtime.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// More tokens than the model has positions.
    #[error("max_seq_length {asked} is more than the model's {most} positions")]
    TooLong {
        /// What was asked for.
        asked: usize,
        /// What the model can.
        most: usize,
    },
    /// A vector came out as NaN or infinity.
    #[error("the vector of text {0} (counted from 0) holds NaN or infinity")]
    NotFinite(usize),
}

/// How a model is to be run.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    /// Put before every text.
    pub prompt: &'a str,
    /// Tokens at which a text is cut; the model's own number when absent.
    pub max_seq_length: Option<usize>,
    /// Tokens in a batch, padding included; when absent, what suits the device.
    pub batch_tokens: Option<usize>,
    /// Where to run.
    pub device: Device,
    /// CPU threads.
    pub threads: usize,
    /// ONNX Runtime's library, when it is not in its usual places.
    pub ort_library: Option<&'a Path>,
}

/// Vectors of texts, in the texts' order.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoded {
    /// `[texts, dim]`.
    pub vectors: Vec<f32>,
    /// Number of texts that were cut.
    pub truncated: u64,
    /// Number of tokens that were computed, without padding.
    pub tokens: u64,
}

/// A model that turns texts into vectors.
pub struct Encoder {
    tokenizer: Tokenizer,
    sessions: Vec<Session>,
    device: Device,
    fallback: Option<String>,
    prompt: String,
    max_seq_length: usize,
    batch_tokens: usize,
    pad_token_id: usize,
    dim: usize,
}

impl Encoder {
    /// Loads a model's tokenizer and weights.
    ///
    /// # Errors
    /// A damaged model, no ONNX Runtime, a device that cannot run.
    pub fn load(model: &ModelDir, options: &Options<'_>) -> Result<Self, EncodeError> {
        let most = model.config().max_length();
        let max_seq_length = match options.max_seq_length {
            Some(asked) if asked > most => return Err(EncodeError::TooLong { asked, most }),
            Some(asked) => asked,
            None => model.max_seq_length(),
        };
        let tokenizer = Tokenizer::open(&model.tokenizer_file(), max_seq_length, model.lower_cases(), options.threads)?;
        tokenizer.check_vocabulary(model.config().vocab_size)?;
        let mut engine = Engine::start(options.device, options.ort_library)?;
        let (onnx, folder) = embtune_onnx::sentence_encoder(model, model.normalizes())?;
        let workers = if engine.device() == Device::Cpu { options.threads } else { 1 };
        let sessions = engine.sessions(Graph { onnx: &onnx, weights_folder: Some(&folder) }, workers, 1)?;
        Ok(Self {
            tokenizer,
            sessions,
            device: engine.device(),
            fallback: engine.fallback().map(str::to_owned),
            prompt: options.prompt.to_owned(),
            max_seq_length,
            batch_tokens: options.batch_tokens.unwrap_or(default_batch_tokens(engine.device())),
            pad_token_id: model.config().pad_token_id,
            dim: model.dimension(),
        })
    }

    /// Elements of a vector.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Tokens at which a text is cut.
    pub fn max_seq_length(&self) -> usize {
        self.max_seq_length
    }

    /// The device that runs the model.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Why `auto` did not take CUDA, on a machine that seems to have a GPU.
    pub fn fallback(&self) -> Option<&str> {
        self.fallback.as_deref()
    }

    /// Turns texts into vectors.
    ///
    /// # Errors
    /// A text that the tokenizer cannot take, a device that fails, a vector that is not finite.
    pub fn encode(&mut self, texts: &[impl AsRef<str> + Sync]) -> Result<Encoded, EncodeError> {
        let rows = self.tokenizer.encode(texts, &self.prompt)?;
        let lengths: Vec<usize> = rows.iter().map(|row| row.ids.len()).collect();
        let order = longest_first(&lengths);
        let batches = pack(order.iter().map(|row| lengths[*row]), self.batch_tokens);
        let results = self.run_batches(batches.iter().map(|batch| &order[batch.clone()]).collect(), &rows)?;
        let mut vectors = vec![0.0; rows.len() * self.dim];
        for (batch, result) in batches.into_iter().zip(results) {
            for (row, vector) in order[batch].iter().zip(result.chunks_exact(self.dim)) {
                if vector.iter().any(|x| !x.is_finite()) {
                    return Err(EncodeError::NotFinite(*row));
                }
                vectors[row * self.dim..(row + 1) * self.dim].copy_from_slice(vector);
            }
        }
        Ok(Encoded {
            vectors,
            truncated: rows.iter().filter(|row| row.truncated).count() as u64,
            tokens: lengths.iter().sum::<usize>() as u64,
        })
    }

    /// Runs batches of rows on all sessions; each takes the next batch when it is done with one.
    fn run_batches(&mut self, batches: Vec<&[usize]>, rows: &[Tokens]) -> Result<Vec<Vec<f32>>, EncodeError> {
        let next = AtomicUsize::new(0);
        let results: Mutex<Vec<Vec<f32>>> = Mutex::new(vec![Vec::new(); batches.len()]);
        let pad_token_id = self.pad_token_id;
        let work = |session: &mut Session| -> Result<(), EngineError> {
            while let index = next.fetch_add(1, Ordering::Relaxed)
                && let Some(batch) = batches.get(index)
            {
                let batch: Vec<&Tokens> = batch.iter().map(|row| &rows[*row]).collect();
                let vectors = run_batch(session, &Padded::new(&batch, pad_token_id))?;
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

/// On a CPU thread small batches stay in the cache (measured best around 1,024 tokens with all-MiniLM-L6-v2); a GPU
/// wants enough work to hide the launches.
fn default_batch_tokens(device: Device) -> usize {
    if device == Device::Cpu { 1024 } else { 32_768 }
}

fn run_batch(session: &mut Session, batch: &Padded) -> Result<Vec<f32>, EngineError> {
    let outputs = session.run(&[
        ("input_ids", Tensor::I64(&batch.input_ids, &batch.shape)),
        ("attention_mask", Tensor::I64(&batch.attention_mask, &batch.shape)),
    ])?;
    match outputs.into_iter().next() {
        Some(Output::F32(vectors, _)) => Ok(vectors),
        _ => Err(EngineError::Run("the model's graph gave no vectors".into())),
    }
}
