//! One checkpoint: a sealed safetensors file.

use std::io::Write;
use std::path::Path;

use anyhow::Context as _;
use embtune_cli::AtomicFile;
use embtune_tensors::{ChecksumWriter, Dtype, Tensor as StoredTensor, TensorFile, TensorsError};
use embtune_torch::TorchError;
use embtune_torch::tch::{Device, Kind, Tensor, no_grad};
use serde_json::{Map, Value};

use super::progress::{Progress, first_difference};

/// Metadata key of [`Progress`].
const KEY: &str = "embtune";

/// Bytes that are copied at a time: what a checkpoint costs in memory, whatever the size of the model.
const CHUNK: usize = 1 << 20;

/// A tensor to save: its name and its values, f32, i64 or u8, of any shape and on any device. Saved flat.
pub(crate) type SavedTensor<'a> = (&'a str, &'a Tensor);

/// A checkpoint that has been read and checked.
pub(crate) struct Checkpoint {
    file: TensorFile,
    progress: Progress,
}

/// Bytes of these tensors in a file; the header behind them is small.
pub(crate) fn bytes(tensors: &[SavedTensor<'_>]) -> u64 {
    tensors.iter().map(|(_, tensor)| (tensor.numel() * tensor.kind().elt_size_in_bytes()) as u64).sum()
}

/// Writes a sealed file that appears whole and on disk, or not at all.
pub(super) fn write(path: &Path, metadata: &str, tensors: &[SavedTensor<'_>]) -> anyhow::Result<()> {
    let write = || -> anyhow::Result<()> {
        let mut specs = Vec::with_capacity(tensors.len());
        for (name, tensor) in tensors {
            specs.push((*name, dtype(tensor)?, tensor.numel()));
        }
        let mut out = ChecksumWriter::new(&specs, (KEY, metadata), AtomicFile::create(path)?)?;
        let mut buffer = vec![0; CHUNK];
        for (_, tensor) in tensors {
            copy_out(tensor, &mut buffer, &mut out)?;
        }
        Ok(out.finish()?.commit()?)
    };
    no_grad(write).with_context(|| path.display().to_string())
}

fn dtype(tensor: &Tensor) -> Result<Dtype, TorchError> {
    match tensor.kind() {
        Kind::Float => Ok(Dtype::F32),
        Kind::Int64 => Ok(Dtype::I64),
        Kind::Uint8 => Ok(Dtype::U8),
        other => Err(TorchError::new(format!("a checkpoint holds no {other:?}"))),
    }
}

/// Memory is little-endian wherever libtorch runs, and so is the file.
fn copy_out(tensor: &Tensor, buffer: &mut [u8], out: &mut impl Write) -> anyhow::Result<()> {
    let (flat, size) = (tensor.f_reshape([-1]).map_err(TorchError::from)?, tensor.kind().elt_size_in_bytes());
    for chunk in flat.f_split((buffer.len() / size) as i64, 0).map_err(TorchError::from)? {
        let bytes = chunk.numel() * size;
        chunk.f_copy_data_u8(buffer, chunk.numel()).map_err(TorchError::from)?;
        out.write_all(&buffer[..bytes])?;
    }
    Ok(())
}

/// A file's seal is broken, so it is not what was written; another checkpoint may be.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) struct Damaged(#[from] TensorsError);

impl Checkpoint {
    /// Reads the whole file and checks it.
    ///
    /// # Errors
    /// [`Damaged`] when a bit has changed since it was written; else what makes it no checkpoint.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let file = TensorFile::open(path).map_err(Damaged)?;
        file.verify_checksum().map_err(Damaged)?;
        Ok(Self { progress: read_progress(&file)?, file })
    }

    /// How far the training had come.
    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Refuses to go on with other settings: the result would be that of neither.
    ///
    /// # Errors
    /// The first setting that differs, with both values.
    pub(crate) fn check_settings(&self, now: &Map<String, Value>) -> anyhow::Result<()> {
        if let Some((name, then, now)) = first_difference(&self.progress.settings, now) {
            anyhow::bail!(
                "{}: {name} was {then} when the training began, and is {now} now\n\
                 hint: give the same flags and data, or train from the start without --resume",
                self.file.name()
            );
        }
        Ok(())
    }

    /// Copies a tensor's values into `target`, which has the same type and number of elements.
    ///
    /// # Errors
    /// A tensor that is missing or of another size: the checkpoint is another model's.
    pub(crate) fn restore(&self, name: &str, target: &Tensor) -> anyhow::Result<()> {
        restore(&self.file, name, target)
    }

    /// A tensor whose size only the file knows, on the CPU.
    ///
    /// # Errors
    /// A tensor that is missing or of a type that no checkpoint has.
    pub(crate) fn tensor(&self, name: &str) -> anyhow::Result<Tensor> {
        let stored = self.file.require(name)?;
        let kind = kind(&stored).with_context(|| format!("{}: tensor \"{name}\"", self.file.name()))?;
        let target = Tensor::f_zeros([stored.len() as i64], (kind, Device::Cpu)).map_err(TorchError::from)?;
        self.restore(name, &target)?;
        Ok(target)
    }
}

/// The progress of a file whose seal the caller need not trust.
pub(super) fn read_progress(file: &TensorFile) -> anyhow::Result<Progress> {
    let metadata = file.metadata(KEY).with_context(|| format!("{}: not a checkpoint (no metadata)", file.name()))?;
    Progress::from_json(metadata).map_err(|what| anyhow::anyhow!("{}: {what}", file.name()))
}

/// See [`Checkpoint::restore`].
pub(super) fn restore(file: &TensorFile, name: &str, target: &Tensor) -> anyhow::Result<()> {
    let stored = file.require(name)?;
    let expected = (dtype(target)?, target.numel());
    anyhow::ensure!(
        (stored.dtype, stored.len()) == expected,
        "{}: tensor \"{name}\" has {} elements of {:?}, expected {} of {:?}: it is another model's checkpoint",
        file.name(),
        stored.len(),
        stored.dtype,
        expected.1,
        expected.0
    );
    no_grad(|| copy_in(&stored, target)).with_context(|| format!("{}: tensor \"{name}\"", file.name()))
}

fn copy_in(stored: &StoredTensor<'_>, target: &Tensor) -> Result<(), TorchError> {
    let (flat, kind) = (target.f_view([-1])?, target.kind());
    let mut start = 0;
    for bytes in stored.bytes.chunks(CHUNK) {
        let length = (bytes.len() / kind.elt_size_in_bytes()) as i64;
        let mut part = flat.f_narrow(0, start, length)?;
        part.f_copy_(&Tensor::f_from_data_size(bytes, &[length], kind)?)?;
        start += length;
    }
    Ok(())
}

fn kind(stored: &StoredTensor<'_>) -> anyhow::Result<Kind> {
    match stored.dtype {
        Dtype::F32 => Ok(Kind::Float),
        Dtype::I64 => Ok(Kind::Int64),
        Dtype::U8 => Ok(Kind::Uint8),
        other => anyhow::bail!("a checkpoint holds no {other:?}"),
    }
}
