//! The folder with the checkpoints of one training.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use embtune_cli::{Lock, free_bytes, sync_folder};
use embtune_tensors::TensorFile;
use embtune_torch::tch::Tensor;

use super::file::{self, Checkpoint, Damaged, NamedTensor};
use super::trainer_state::TrainerState;

/// Name of the tensor in a file with the best weights.
const BEST_TENSOR: &str = "values";

/// When the training is saved, and whether it resumes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Files")]
pub(crate) struct CheckpointArgs {
    /// Save the training every so many steps, and when a signal ends it
    #[arg(long, value_name = "STEPS", hide_short_help = true)]
    pub(crate) checkpoint_every: Option<NonZero<u64>>,

    /// Folder for the checkpoints [default: the name of --out with .checkpoints appended]
    #[arg(long, value_name = "DIR", hide_short_help = true)]
    pub(crate) checkpoint_dir: Option<PathBuf>,

    /// Number of checkpoints that are kept, the newest ones
    #[arg(long, value_name = "NUM", default_value = "2", hide_short_help = true)]
    pub(crate) keep: NonZero<usize>,

    /// Continue from the newest checkpoint, with the same flags and data
    ///
    /// On the CPU, with the same number of threads, the weights have the same bytes as without the interruption.
    #[arg(long)]
    pub(crate) resume: bool,
}

impl CheckpointArgs {
    /// The folder that `--checkpoint-dir` names, by default the name of `--out` with `.checkpoints` appended.
    pub(crate) fn folder(&self, out: &Path) -> PathBuf {
        self.checkpoint_dir.clone().unwrap_or_else(|| {
            let mut name = without_trailing_slash(out);
            name.push(".checkpoints");
            name.into()
        })
    }
}

fn without_trailing_slash(path: &Path) -> OsString {
    // `.` and `..` have no name to append to.
    let real = path.canonicalize().ok().filter(|_| path.file_name().is_none());
    real.unwrap_or_else(|| path.components().collect()).into_os_string()
}

/// The checkpoints of a training, and the weights that were best on its dev set.
///
/// The files are `step-00000120.safetensors` and `best-00000080.safetensors`; each is complete when it appears. The
/// folder is created with the first file, and from then on no other process can train into it.
pub(crate) struct Checkpoints {
    pub(crate) folder: PathBuf,
    keep: usize,
    /// Held as long as the training runs; the system releases it however the process ends.
    lock: Option<File>,
    /// A warning for a file system without locks.
    lock_warning: Option<String>,
}

/// A kind of file in the folder.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Step,
    Best,
}

impl Kind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Best => "best",
        }
    }

    fn file_name(self, step: u64) -> String {
        format!("{}-{step:08}.safetensors", self.prefix())
    }

    /// The step of a file of this kind; `None` for any other file, which must be left alone.
    fn step(self, file_name: &str) -> Option<u64> {
        let digits = file_name.strip_prefix(self.prefix())?.strip_prefix('-')?.strip_suffix(".safetensors")?;
        let step = digits.parse().ok()?;
        (self.file_name(step) == file_name).then_some(step)
    }
}

impl Checkpoints {
    /// Opens the folder, which need not exist, and removes partial files of a process that was killed.
    ///
    /// # Errors
    /// Another running training saves to the same folder, or the folder cannot be read.
    pub(crate) fn open(folder: PathBuf, keep: NonZero<usize>) -> anyhow::Result<Self> {
        let mut checkpoints = Self { folder, keep: keep.get(), lock: None, lock_warning: None };
        if checkpoints.folder.exists() {
            checkpoints.lock()?;
        }
        Ok(checkpoints)
    }

    /// A pending warning, which is returned once.
    pub(crate) fn warning(&mut self) -> Option<String> {
        self.lock_warning.take()
    }

    /// Refuses a folder that contains checkpoints, which a training from the start would remove.
    ///
    /// # Errors
    /// The last step of the unfinished training.
    pub(crate) fn check_unused(&self) -> anyhow::Result<()> {
        if let Some(last) = self.steps(Kind::Step)?.last() {
            anyhow::bail!(
                "{}: contains checkpoints of an unfinished training, the last one after step {last}\n\
                 hint: --resume continues from there; to train from the start, remove the folder",
                self.folder.display()
            );
        }
        Ok(())
    }

