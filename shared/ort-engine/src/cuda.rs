//! The CUDA execution provider.

use std::path::Path;

use ort::ep::{CUDA, ExecutionProviderDispatch, cuda};

use crate::library::PACKAGES;

/// Whether this build of ONNX Runtime has CUDA at all: its provider is a library beside the main one.
pub(crate) fn is_installed(library: &Path) -> bool {
    library.with_file_name("libonnxruntime_providers_cuda.so").is_file()
}

/// The provider for one device; registering it fails rather than falling back.
///
/// TF32 is off: it would round fp32 inputs to 10 bits of mantissa, and vectors would not be the reference's.
pub(crate) fn provider(device: usize) -> ExecutionProviderDispatch {
    // CUDA's own libraries may be the system's, or those of the wheels. When the wheels lack one, the dynamic
    // linker still gets to look for it, and a failure is reported by the provider.
    let nvidia = Path::new(PACKAGES).join("nvidia");
    let (toolkit, cudnn) = (nvidia.join("cu13/lib"), nvidia.join("cudnn/lib"));
    if toolkit.is_dir() && cudnn.is_dir() {
        let _ = cuda::preload_dylibs(Some(&toolkit), Some(&cudnn));
    }
    CUDA::default().with_device_id(device as i32).with_tf32(false).build().error_on_failure()
}
