//! Options that all tests use.

use embtune_cli::Device;
use embtune_encode::{EncoderOptions, Precision};
use embtune_model::AnyModelDir;

/// Options for the CPU and the model's own settings.
pub(crate) fn options(model: &AnyModelDir) -> EncoderOptions<'static> {
    EncoderOptions {
        prompt: "",
        max_seq_length: None,
        normalize: model.normalizes(),
        precision: Precision::Fp32,
        batch_tokens: None,
        device: Device::Cpu,
        threads: 2,
        profile: false,
        ort_library: None,
    }
}
