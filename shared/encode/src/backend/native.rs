//! Encoders that embtune computes with a graph that it writes itself.

use embtune_cli::Device;
use embtune_encoders::EncoderConfig;
use embtune_model::ModelDir;
use embtune_onnx::{GraphOptions, HeadOptions, Layout, Precision};
use embtune_ort_engine::{Engine, EngineError, Graph, Kernels, Output, Session};
use embtune_tokenize::Tokens;

use crate::backend::{Backend, Sessions, Worker};
use crate::batch::Batch;
use crate::error::EncodeError;
use crate::options::EncoderOptions;

/// Loads a model of a family that embtune computes itself.
pub(crate) fn load(
    engine: &Engine,
    model: &ModelDir,
    options: &EncoderOptions<'_>,
    head: HeadOptions,
    sessions: Sessions,
) -> Result<Backend, EncodeError> {
    check_precision(options.precision, engine.device(), model)?;
    let layout = layout(model, engine.device());
    let graph_options = GraphOptions { layout, precision: options.precision, head };
    let (onnx, folder) = embtune_onnx::sentence_encoder(model, graph_options)?;
    let graph = Graph { onnx: &onnx, weights_folder: Some(&folder) };
    let sessions = engine.sessions(graph, sessions.count, sessions.threads)?;
    let worker =
        |session| Box::new(NativeWorker { session, layout, config: model.config().clone() }) as Box<dyn Worker>;
    Ok(Backend { workers: sessions.into_iter().map(worker).collect(), layout, dim: model.dimension(), pools: true })
}

struct NativeWorker {
    session: Session,
    layout: Layout,
    config: EncoderConfig,
}

impl Worker for NativeWorker {
    fn run(&mut self, rows: &[&Tokens]) -> Result<Vec<f32>, EngineError> {
        let batch = match self.layout {
            Layout::Equal => Batch::equal(rows),
            Layout::Padded => Batch::padded(rows, self.config.pad_token_id),
            Layout::Packed => Batch::packed(rows, &self.config),
        };
        match self.session.run(&batch.tensors())?.into_iter().next() {
            Some(Output::F32(vectors, _)) => Ok(vectors),
            _ => Err(EngineError::Run("the model's graph returned no vectors".into())),
        }
    }

    fn kernels(&mut self) -> Result<Option<Vec<Kernels>>, EngineError> {
        self.session.kernels()
    }
}

/// On a CPU, rows of equal length share a batch, so that nothing is padded.
fn layout(model: &ModelDir, device: Device) -> Layout {
    if device == Device::Cpu { Layout::Equal } else { Layout::for_cuda(model.encoder()) }
}

fn check_precision(precision: Precision, device: Device, model: &ModelDir) -> Result<(), EncodeError> {
    let on_cpu = device == Device::Cpu;
    match precision {
        Precision::Fp16 if on_cpu => Err(EncodeError::Precision { precision, device, instead: "fp32 or int8" }),
        Precision::Int8 if !on_cpu => Err(EncodeError::Precision { precision, device, instead: "fp16" }),
        Precision::Int8 if !model.config().int8 => Err(EncodeError::Int8 { architecture: model.config().name }),
        _ => Ok(()),
    }
}
