//! Options for running a model.

use std::path::Path;

use embtune_cli::Device;
use embtune_onnx::Precision;

/// Options for running a model.
#[derive(Debug, Clone)]
pub struct EncoderOptions<'a> {
    /// Text that is put before every text.
    pub prompt: &'a str,
    /// Length at which a text is cut, in tokens; `None` takes the model's own limit.
    pub max_seq_length: Option<usize>,
    /// Whether vectors are scaled to length 1; [`embtune_model::ModelDir::normalizes`] returns the model's own setting.
    pub normalize: bool,
    /// Number format of the encoder's computations.
    pub precision: Precision,
    /// Maximum number of tokens in a batch, padding included; `None` takes what suits the device.
    pub batch_tokens: Option<usize>,
    /// Device that runs the model.
    pub device: Device,
    /// Number of CPU threads.
    pub threads: usize,
    /// Whether to record which kernels run, see [`crate::Encoder::kernels`].
    pub profile: bool,
    /// Path of ONNX Runtime's library; `None` searches the usual places.
    pub ort_library: Option<&'a Path>,
}
