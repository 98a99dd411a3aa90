//! The flags of the engine: they change the speed and the memory, and of the result only its rounding.

use clap::{Args, ValueEnum};
use embtune_cli::parse_bytes;
use embtune_model::BertConfig;
use embtune_torch::tch::{Device, Kind};

use crate::training::grad_cache::Budget;
use crate::training::memory;

/// How the work is done.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Engine")]
pub(crate) struct EngineArgs {
    /// Type of the network's hidden states and matrices; weights, norms, sums and the loss are fp32
    #[arg(long, value_name = "TYPE", value_enum, default_value_t = Precision::Fp32)]
    pub(crate) precision: Precision,

    /// Tokens that go through the network at once [default: 2048 on the CPU, 65536 on CUDA, less for large models]
    ///
    /// A text that is longer goes alone. On the CPU they take 1 GB at most unless this flag says otherwise, on CUDA half
    /// of --memory.
    #[arg(long, value_name = "NUM", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) batch_tokens: Option<u32>,

    /// Memory for what the backward pass needs of a batch; what does not fit is computed twice
    ///
    /// The default is 2G on the CPU, and seven tenths of what is free on CUDA. The result is the same bit for bit.
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub(crate) memory: Option<usize>,

    /// Say how many steps, tokens, bytes and hours the training will take, and stop before it
    #[arg(long)]
    pub(crate) plan: bool,
}

/// Type of the hidden states and matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Precision {
    /// 32-bit floats throughout, TF32 off
    Fp32,
    /// bfloat16, with fp32 master weights
    Bf16,
}

impl Precision {
    /// libtorch's name for it.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Fp32 => Kind::Float,
            Self::Bf16 => Kind::BFloat16,
        }
    }
}

/// Tokens of a row, for the families whose memory depends on it.
const TYPICAL_LENGTH: usize = 256;
/// More are not faster.
const CPU_BATCH_TOKENS: usize = 2048;
const CUDA_BATCH_TOKENS: usize = 65_536;
/// What the CPU may hold of one micro-batch unless told otherwise.
const CPU_BATCH_MEMORY: u64 = 1 << 30;
/// What the CPU may hold of a batch unless told otherwise.
const CPU_MEMORY: u64 = 2 << 30;

impl EngineArgs {
    /// How batches are cut for this model and device.
    pub(crate) fn budget(&self, config: &BertConfig, device: Device) -> anyhow::Result<Budget> {
        let bytes = match (self.memory, device) {
            (Some(bytes), _) => bytes as u64,
            (None, Device::Cpu) => CPU_MEMORY,
            (None, _) => memory::free(device)?.unwrap_or(CPU_MEMORY) / 10 * 7,
        };
        let a_token = memory::bytes_a_token(config, self.precision.kind(), TYPICAL_LENGTH);
        let live_tokens = (bytes / a_token) as usize;
        let batch_tokens = match (self.batch_tokens, device) {
            (Some(tokens), _) => tokens as usize,
            // Not by --memory, which must not change the result.
            (None, Device::Cpu) => CPU_BATCH_TOKENS.min((CPU_BATCH_MEMORY / a_token) as usize),
            (None, _) => CUDA_BATCH_TOKENS.min(live_tokens / 2),
        };
        Ok(Budget { batch_tokens: batch_tokens.max(1), live_tokens })
    }
}
