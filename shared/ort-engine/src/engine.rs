//! ONNX Runtime on one device, which makes sessions.

use std::path::{Path, PathBuf};

use embtune_cli::Device;
use ort::environment::Environment;
use ort::ep::cuda::AttentionBackend;
use ort::ep::{CUDA, ExecutionProviderDispatch, cuda};
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

use crate::{EngineError, Session, Tensor, library};

/// ONNX Runtime on one device.
pub struct Engine {
    environment: Environment,
    library: PathBuf,
    device: Device,
    cuda_failure: Option<String>,
    is_profiling: bool,
}

/// A graph, with the settings of its session.
#[derive(Debug, Clone, Copy)]
pub struct Graph<'a> {
    /// The model as ONNX protobuf.
    pub onnx: &'a [u8],
    /// Folder of the files that hold the weights, unless they are inside `onnx`.
    pub weights_folder: Option<&'a Path>,
}

/// The smallest model, which tests a device: `y = x`, f32 `[1]`, operator set 17, as protobuf.
const PROBE: [u8; 63] = *b"\x08\x08\x3a\x37\x0a\x10\x0a\x01x\x12\x01y\x22\x08Identity\x12\x01g\
    \x5a\x0f\x0a\x01x\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x01\
    \x62\x0f\x0a\x01y\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x01\x42\x02\x10\x11";

impl Engine {
    /// Loads the library and chooses the device. The device runs a first graph, so that a device that is returned is
    /// known to work.
    ///
    /// # Errors
    /// The library is missing or does not load, or `cuda` was requested and cannot run.
    pub fn start(device: Device, library: Option<&Path>) -> Result<Self, EngineError> {
        let library = library::find(library)?;
        let environment = library::load(&library)?;
        let has_cuda = has_cuda_provider(&library);
        let mut engine = Self { environment, library, device: Device::Cpu, cuda_failure: None, is_profiling: false };
        engine.device = match device {
            Device::Cpu => return Ok(engine),
            Device::Auto if !has_cuda => return Ok(engine),
            Device::Cuda(_) if !has_cuda => {
                let what = format!("{} was built without CUDA", engine.library.display());
                return Err(EngineError::Device { device: device.to_string(), what });
            }
            Device::Auto => Device::Cuda(0),
            Device::Cuda(_) => device,
        };
        match engine.try_device() {
            Err(EngineError::Device { what, .. }) if device == Device::Auto => {
                engine.device = Device::Cpu;
                engine.cuda_failure = Device::has_nvidia_driver().then_some(what);
                Ok(engine)
            }
            result => result.map(|()| engine),
        }
    }

    /// The device that sessions run on.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Why `auto` did not take CUDA, on a machine that seems to have a GPU.
    pub fn cuda_failure(&self) -> Option<&str> {
        self.cuda_failure.as_deref()
    }

    /// Lets sessions that are made from now on record which kernels run, see [`Session::kernels`].
    pub fn enable_profiling(&mut self) {
        self.is_profiling = true;
    }

    /// Runs a graph: a CUDA provider can be registered without a GPU, or with one that is too old, and fails only when
    /// a session is made.
    fn try_device(&self) -> Result<(), EngineError> {
        let graph = Graph { onnx: &PROBE, weights_folder: None };
        let run = || self.session(graph, 1)?.run(&[("x", Tensor::F32(&[0.0], &[1]))]);
        match run() {
            Err(EngineError::Run(what)) => {
                Err(EngineError::Device { device: self.device.to_string(), what: provider_reason(&what) })
            }
            result => result.map(drop),
        }
    }

    /// Makes `count` sessions of a graph, each with `threads` CPU threads and its own copy of the packed weights.
    ///
    /// # Errors
    /// ONNX Runtime refuses the graph.
    pub fn sessions(&self, graph: Graph<'_>, count: usize, threads: usize) -> Result<Vec<Session>, EngineError> {
        (0..count).map(|_| self.session(graph, threads)).collect()
    }

    /// Makes sessions of an ONNX file, whose weights may be in files beside it; otherwise like [`Engine::sessions`].
    ///
    /// # Errors
    /// ONNX Runtime refuses the file.
    pub fn sessions_of_file(&self, file: &Path, count: usize, threads: usize) -> Result<Vec<Session>, EngineError> {
        let load = || self.build(threads, None, |builder| builder.commit_from_file(file));
        (0..count).map(|_| load().map_err(|error| error.of_file(file))).collect()
    }

    fn session(&self, graph: Graph<'_>, threads: usize) -> Result<Session, EngineError> {
        self.build(threads, graph.weights_folder, |builder| builder.commit_from_memory(graph.onnx))
    }

    fn build(
        &self,
        threads: usize,
        weights_folder: Option<&Path>,
        commit: impl Fn(&mut SessionBuilder) -> ort::Result<ort::session::Session>,
    ) -> Result<Session, EngineError> {
        let folder = || {
            tempfile::tempdir()
                .map_err(|error| EngineError::Run(format!("cannot create a folder for the profile: {error}")))
        };
        let profile = if self.is_profiling { Some(folder()?) } else { None };
        let options = || -> ort::Result<SessionBuilder> {
            let mut builder = ort::session::Session::builder(&self.environment)?
                .with_optimization_level(GraphOptimizationLevel::All)?
                .with_intra_threads(threads)?
                // A waiting thread that spins would take the core that tokenises the next batch.
                .with_intra_op_spinning(false)?
                // Shapes vary, and a memory pattern would be kept for each of them.
                .with_memory_pattern(false)?;
            if let Some(folder) = &profile {
                builder = builder.with_profiling(folder.path().join("profile"))?;
            }
            if let Some(folder) = weights_folder {
                let key = "session.model_external_initializers_file_folder_path";
                builder = builder.with_config_entry(key, folder.display().to_string())?;
            }
            if self.device != Device::Cpu {
                // CUDA's Gemm adds the bias with a second matrix product. A separate Add is fused with the node
                // that follows.
                builder = builder.with_config_entry("optimization.disable_specified_optimizers", "MatMulAddFusion")?;
            }
            Ok(builder)
        };
        let mut builder = options()?;
        if let Device::Cuda(index) = self.device {
            let refused = |what: String| EngineError::Device { device: self.device.to_string(), what };
            builder = builder
                .with_execution_providers([cuda_provider(&self.library, index)])
                .map_err(|error| refused(provider_reason(&error.to_string())))?;
        }
        Ok(Session::new(commit(&mut builder)?, profile))
    }
}

/// Whether this build of ONNX Runtime supports CUDA: its provider is a library beside the main one.
fn has_cuda_provider(library: &Path) -> bool {
    library.with_file_name("libonnxruntime_providers_cuda.so").is_file()
}

/// The execution provider of a CUDA device. Registering it fails if it cannot run, rather than falling back to the CPU.
///
/// TF32 is off: it would round fp32 inputs to a mantissa of 10 bits, and vectors would differ from the reference's.
/// Attention is FlashAttention or the memory-efficient one: cuDNN's attention, the default on newer GPUs, is compiled
/// again for every shape.
fn cuda_provider(library: &Path, device: usize) -> ExecutionProviderDispatch {
    // CUDA's own libraries may be the system's, or wheels beside ONNX Runtime's, where the dynamic linker does not
    // look. If a wheel is incomplete, the linker may still find the library elsewhere; otherwise the provider reports
    // it.
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

/// A provider's message without the position in ONNX Runtime's source.
fn provider_reason(message: &str) -> String {
    message.rsplit(" : FAIL : ").next().unwrap_or(message).trim().to_owned()
}
