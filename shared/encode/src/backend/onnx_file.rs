//! Encoders that are an ONNX file of the directory. Pooling and the modules after it are computed by a graph of
//! embtune, unless the file pools by itself.

use std::path::PathBuf;

use embtune_model::{AnyModelDir, OnnxEncoder};
use embtune_onnx::{HeadOptions, Layout, Precision, sentence_head};
use embtune_ort_engine::{Engine, EngineError, Graph, Kernels, Output, Session, Tensor};
use embtune_tokenize::Tokens;

use super::onnx_io::{EncoderOutput, Inputs};
use crate::backend::{Backend, Sessions, Worker, normalize};
use crate::batch::Batch;
use crate::error::EncodeError;
use crate::options::EncoderOptions;

/// Loads a model's ONNX file and runs it once, to make sure that its outputs have the declared shapes. With `pad_rows`,
/// rows of different lengths share a batch, provided that the file takes an attention mask.
pub(crate) fn load(
    engine: &Engine,
    model: &AnyModelDir,
    encoder: &OnnxEncoder,
    options: &EncoderOptions<'_>,
    head: HeadOptions,
    sessions: Sessions,
    pad_rows: bool,
) -> Result<Backend, EncodeError> {
    let refuse = |what: String| EncodeError::Onnx { file: encoder.name(), what };
    if options.precision != Precision::Fp32 {
        let what = format!(
            "its precision is fixed by its export, and cannot be {}\nhint: --precision fp32",
            options.precision
        );
        return Err(refuse(what));
    }
    let mut files = engine.sessions_of_file(&encoder.file, sessions.count, sessions.threads)?;
    let (declared_inputs, declared_outputs) =
        files.first().map_or_else(Default::default, |file| (file.inputs(), file.outputs()));
    let inputs = Inputs::new(&declared_inputs, encoder.positions_from_zero).map_err(refuse)?;
    let pooled_size = model.pooled_size();
    let output = EncoderOutput::find(&declared_outputs, pooled_size.or(encoder.hidden_size), model.has_modules())
        .map_err(refuse)?;
    for file in &mut files {
        file.select_output(&output.name);
    }
    let width = match files.first_mut() {
        Some(file) => output_width(file, &inputs, &output, encoder)?,
        None => 0,
    };
    let dense_dim = model.dense().last().map(|dense| dense.out_features);
    let expected = if output.is_pooled { dense_dim.or(pooled_size) } else { pooled_size };
    if let Some(expected) = expected.filter(|expected| *expected != width) {
        return Err(refuse(format!(
            "its output \"{}\" has {width} elements, but {} says {expected}",
            output.name,
            model.root().join("modules.json").display()
        )));
    }
    if output.is_pooled && model.normalizes() && !options.normalize {
        return Err(refuse(format!(
            "its output \"{}\" is already normalised, and the original lengths are lost",
            output.name
        )));
    }
    if output.is_pooled && head.skip > 0 {
        return Err(refuse(format!(
            "its output \"{}\" is pooled with the prompt, but the model's include_prompt is false",
            output.name
        )));
    }
    let layout = if pad_rows && inputs.has_mask() { Layout::Padded } else { Layout::Equal };
    let mut heads = Vec::new();
    if !output.is_pooled {
        let onnx = sentence_head(model, layout, width, head)?;
        let graph = Graph { onnx: &onnx, weights_folder: None };
        heads = engine.sessions(graph, sessions.count, sessions.threads)?;
    }
    let mut heads = heads.into_iter();
    let worker = |encoder_session| {
        let head = match heads.next() {
            Some(session) => Head::Graph { session, layout },
            None => Head::InFile { normalize: options.normalize },
        };
        let (path, inputs, pad_token_id) = (encoder.file.clone(), inputs.clone(), encoder.pad_token_id);
        Box::new(OnnxFileWorker { encoder: encoder_session, path, inputs, pad_token_id, head }) as Box<dyn Worker>
    };
    let workers = files.into_iter().map(worker).collect();
    let dim = dense_dim.filter(|_| !output.is_pooled).unwrap_or(width);
    Ok(Backend { workers, layout, dim, pools: !output.is_pooled })
}

/// Number of elements of the output, found by running the file on two tokens that every vocabulary has.
fn output_width(
    file: &mut Session,
    inputs: &Inputs,
    output: &EncoderOutput,
    encoder: &OnnxEncoder,
) -> Result<usize, EncodeError> {
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
            what: format!("its output \"{}\" has the shape {shape:?} for a text of two tokens", output.name),
        }),
    }
}

struct OnnxFileWorker {
    encoder: Session,
    path: PathBuf,
    inputs: Inputs,
    pad_token_id: usize,
    head: Head,
}

/// The step from the file's output to a vector.
enum Head {
    /// A graph of pooling, Dense modules and normalisation.
    Graph { session: Session, layout: Layout },
    /// The file pools by itself. Normalising a vector of length 1 once more does no harm.
    InFile { normalize: bool },
}

impl Worker for OnnxFileWorker {
    fn run(&mut self, rows: &[&Tokens]) -> Result<Vec<f32>, EngineError> {
        let batch = self.inputs.batch(rows, self.pad_token_id);
        let result = first_output(self.encoder.run(&batch.tensors())).map_err(|error| error.of_file(&self.path));
        let (mut values, shape) = result?;
        match &mut self.head {
            Head::Graph { session, layout } => {
                let batch = match layout {
                    Layout::Equal => Batch::equal(rows),
                    _ => Batch::padded(rows, self.pad_token_id),
                };
                let mut inputs = batch.tensors();
                inputs.push(("hidden", Tensor::F32(&values, &shape)));
                Ok(first_output(session.run(&inputs))?.0)
            }
            Head::InFile { normalize: false } => Ok(values),
            Head::InFile { normalize: true } => {
                let width = shape.last().copied().unwrap_or(1).max(1);
                values.chunks_exact_mut(width).for_each(normalize);
                Ok(values)
            }
        }
    }

    fn kernels(&mut self) -> Result<Option<Vec<Kernels>>, EngineError> {
        let mut kernels = self.encoder.kernels()?;
        if let Head::Graph { session, .. } = &mut self.head
            && let (Some(kernels), Some(head_kernels)) = (&mut kernels, session.kernels()?)
        {
            kernels.extend(head_kernels);
        }
        Ok(kernels)
    }
}

/// The only output that is read, with its shape.
fn first_output(outputs: Result<Vec<Output>, EngineError>) -> Result<(Vec<f32>, Vec<usize>), EngineError> {
    match outputs?.into_iter().next() {
        Some(Output::F32(values, shape)) => Ok((values, shape)),
        _ => Err(EngineError::Run("a graph returned no floats".into())),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use embtune_cli::Device;
    use embtune_model::AnyEncoder;
    use embtune_tokenize::Tokenizer;

    use super::*;

    /// Batches are padded on CUDA only; padded rows give the same vectors on the CPU, too.
    #[test]
    fn padding_does_not_change_a_vector() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/foreign");
        let engine = Engine::start(Device::Cpu, None).unwrap();
        for name in ["tiny-albert", "tiny-electra"] {
            let model = AnyModelDir::open_any(&fixtures.join(name)).unwrap();
            let AnyEncoder::Onnx(file) = model.encoder() else { panic!("not an ONNX file") };
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
            let (sessions, head) = (Sessions { count: 1, threads: 1 }, HeadOptions { normalize: true, skip: 0 });
            let load = |pad_rows| super::load(&engine, &model, file, &options, head, sessions, pad_rows).unwrap();
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