    /// Refuses to start if the disk has no room for the files that may exist at the same time: `keep` checkpoints, each
    /// with its own best weights, and one more of both while they are being written. Sizes are those of one file in
    /// bytes, `None` if the training writes no such files.
    ///
    /// # Errors
    /// The bytes needed and the bytes free.
    pub(crate) fn check_room(&self, checkpoint: Option<u64>, best: Option<u64>) -> anyhow::Result<()> {
        let named = || self.folder.display().to_string();
        let kept = if checkpoint.is_some() { self.keep as u64 } else { 0 };
        let checkpoints = checkpoint.map_or(0, |bytes| bytes.saturating_mul(kept + 1));
        let bests = best.map_or(0, |bytes| bytes.saturating_mul(kept + 2));
        let needed = checkpoints.saturating_add(bests);
        if needed == 0 {
            return Ok(());
        }
        let mut present = 0;
        for kind in [Kind::Step, Kind::Best] {
            let files = self.steps(kind)?.into_iter().map(|step| self.path(kind, step));
            present += files.filter_map(|path| Some(fs::metadata(path).ok()?.len())).sum::<u64>();
        }
        let free = free_bytes(&self.folder).with_context(named)?.saturating_add(present);
        anyhow::ensure!(
            free >= needed,
            "{}: checkpoints and the best weights need {} MB, but the disk has {} MB free\nhint: --checkpoint-dir names a folder on another disk; a lower --keep needs less",
            named(),
            needed.div_ceil(1 << 20),
            free >> 20
        );
        Ok(())
    }

    /// Saves a checkpoint, which is on disk when this returns, then removes those that need not be kept.
    ///
    /// # Errors
    /// A full disk: the older checkpoints are unchanged.
    pub(crate) fn save(&mut self, state: &TrainerState, tensors: &[NamedTensor<'_>]) -> anyhow::Result<()> {
        self.write(Kind::Step, state.step, &state.to_json()?, tensors)?;
        // Later steps belong to a damaged checkpoint, before which this training has resumed.
        let (older, later): (Vec<u64>, Vec<u64>) =
            self.steps(Kind::Step)?.into_iter().partition(|step| *step <= state.step);
        for step in older.iter().rev().skip(self.keep).chain(&later) {
            self.remove(Kind::Step, *step)?;
        }
        self.remove_unneeded_bests(best_step(state))
    }

    /// Saves the weights that are best on the dev set so far, f32 of any shape.
    ///
    /// Older ones stay as long as a checkpoint may need them.
    ///
    /// # Errors
    /// A full disk.
    pub(crate) fn save_best(&mut self, step: u64, values: &Tensor) -> anyhow::Result<()> {
        self.write(Kind::Best, step, "{}", &[(BEST_TENSOR, values)])?;
        self.remove_unneeded_bests(Some(step))
    }

    /// Copies the best weights, which were saved at `step`, into `target`.
    ///
    /// # Errors
    /// The file is missing, damaged, or has another size.
    pub(crate) fn restore_best(&self, step: u64, target: &Tensor) -> anyhow::Result<()> {
        let file = TensorFile::open(&self.path(Kind::Best, step))?;
        file.verify_checksum()?;
        file::restore(&file, BEST_TENSOR, target)
    }

    /// The newest checkpoint that is not damaged, with a warning for each newer one; `None` if there are no
    /// checkpoints.
    ///
    /// # Errors
    /// All checkpoints are damaged, or the newest intact one has another version.
    pub(crate) fn latest(&self, mut warn: impl FnMut(String)) -> anyhow::Result<Option<Checkpoint>> {
        let steps = self.steps(Kind::Step)?;
        for step in steps.iter().rev() {
            match Checkpoint::open(&self.path(Kind::Step, *step)) {
                Err(error) if error.is::<Damaged>() => warn(format!("{error}; using the checkpoint before it")),
                result => return result.map(Some),
            }
        }
        anyhow::ensure!(
            steps.is_empty(),
            "{}: all checkpoints are damaged\nhint: train from the start without --resume, or with another --checkpoint-dir",
            self.folder.display()
        );
        Ok(None)
    }

    /// Removes all checkpoints after the model has been saved, and the folder if nothing else is in it.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub(crate) fn remove_all(self) -> anyhow::Result<()> {
        for kind in [Kind::Step, Kind::Best] {
            for step in self.steps(kind)? {
                self.remove(kind, step)?;
            }
        }
        match fs::remove_dir(&self.folder) {
            // On a read-only file system, removing a folder that does not exist fails with another error.
            Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty && self.folder.exists() => {
                Err(error).with_context(|| self.folder.display().to_string())
            }
            _ => Ok(()),
        }
    }

