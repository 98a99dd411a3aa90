//! The library, loaded, and the device that it runs on.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use embtune_cli::Device;
use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::builder::{GraphOptimizationLevel, PrepackedWeights, SessionBuilder};

use crate::{EngineError, Session, cuda, library};

/// ONNX Runtime on one device.
pub struct Engine {
    environment: Environment,
    library: PathBuf,
    device: Device,
    /// Whether CUDA was only tried because it might be there.
    may_fall_back: bool,
    fallback: Option<String>,
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

/// A graph with what it needs to become a session.
#[derive(Debug, Clone, Copy)]
pub struct Graph<'a> {
    /// The model as ONNX protobuf.
    pub onnx: &'a [u8],
    /// Folder of the files that hold the weights, when they are not inside `onnx`.
    pub weights_folder: Option<&'a Path>,
}

impl Engine {
    /// Loads the library and chooses the device.
    ///
    /// # Errors
    /// No library, or one that does not load; `cuda` asked for with a library that has none.
    pub fn start(device: Device, named_library: Option<&Path>) -> Result<Self, EngineError> {
        let file = library::find(named_library)?;
        let environment = environment(&file)?;
        let has_cuda = cuda::is_installed(&file);
        let may_fall_back = device == Device::Auto;
        let device = match device {
            Device::Auto if has_cuda => Device::Cuda(0),
            Device::Auto | Device::Cpu => Device::Cpu,
            Device::Cuda(_) if has_cuda => device,
            Device::Cuda(_) => {
                let what = format!("{} was built without CUDA", file.display());
                return Err(EngineError::Device { device: device.to_string(), what });
            }
        };
        Ok(Self { environment, library: file, device, may_fall_back, fallback: None })
    }

    /// The device that sessions run on.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Why `auto` did not take CUDA, on a machine that seems to have a GPU; known once a session was asked for.
    pub fn fallback(&self) -> Option<&str> {
        self.fallback.as_deref()
    }

    /// Makes `count` sessions of a graph, of `threads` CPU threads each, which share their packed weights.
    ///
    /// # Errors
    /// A graph that ONNX Runtime refuses, a device that cannot run.
    pub fn sessions(&mut self, graph: Graph<'_>, count: usize, threads: usize) -> Result<Vec<Session>, EngineError> {
        match self.try_sessions(graph, count, threads) {
            Err(EngineError::Device { what, .. }) if self.may_fall_back => {
                self.device = Device::Cpu;
                self.fallback = Device::has_nvidia_driver().then_some(what);
                self.try_sessions(graph, count, threads)
            }
            result => result,
        }
    }

    fn try_sessions(&self, graph: Graph<'_>, count: usize, threads: usize) -> Result<Vec<Session>, EngineError> {
        let packed = PrepackedWeights::new();
        (0..count).map(|_| self.session(graph, threads, &packed)).collect()
    }

    fn session(&self, graph: Graph<'_>, threads: usize, packed: &PrepackedWeights) -> Result<Session, EngineError> {
        let options = || -> ort::Result<SessionBuilder> {
            let mut builder = ort::session::Session::builder(&self.environment)?
                .with_optimization_level(GraphOptimizationLevel::All)?
                .with_intra_threads(threads)?
                // A waiting thread that spins takes the core that tokenises the next batch.
                .with_intra_op_spinning(false)?
                // Shapes vary, and a pattern would be kept for every one of them.
                .with_memory_pattern(false)?;
            if let Some(folder) = graph.weights_folder {
                let key = "session.model_external_initializers_file_folder_path";
                builder = builder.with_config_entry(key, folder.display().to_string())?;
            }
            if self.device == Device::Cpu {
                builder = builder.with_prepacked_weights(packed)?;
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
        Ok(Session::new(builder.commit_from_memory(graph.onnx)?))
    }
}
