//! The CUDA execution provider.

use std::path::Path;

use ort::ep::cuda::AttentionBackend;
use ort::ep::{CUDA, ExecutionProviderDispatch, cuda};

/// Whether this build of ONNX Runtime has CUDA at all: its provider is a library beside the main one.
pub(crate) fn is_installed(library: &Path) -> bool {
    library.with_file_name("libonnxruntime_providers_cuda.so").is_file()
}

/// The provider for one device; registering it fails rather than falling back.
///
/// TF32 is off: it would round fp32 inputs to 10 bits of mantissa, and vectors would not be the reference's. Attention
/// is flash or memory-efficient: cuDNN's, the default on newer GPUs, is built anew for every shape.
pub(crate) fn provider(library: &Path, device: usize) -> ExecutionProviderDispatch {
    // CUDA's own libraries may be the system's, or wheels beside ONNX Runtime's, which the dynamic linker does not
    // look into. When a wheel lacks one, the linker still gets to find it elsewhere, and the provider says so if not.
    if let Some(packages) = library.ancestors().nth(3) {
        let (toolkit, cudnn) = (packages.join("nvidia/cu13/lib"), packages.join("nvidia/cudnn/lib"));
        if toolkit.is_dir() && cudnn.is_dir() {
            let _ = cuda::preload_dylibs(Some(&toolkit), Some(&cudnn));
        }
    }
    CUDA::default()
        .with_device_id(device as i32)
        .with_tf32(false)
        .with_attention_backend(AttentionBackend::FLASH_ATTENTION | AttentionBackend::EFFICIENT_ATTENTION)
        .build()
        .error_on_failure()
}

/// What the provider's message says, without the place in its source that says it.
pub(crate) fn reason(message: &str) -> String {
    message.rsplit(" : FAIL : ").next().unwrap_or(message).trim().to_owned()
}
