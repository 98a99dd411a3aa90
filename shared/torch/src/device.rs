//! The device, and CUDA as a plug-in.
#![allow(unsafe_code)]

use std::error::Error as _;
use std::path::{Path, PathBuf};

use embtune_cli::Device;
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

use crate::TorchError;

/// The folder of the libtorch that this program is linked with.
const LIBRARY_FOLDER: &str = env!("EMBTUNE_TORCH_LIB");

/// A device that can run.
#[derive(Debug)]
pub struct OpenedDevice {
    /// For tensors.
    pub device: tch::Device,
    /// Why `auto` did not take CUDA, on a machine that seems to have a GPU.
    pub fallback: Option<String>,
}

/// Opens a device; CUDA's library is loaded here and not before.
///
/// # Errors
/// `cuda` that cannot run: no library, no driver, no such device.
pub fn open_device(device: Device) -> Result<OpenedDevice, TorchError> {
    match device {
        Device::Cpu => Ok(OpenedDevice { device: tch::Device::Cpu, fallback: None }),
        Device::Cuda(index) => Ok(OpenedDevice { device: open_cuda(index)?, fallback: None }),
        Device::Auto => match open_cuda(0) {
            Ok(device) => Ok(OpenedDevice { device, fallback: None }),
            Err(error) => {
                // Nobody expects a GPU of a machine that has no driver for one.
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
    // A program that was carried to another machine looks where the dynamic linker does.
    let beside = Path::new(LIBRARY_FOLDER).join("libtorch_cuda.so");
    let library = if beside.is_file() { beside } else { PathBuf::from("libtorch_cuda.so") };
    // SAFETY: libtorch_cuda registers its kernels with the libtorch that is loaded already; it is of the same build.
    let loaded = unsafe { Library::open(Some(&library), RTLD_NOW | RTLD_GLOBAL) };
    // It stays for the life of the process: kernels are registered in it.
    std::mem::forget(loaded.map_err(|error| {
        // libloading's own text only says that it failed; the linker's says why.
        fail(error.source().map_or_else(|| error.to_string(), ToString::to_string))
    })?);
    let count = tch::Cuda::device_count();
    if !tch::Cuda::is_available() || index as i64 >= count {
        return Err(fail(format!("{count} CUDA devices are there")));
    }
    Ok(tch::Device::Cuda(index))
}
