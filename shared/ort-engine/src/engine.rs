//! The library, loaded, and the device that it runs on.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use embtune_cli::Device;
use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

use crate::{EngineError, Session, Tensor, cuda, library};

/// ONNX Runtime on one device.
pub struct Engine {
    environment: Environment,
    library: PathBuf,
    device: Device,
    fallback: Option<String>,
    watch: bool,
}

/// The library's environment, of which a process has one: whoever comes first says which library it is.
fn environment(file: &Path) -> Result<Environment, EngineError> {
    static LOADED: Mutex<Option<Environment>> = Mutex::new(None);
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = &*loaded {
        return Ok(environment.clone());
    }
    let load_error = |what: String| EngineError::Load { file: file.display().to_string(), what };
    let environment = ort::init_from(file)
        .map_err(|error| load_error(error.to_string()))?
        .with_name("embtune")
        .with_telemetry(false)
        .build()
        .map_err(|error| load_error(error.to_string()))?;
    // Errors come back as errors; the library's own log would only repeat them on stderr.
    environment.set_log_level(LogLevel::Fatal);
    Ok(loaded.insert(environment).clone())
}

/// The smallest model: `y = x`, f32 `[1]`, operator set 17, as protobuf.
const PROBE: [u8; 63] = *b"\x08\x08\x3a\x37\x0a\x10\x0a\x01x\x12\x01y\x22\x08Identity\x12\x01g\
    \x5a\x0f\x0a\x01x\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x01\
    \x62\x0f\x0a\x01y\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x01\x42\x02\x10\x11";

/// A graph with what it needs to become a session.
#[derive(Debug, Clone, Copy)]
pub struct Graph<'a> {
    /// The model as ONNX protobuf.
    pub onnx: &'a [u8],
    /// Folder of the files that hold the weights, when they are not inside `onnx`.
    pub weights_folder: Option<&'a Path>,
}

impl Engine {
    /// Loads the library and chooses the device, which runs a first graph: a device that is chosen does run.
    ///
    /// # Errors
    /// No library, or one that does not load; `cuda` asked for where it cannot run.
    pub fn start(device: Device, named_library: Option<&Path>) -> Result<Self, EngineError> {
        let file = library::find(named_library)?;
        let environment = environment(&file)?;
        let has_cuda = cuda::is_installed(&file);
        let mut engine = Self { environment, library: file, device: Device::Cpu, fallback: None, watch: false };
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
                engine.fallback = Device::has_nvidia_driver().then_some(what);
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
    pub fn fallback(&self) -> Option<&str> {
        self.fallback.as_deref()
    }

    /// Sessions made from now on write down which kernels run, see [`Session::kernels`].
    pub fn watch(&mut self) {
        self.watch = true;
    }

    /// A provider may be registered and find only when a session is made that there is no GPU, or one too old.
    fn try_device(&self) -> Result<(), EngineError> {
        let graph = Graph { onnx: &PROBE, weights_folder: None };
        let run = || self.session(graph, 1)?.run(&[("x", Tensor::F32(&[0.0], &[1]))]);
        match run() {
            Err(EngineError::Run(what)) => {
                Err(EngineError::Device { device: self.device.to_string(), what: cuda::reason(&what) })
            }
            result => result.map(drop),
        }
    }

    /// Makes `count` sessions of a graph, of `threads` CPU threads each; each holds its own packed weights.
    ///
    /// # Errors
    /// A graph that ONNX Runtime refuses.
    pub fn sessions(&self, graph: Graph<'_>, count: usize, threads: usize) -> Result<Vec<Session>, EngineError> {
        (0..count).map(|_| self.session(graph, threads)).collect()
    }

    /// Makes sessions of an ONNX file, whose weights may lie in files beside it; as [`Engine::sessions`].
    ///
    /// # Errors
    /// A file that ONNX Runtime refuses.
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
        let folder =
            || tempfile::tempdir().map_err(|error| EngineError::Run(format!("no room for a profile: {error}")));
        let profile = if self.watch { Some(folder()?) } else { None };
        let options = || -> ort::Result<SessionBuilder> {
            let mut builder = ort::session::Session::builder(&self.environment)?
                .with_optimization_level(GraphOptimizationLevel::All)?
                .with_intra_threads(threads)?
                // A waiting thread that spins takes the core that tokenises the next batch.
                .with_intra_op_spinning(false)?
                // Shapes vary, and a pattern would be kept for every one of them.
                .with_memory_pattern(false)?;
            if let Some(folder) = &profile {
                builder = builder.with_profiling(folder.path().join("profile"))?;
            }
            if let Some(folder) = weights_folder {
                let key = "session.model_external_initializers_file_folder_path";
                builder = builder.with_config_entry(key, folder.display().to_string())?;
            }
            if self.device != Device::Cpu {
                // Its Gemm adds a bias by a product of its own; a bias that stays apart is fused with what follows.
                builder = builder.with_config_entry("optimization.disable_specified_optimizers", "MatMulAddFusion")?;
            }
            Ok(builder)
        };
        let mut builder = options()?;
        if let Device::Cuda(index) = self.device {
            let refused = |what: String| EngineError::Device { device: self.device.to_string(), what };
            builder = builder
                .with_execution_providers([cuda::provider(&self.library, index)])
                .map_err(|error| refused(cuda::reason(&error.to_string())))?;
        }
        Ok(Session::new(commit(&mut builder)?, profile))
    }
}
