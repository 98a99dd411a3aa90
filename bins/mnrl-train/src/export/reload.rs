//! A written model directory, opened again.

use std::path::Path;

use embtune_cli::Device as CliDevice;
use embtune_encode::{Encoder, EncoderOptions, Precision};
use embtune_model::{AnyModelDir, ModelDir, Role};
use embtune_tokenize::{Tokenizer, Tokens};
use embtune_torch::tch::{Device, Kind, Tensor};

use crate::network::{Network, Pass};
use crate::weights::param_groups::{ParamArgs, specs};
use crate::weights::parameters::Parameters;

/// A model directory, ready to embed on the CPU.
pub(super) struct ReloadedModel {
    model: ModelDir,
    tokenizer: Tokenizer,
    engine: Engine,
}

enum Engine {
    /// The engine of `embed`.
    OnnxRuntime(Box<Encoder>),
    /// A network with the saved weights, if ONNX Runtime is not installed.
    Libtorch(Box<Network>),
}

impl ReloadedModel {
    /// Opens a directory as `embed` does. If ONNX Runtime is not installed, libtorch replaces it, with a warning.
    pub(super) fn open(
        folder: &Path,
        threads: usize,
        ort_library: Option<&Path>,
        warn: impl FnOnce(String),
    ) -> anyhow::Result<Self> {
        let any = AnyModelDir::open_any(folder)?;
        let model = ModelDir::open(folder)?;
        let options = EncoderOptions {
            prompt: "",
            max_seq_length: None,
            normalize: any.normalizes(),
            precision: Precision::Fp32,
            batch_tokens: None,
            device: CliDevice::Cpu,
            threads,
            profile: false,
            ort_library,
        };
        let engine = match Encoder::load(&any, &options) {
            Ok(encoder) => Engine::OnnxRuntime(Box::new(encoder)),
            Err(error) if error.is_library_missing() => {
                warn(format!(
                    "the saved model was verified with libtorch instead of ONNX Runtime, which embed uses: {error}"
                ));
                Engine::Libtorch(Box::new(network(&model)?))
            }
            Err(error) => return Err(error.into()),
        };
        let tokenizer = Tokenizer::open(any.tokenizer(), any.max_seq_length(), Some(model.config().vocab_size), 1)?;
        Ok(Self { model, tokenizer, engine })
    }

    /// Token ids of a text.
    pub(super) fn tokenize(&self, text: &str, role: Role) -> anyhow::Result<Vec<u32>> {
        let tokens = self.tokenizer.encode(&[text], self.model.prompt(Some(role)))?;
        Ok(tokens.into_iter().flat_map(|tokens| tokens.ids).collect())
    }

    /// Vectors of rows of token ids: f32 `[rows, dimension]`, on the CPU.
    pub(super) fn vectors(&mut self, rows: &[Vec<u32>]) -> anyhow::Result<Tensor> {
        match &mut self.engine {
            Engine::OnnxRuntime(encoder) => {
                let tokens: Vec<_> = rows.iter().map(|ids| Tokens { ids: ids.clone(), truncated: false }).collect();
                let vectors = encoder.runner().run(&tokens)?;
                Ok(Tensor::from_slice(&vectors).view([rows.len() as i64, encoder.dim() as i64]))
            }
            Engine::Libtorch(network) => {
                let pass = Pass { kind: Kind::Float, hidden_dropout: 0.0, attention_dropout: 0.0 };
                Ok(network.encode(rows, pass, Device::Cpu)?)
            }
        }
    }

    /// About how many bytes of token ids the CPU processes in a minute.
    pub(super) fn bytes_per_minute(&mut self) -> usize {
        match &mut self.engine {
            Engine::OnnxRuntime(encoder) => encoder.runner().window_bytes(),
            Engine::Libtorch(_) => 0,
        }
    }
}

/// A network with the weights of a directory.
fn network(model: &ModelDir) -> anyhow::Result<Network> {
    let parameters = Parameters::load(specs(model, &ParamArgs::default(), 0)?, &model.weights()?, Device::Cpu)?;
    Ok(Network::new(model, &parameters, None)?)
}
