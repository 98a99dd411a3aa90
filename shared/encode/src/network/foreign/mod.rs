//! Encoders that come as an ONNX file of the directory; pooling and what follows are embtune's own.

mod ports;

use std::path::PathBuf;

use embtune_model::{AnyModelDir, OnnxEncoder};
use embtune_onnx::{Layout, Precision, sentence_head};
use embtune_ort_engine::{Engine, EngineError, Graph, Kernels, Output, Session, Tensor};
use embtune_tokenize::Tokens;

use crate::encoder::{EncodeError, EncoderOptions};
use crate::network::batch::{Batch, equal, padded};
use crate::network::{Network, Sessions, Worker};
use ports::{Found, Inputs};

/// Loads a model's ONNX file and runs it once, so that it is known to give what it declares. Rows of different lengths
/// go together if `mixed`, and if the file can tell padding from tokens.
pub(crate) fn load(
    engine: &Engine,
    model: &AnyModelDir,
    encoder: &OnnxEncoder,
    options: &EncoderOptions<'_>,
    sessions: Sessions,
    mixed: bool,
) -> Result<Network, EncodeError> {
    let refuse = |what: String| EncodeError::Onnx { file: encoder.name(), what };
    if options.precision != Precision::Fp32 {
        let what = format!("computes in what it was exported in, not in {}\nhint: --precision fp32", options.precision);
        return Err(refuse(what));
    }
    let mut files = engine.sessions_of_file(&encoder.file, sessions.count, sessions.threads)?;
    let (takes, gives) = files.first().map_or_else(Default::default, |file| (file.inputs(), file.outputs()));
    let inputs = Inputs::of(&takes, encoder.counts_from_zero).map_err(refuse)?;
    let pooled_size = model.pooled_size();
    let output = ports::output(&gives, pooled_size.or(encoder.hidden_size), model.has_modules()).map_err(refuse)?;
    for file in &mut files {
        file.read_only(&output.name);
    }
    let width = match files.first_mut() {
        Some(file) => try_out(file, &inputs, &output, encoder)?,
        None => 0,
    };
    let dim = model.dense().last().map(|dense| dense.out_features);
    let expected = if output.is_pooled { dim.or(pooled_size) } else { pooled_size };
    if let Some(expected) = expected.filter(|expected| *expected != width) {
        return Err(refuse(format!(
            "its output \"{}\" has {width} elements, but {} says {expected}",
            output.name,
            model.root().join("modules.json").display()
        )));
    }
    if output.is_pooled && model.normalizes() && !options.normalize {
        return Err(refuse(format!("its output \"{}\" is normalised, and stays so", output.name)));
    }
    let layout = if mixed && inputs.has_mask() { Layout::Padded } else { Layout::Equal };
    let mut heads = Vec::new();
    if !output.is_pooled {
        let onnx = sentence_head(model, layout, width, options.normalize)?;
        let graph = Graph { onnx: &onnx, weights_folder: None };
        heads = engine.sessions(graph, sessions.count, sessions.threads)?;
    }
    let mut heads = heads.into_iter();
    let worker = |session| {
        let head = heads.next();
        let head = head.map_or(Head::Pooled { normalize: options.normalize }, |session| Head::Own { session, layout });
        let (name, inputs, pad_token_id) = (encoder.file.clone(), inputs.clone(), encoder.pad_token_id);
        Box::new(Foreign { file: session, name, inputs, pad_token_id, head }) as Box<dyn Worker>
    };
    let workers = files.into_iter().map(worker).collect();
    let dim = dim.filter(|_| !output.is_pooled).unwrap_or(width);
    Ok(Network { workers, layout, dim, pools: !output.is_pooled })
}

/// Elements of what the file gives, for two tokens that every vocabulary has.
fn try_out(file: &mut Session, inputs: &Inputs, output: &Found, encoder: &OnnxEncoder) -> Result<usize, EncodeError> {
    let row = Tokens { ids: vec![0, 0], truncated: false };
    let batch = inputs.batch(&[&row], 0);
    let outputs = file.run(&batch.tensors()).map_err(|error| error.of_file(&encoder.file))?;
    let shape = match outputs.into_iter().next() {
        Some(Output::F32(_, shape)) => shape,
        _ => Vec::new(),
    };
    match (output.is_pooled, &shape[..]) {
        (false, [1, 2, width]) | (true, [1, width]) if *width > 0 => Ok(*width),
        _ => Err(EncodeError::Onnx {
            file: encoder.name(),
            what: format!("its output \"{}\" is {shape:?} for a text of two tokens", output.name),
        }),
    }
}

