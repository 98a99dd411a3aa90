//! Encoders that embtune computes with a graph of its own.

use embtune_cli::Device;
use embtune_model::{EncoderConfig, ModelDir};
use embtune_onnx::{Form, Layout, Precision};
use embtune_ort_engine::{Engine, EngineError, Graph, Kernels, Output, Session};
use embtune_tokenize::Tokens;

use crate::encoder::{EncodeError, EncoderOptions};
use crate::network::batch::{Batch, equal, packed, padded};
use crate::network::{Network, Sessions, Worker};

/// Loads a model that embtune knows.
pub(crate) fn load(
    engine: &Engine,
    model: &ModelDir,
    options: &EncoderOptions<'_>,
    sessions: Sessions,
) -> Result<Network, EncodeError> {
    check_precision(options.precision, engine.device(), model)?;
    let layout = layout(model, engine.device());
    let form = Form { layout, precision: options.precision, normalize: options.normalize };
    let (onnx, folder) = embtune_onnx::sentence_encoder(model, form)?;
    let graph = Graph { onnx: &onnx, weights_folder: Some(&folder) };
    let sessions = engine.sessions(graph, sessions.count, sessions.threads)?;
    let worker = |session| Box::new(Own { session, layout, config: model.config().clone() }) as Box<dyn Worker>;
    Ok(Network { workers: sessions.into_iter().map(worker).collect(), layout, dim: model.dimension(), pools: true })
}

struct Own {
    session: Session,
    layout: Layout,
    config: EncoderConfig,
}

impl Own {
    fn batch(&self, rows: &[&Tokens]) -> Batch {
        match self.layout {
            Layout::Equal => equal::batch(rows),
            Layout::Padded => padded::batch(rows, self.config.pad_token_id()),
            Layout::Packed => packed::batch(rows, &self.config),
        }
    }
}

impl Worker for Own {
    fn run(&mut self, rows: &[&Tokens]) -> Result<Vec<f32>, EngineError> {
        let batch = self.batch(rows);
        match self.session.run(&batch.tensors())?.into_iter().next() {
            Some(Output::F32(vectors, _)) => Ok(vectors),
            _ => Err(EngineError::Run("the model's graph gave no vectors".into())),
        }
    }

    fn kernels(&mut self) -> Result<Option<Vec<Kernels>>, EngineError> {
        self.session.kernels()
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
