//! A checkpoint file: safetensors with a checksum at its end.

use std::io::Write;
use std::path::Path;

use anyhow::Context as _;
use embtune_cli::AtomicFile;
use embtune_tensors::{ChecksumWriter, Dtype, Tensor as StoredTensor, TensorFile, TensorsError};
use embtune_torch::TorchError;
use embtune_torch::tch::{Device, Kind, Tensor, no_grad};
use serde_json::{Map, Value};

use super::trainer_state::{TrainerState, first_difference};

/// Metadata key of [`TrainerState`].
const KEY: &str = "embtune";

/// Bytes that are copied at a time, which bounds the memory that a checkpoint needs for a model of any size.
const CHUNK: usize = 1 << 20;

/// A tensor to save: its name and its values, f32, i64 or u8, of any shape and on any device. It is saved flat.
pub(crate) type NamedTensor<'a> = (&'a str, &'a Tensor);

/// A checkpoint that has been read and checked.
pub(crate) struct Checkpoint {
    file: TensorFile,
    /// How far the training had come.
    pub(crate) state: TrainerState,
}

/// Bytes of these tensors in a file; the header is small.
pub(crate) fn bytes(tensors: &[NamedTensor<'_>]) -> u64 {
    tensors.iter().map(|(_, tensor)| (tensor.numel() * tensor.kind().elt_size_in_bytes()) as u64).sum()
}

/// Writes a file with a checksum, which is complete and on disk when it appears.
pub(super) fn write(path: &Path, metadata: &str, tensors: &[NamedTensor<'_>]) -> anyhow::Result<()> {
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

/// The types that a checkpoint can hold.
const KINDS: [(Kind, Dtype); 3] = [(Kind::Float, Dtype::F32), (Kind::Int64, Dtype::I64), (Kind::Uint8, Dtype::U8)];

fn dtype(tensor: &Tensor) -> Result<Dtype, TorchError> {
    let found = KINDS.iter().find(|(kind, _)| *kind == tensor.kind()).map(|(_, dtype)| *dtype);
    found.ok_or_else(|| TorchError::new(format!("a checkpoint cannot hold {:?}", tensor.kind())))
}

/// Memory is little-endian on all platforms of libtorch, and so is the file.
fn copy_out(tensor: &Tensor, buffer: &mut [u8], out: &mut impl Write) -> anyhow::Result<()> {
    let (flat, size) = (tensor.f_reshape([-1]).map_err(TorchError::from)?, tensor.kind().elt_size_in_bytes());
    for chunk in flat.f_split((buffer.len() / size) as i64, 0).map_err(TorchError::from)? {
        let bytes = chunk.numel() * size;
        chunk.f_copy_data_u8(buffer, chunk.numel()).map_err(TorchError::from)?;
        out.write_all(&buffer[..bytes])?;
    }
    Ok(())
}

/// The file's checksum does not match, so it is damaged. An earlier checkpoint may be intact.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) struct Damaged(#[from] TensorsError);

impl Checkpoint {
    /// Opens a file and verifies its checksum.
    ///
    /// # Errors
    /// [`Damaged`] if a bit has changed since it was written; otherwise, why it is not a checkpoint.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let file = TensorFile::open(path).map_err(Damaged)?;
        file.verify_checksum().map_err(Damaged)?;
        Ok(Self { state: read_state(&file)?, file })
    }

    /// Refuses to continue with different settings: the result would belong to neither.
    ///
    /// # Errors
    /// The first setting that differs, with both values.
    pub(crate) fn check_settings(&self, now: &Map<String, Value>) -> anyhow::Result<()> {
        if let Some((name, then, now)) = first_difference(&self.state.settings, now) {
            anyhow::bail!(
                "{}: {name} was {then} when the training began, and is {now} now\n\
                 hint: use the same flags and data, or train from the start without --resume",
                self.file.name()
            );
        }
        Ok(())
    }

    /// Copies a tensor's values into `target`, which must have the same type and number of elements.
    ///
    /// # Errors
    /// The tensor is missing or has another size: the checkpoint belongs to another model.
    pub(crate) fn restore(&self, name: &str, target: &Tensor) -> anyhow::Result<()> {
        restore(&self.file, name, target)
    }

    /// A tensor whose size only the file knows, on the CPU.
    ///
    /// # Errors
    /// The tensor is missing or has a type that checkpoints do not use.
    pub(crate) fn tensor(&self, name: &str) -> anyhow::Result<Tensor> {
        let stored = self.file.require(name)?;
        let kind =
            KINDS.iter().find(|(_, dtype)| *dtype == stored.dtype).map(|(kind, _)| *kind).with_context(|| {
                format!("{}: tensor \"{name}\": a checkpoint cannot hold {:?}", self.file.name(), stored.dtype)
            })?;
        let target = Tensor::f_zeros([stored.len() as i64], (kind, Device::Cpu)).map_err(TorchError::from)?;
        self.restore(name, &target)?;
        Ok(target)
    }
}

/// The state in a file, whose checksum need not have been verified.
pub(super) fn read_state(file: &TensorFile) -> anyhow::Result<TrainerState> {
    let metadata = file.metadata(KEY).with_context(|| format!("{}: not a checkpoint (no metadata)", file.name()))?;
    TrainerState::from_json(metadata).map_err(|what| anyhow::anyhow!("{}: {what}", file.name()))
}

/// See [`Checkpoint::restore`].
pub(super) fn restore(file: &TensorFile, name: &str, target: &Tensor) -> anyhow::Result<()> {
    let stored = file.require(name)?;
    let expected = (dtype(target)?, target.numel());
    anyhow::ensure!(
        (stored.dtype, stored.len()) == expected,
        "{}: tensor \"{name}\" has {} elements of {:?}, expected {} of {:?}: the checkpoint belongs to another model",
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
