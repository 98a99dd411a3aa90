//! Opens the device; CUDA is a plug-in that is loaded on demand.
#![allow(unsafe_code)]

use std::error::Error as _;
use std::path::{Path, PathBuf};

use embtune_cli::Device;
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

use crate::TorchError;

/// Folder of the libtorch that this program is linked against.
const LIBRARY_FOLDER: &str = env!("EMBTUNE_TORCH_LIB");

/// A device on which tensors can be computed.
#[derive(Debug)]
pub struct OpenedDevice {
    /// The device.
    pub device: tch::Device,
    /// Why `auto` did not choose CUDA, on a machine that seems to have a GPU.
    pub fallback: Option<String>,
}

/// Opens a device, and loads CUDA's library if it is needed.
///
/// # Errors
/// CUDA was requested and cannot be used: no library, no driver, no such device.
pub fn open_device(device: Device) -> Result<OpenedDevice, TorchError> {
    match device {
        Device::Cpu => Ok(OpenedDevice { device: tch::Device::Cpu, fallback: None }),
        Device::Cuda(index) => Ok(OpenedDevice { device: open_cuda(index)?, fallback: None }),
        Device::Auto => match open_cuda(0) {
            Ok(device) => Ok(OpenedDevice { device, fallback: None }),
            Err(error) => {
                // On a machine without a driver nobody expects a GPU, so there is nothing to report.
                let fallback = Device::has_nvidia_driver().then_some(error.0);
                Ok(OpenedDevice { device: tch::Device::Cpu, fallback })
            }
        },
    }
}

fn open_cuda(index: usize) -> Result<tch::Device, TorchError> {
    let fail = |what: String| {
        TorchError(format!(
            "device cuda:{index} cannot run: {what}\nhint: `make deps CUDA=1` installs the CUDA libraries; --device cpu does without"
        ))
    };
    // If the program has been copied to another machine, the dynamic linker searches for the library.
    let beside = Path::new(LIBRARY_FOLDER).join("libtorch_cuda.so");
    let library = if beside.is_file() { beside } else { PathBuf::from("libtorch_cuda.so") };
    // SAFETY: libtorch_cuda registers its kernels with the libtorch that is already loaded, which is of the same build.
    let loaded = unsafe { Library::open(Some(&library), RTLD_NOW | RTLD_GLOBAL) };
    // It stays loaded for the life of the process, because its kernels are registered.
    std::mem::forget(loaded.map_err(|error| {
        // libloading's own message only says that it failed; the linker's says why.
        fail(error.source().map_or_else(|| error.to_string(), ToString::to_string))
    })?);
    let count = tch::Cuda::device_count();
    if !tch::Cuda::is_available() || index as i64 >= count {
        return Err(fail(format!("{count} CUDA devices found")));
    }
    Ok(tch::Device::Cuda(index))
}