/// A file that runs.
struct Foreign {
    file: Session,
    name: PathBuf,
    inputs: Inputs,
    pad_token_id: usize,
    head: Head,
}

/// What is done to what the file gives.
enum Head {
    /// Pooling, Dense modules and division by the length.
    Own { session: Session, layout: Layout },
    /// The file has done it; to divide vectors of length 1 once more does no harm.
    Pooled { normalize: bool },
}

impl Worker for Foreign {
    fn run(&mut self, rows: &[&Tokens]) -> Result<Vec<f32>, EngineError> {
        let batch = self.inputs.batch(rows, self.pad_token_id);
        let result = first(self.file.run(&batch.tensors())).map_err(|error| error.of_file(&self.name));
        let (mut numbers, shape) = result?;
        match &mut self.head {
            Head::Own { session, layout } => {
                let rows: Batch = match layout {
                    Layout::Equal => equal::batch(rows),
                    _ => padded::batch(rows, self.pad_token_id),
                };
                let mut inputs = rows.tensors();
                inputs.push(("hidden", Tensor::F32(&numbers, &shape)));
                Ok(first(session.run(&inputs))?.0)
            }
            Head::Pooled { normalize } => {
                let width = shape.last().copied().unwrap_or(1).max(1);
                for vector in numbers.chunks_exact_mut(width).filter(|_| *normalize) {
                    super::normalize(vector);
                }
                Ok(numbers)
            }
        }
    }

    fn kernels(&mut self) -> Result<Option<Vec<Kernels>>, EngineError> {
        let mut kernels = self.file.kernels()?;
        if let Head::Own { session, .. } = &mut self.head
            && let (Some(kernels), Some(of_head)) = (&mut kernels, session.kernels()?)
        {
            kernels.extend(of_head);
        }
        Ok(kernels)
    }
}

/// The only output that is read, with its shape.
fn first(outputs: Result<Vec<Output>, EngineError>) -> Result<(Vec<f32>, Vec<usize>), EngineError> {
    match outputs?.into_iter().next() {
        Some(Output::F32(numbers, shape)) => Ok((numbers, shape)),
        _ => Err(EngineError::Run("a graph gave no floats".into())),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use embtune_cli::Device;
    use embtune_model::AnyEncoder;
    use embtune_tokenize::Tokenizer;

    use super::*;

    /// As on CUDA, whose batches are padded.
    #[test]
    fn padding_does_not_change_a_vector() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/foreign");
        let engine = Engine::start(Device::Cpu, None).unwrap();
        for name in ["tiny-albert", "tiny-electra"] {
            let model = AnyModelDir::open_any(&fixtures.join(name)).unwrap();
            let AnyEncoder::Onnx(file) = model.encoder() else { panic!("an ONNX file") };
            let options = EncoderOptions {
                prompt: "",
                max_seq_length: None,
                normalize: true,
                precision: Precision::Fp32,
                batch_tokens: None,
                device: Device::Cpu,
                threads: 1,
                profile: false,
                ort_library: None,
            };
            let sessions = Sessions { count: 1, threads: 1 };
            let load = |mixed| super::load(&engine, &model, file, &options, sessions, mixed).unwrap();
            let (mut padded, mut equal) = (load(true), load(false));
            assert_eq!((padded.layout, equal.layout), (Layout::Padded, Layout::Equal));
            let tokenizer = Tokenizer::open(model.tokenizer(), 128, None, 1).unwrap();
            let texts = ["The tide turns twice a day, and the small harbour lives by its timetable.", "harbour", ""];
            let rows = tokenizer.encode(&texts, "").unwrap();
            let together = padded.workers[0].run(&rows.iter().collect::<Vec<_>>()).unwrap();
            for (row, vector) in rows.iter().zip(together.chunks_exact(padded.dim)) {
                let alone = equal.workers[0].run(&[row]).unwrap();
                let cosine: f32 = alone.iter().zip(vector).map(|(a, b)| a * b).sum();
                assert!(cosine > 0.999_999, "{name}: cosine {cosine}");
            }
        }
    }
}