    fn write(&mut self, kind: Kind, step: u64, metadata: &str, tensors: &[NamedTensor<'_>]) -> anyhow::Result<()> {
        if self.lock.is_none() {
            fs::create_dir_all(&self.folder).with_context(|| self.folder.display().to_string())?;
            self.lock()?;
        }
        file::write(&self.path(kind, step), metadata, tensors)?;
        // The name must be on disk too before an older file is removed.
        sync_folder(&self.folder).with_context(|| self.folder.display().to_string())
    }

    /// Locks the folder for this process, and removes partial files.
    fn lock(&mut self) -> anyhow::Result<()> {
        let name = self.folder.display().to_string();
        let folder = File::open(&self.folder).with_context(|| name.clone())?;
        let in_use = "another training saves its checkpoints here\nhint: choose another folder with --checkpoint-dir";
        self.lock_warning = Lock::hold(&folder, &name, in_use, "training saves its checkpoints there")?;
        if self.lock_warning.is_some() {
            // Without a lock, a partial file may belong to another running training.
            self.lock = Some(folder);
            return Ok(());
        }
        for name in self.file_names()? {
            let partial = name.strip_prefix('.').and_then(|name| name.strip_suffix(".tmp"));
            let target = partial.and_then(|name| name.rsplit_once('.')).map(|(target, _random)| target);
            if target.is_some_and(|target| Kind::Step.step(target).or(Kind::Best.step(target)).is_some()) {
                remove_file(&self.folder.join(name))?;
            }
        }
        self.lock = Some(folder);
        Ok(())
    }

    /// Removes the best weights that neither a checkpoint nor the training itself needs.
    fn remove_unneeded_bests(&self, current: Option<u64>) -> anyhow::Result<()> {
        let bests = self.steps(Kind::Best)?;
        if bests.len() < 2 {
            return Ok(());
        }
        let mut needed: Vec<u64> = current.into_iter().collect();
        for step in self.steps(Kind::Step)? {
            let file = TensorFile::open(&self.path(Kind::Step, step)).ok();
            let state = file.and_then(|file| file::read_state(&file).ok());
            needed.extend(state.as_ref().and_then(best_step));
        }
        for step in bests.into_iter().filter(|step| !needed.contains(step)) {
            self.remove(Kind::Best, step)?;
        }
        Ok(())
    }

    /// The steps of all files of a kind, in ascending order.
    fn steps(&self, kind: Kind) -> anyhow::Result<Vec<u64>> {
        let mut steps: Vec<u64> = self.file_names()?.iter().filter_map(|name| kind.step(name)).collect();
        steps.sort_unstable();
        Ok(steps)
    }

    fn file_names(&self) -> anyhow::Result<Vec<String>> {
        let named = || self.folder.display().to_string();
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.with_context(named)?,
        };
        let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
        entries.map(name).collect::<io::Result<_>>().with_context(named)
    }

    fn path(&self, kind: Kind, step: u64) -> PathBuf {
        self.folder.join(kind.file_name(step))
    }

    fn remove(&self, kind: Kind, step: u64) -> anyhow::Result<()> {
        remove_file(&self.path(kind, step))
    }
}

/// The step whose weights were best on the dev set.
fn best_step(state: &TrainerState) -> Option<u64> {
    state.evaluations.best().map(|best| best.step)
}

fn remove_file(path: &Path) -> anyhow::Result<()> {
    fs::remove_file(path).with_context(|| path.display().to_string())
}
