//! The folder of the checkpoints of one training.

use std::fs::{self, File};
use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use embtune_cli::{Lock, free_bytes, sync_folder};
use embtune_tensors::TensorFile;
use embtune_torch::tch::Tensor;

use super::file::{self, Checkpoint, Damaged, SavedTensor};
use super::progress::Progress;

/// Name of the tensor in a file of the best weights.
const BEST_TENSOR: &str = "values";

/// The checkpoints of a training, and the weights that were the best on its dev set.
///
/// Files are `step-00000120.safetensors` and `best-00000080.safetensors`, each whole or not there. The folder is made
/// with the first of them; from then on no other process can train into it.
pub(crate) struct Checkpoints {
    folder: PathBuf,
    keep: usize,
    /// Held for as long as the training runs; the system lets go of it however the process ends.
    lock: Option<File>,
    /// What is to be said where nothing can be held.
    unlocked: Option<String>,
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

    /// The step of a file of this kind; nothing for any other file, which is not ours to touch.
    fn step(self, file_name: &str) -> Option<u64> {
        let digits = file_name.strip_prefix(self.prefix())?.strip_prefix('-')?.strip_suffix(".safetensors")?;
        let step = digits.parse().ok()?;
        (self.file_name(step) == file_name).then_some(step)
    }
}

impl Checkpoints {
    /// Takes a folder, which need not be there, and removes what a process that was killed has left half-written.
    ///
    /// # Errors
    /// Another training that is running and saves to the same folder; a folder that cannot be read.
    pub(crate) fn open(folder: &Path, keep: NonZero<usize>) -> anyhow::Result<Self> {
        let mut checkpoints = Self { folder: folder.to_owned(), keep: keep.get(), lock: None, unlocked: None };
        if folder.exists() {
            checkpoints.lock()?;
        }
        Ok(checkpoints)
    }

    /// A warning that is due, once.
    pub(crate) fn warning(&mut self) -> Option<String> {
        self.unlocked.take()
    }

    /// Where they are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Refuses a folder that holds checkpoints: a training that begins anew would remove them.
    ///
    /// # Errors
    /// The last step of the training that was not finished.
    pub(crate) fn check_unused(&self) -> anyhow::Result<()> {
        if let Some(last) = self.steps(Kind::Step)?.last() {
            anyhow::bail!(
                "{}: holds checkpoints of a training that was not finished, the last after step {last}\n\
                 hint: --resume goes on from there; to train anew, remove the folder",
                self.folder.display()
            );
        }
        Ok(())
    }

    /// Refuses when the disk has no room for the files that may be there at once: `keep` checkpoints, each with best
    /// weights of its own, and one more of both while it is written. Sizes are bytes of a file; nothing where there are
    /// no such files.
    ///
    /// # Errors
    /// Both sizes.
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
            "{}: checkpoints and the best weights need {} MB, and the disk has {} MB free\nhint: --checkpoint-dir names a folder on another disk, a lower --keep needs less",
            named(),
            needed.div_ceil(1 << 20),
            free >> 20
        );
        Ok(())
    }

    /// Saves a checkpoint, which is on disk when this returns, then removes those that need not be kept.
    ///
    /// # Errors
    /// A full disk: the older checkpoints are as they were.
    pub(crate) fn save(&mut self, progress: &Progress, tensors: &[SavedTensor<'_>]) -> anyhow::Result<()> {
        self.write(Kind::Step, progress.step, &progress.to_json()?, tensors)?;
        // Later steps belong to a damaged checkpoint, behind which this training has begun again.
        let (older, later): (Vec<u64>, Vec<u64>) =
            self.steps(Kind::Step)?.into_iter().partition(|step| *step <= progress.step);
        for step in older.iter().rev().skip(self.keep).chain(&later) {
            self.remove(Kind::Step, *step)?;
        }
        self.remove_unneeded_bests(progress.best_step())
    }

    /// Saves the weights that are the best so far on the dev set, f32 of any shape.
    ///
    /// Older ones stay while a checkpoint may yet need them.
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
    /// A file that is missing, damaged, or of another size.
    pub(crate) fn restore_best(&self, step: u64, target: &Tensor) -> anyhow::Result<()> {
        let file = TensorFile::open(&self.path(Kind::Best, step))?;
        file.verify_checksum()?;
        file::restore(&file, BEST_TENSOR, target)
    }

    /// The newest checkpoint that is not damaged; those that are, are told to `warn`. Nothing when there is none at all.
    ///
    /// # Errors
    /// Nothing but damaged checkpoints; one that is whole but not of this program's version.
    pub(crate) fn latest(&self, mut warn: impl FnMut(String)) -> anyhow::Result<Option<Checkpoint>> {
        let steps = self.steps(Kind::Step)?;
        for step in steps.iter().rev() {
            match Checkpoint::open(&self.path(Kind::Step, *step)) {
                Err(error) if error.is::<Damaged>() => warn(format!("{error}; the checkpoint before it is taken")),
                result => return result.map(Some),
            }
        }
        anyhow::ensure!(
            steps.is_empty(),
            "{}: all checkpoints are damaged\nhint: train anew without --resume, or with another --checkpoint-dir",
            self.folder.display()
        );
        Ok(None)
    }

    /// Removes all checkpoints, after the model has been saved, and the folder when nothing else is in it.
    ///
    /// # Errors
    /// A file that cannot be removed.
    pub(crate) fn remove_all(self) -> anyhow::Result<()> {
        for kind in [Kind::Step, Kind::Best] {
            for step in self.steps(kind)? {
                self.remove(kind, step)?;
            }
        }
        match fs::remove_dir(&self.folder) {
            // Where nothing can be written, the system says that even of what is not there.
            Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty && self.folder.exists() => {
                Err(error).with_context(|| self.folder.display().to_string())
            }
            _ => Ok(()),
        }
    }

    fn write(&mut self, kind: Kind, step: u64, metadata: &str, tensors: &[SavedTensor<'_>]) -> anyhow::Result<()> {
        if self.lock.is_none() {
            fs::create_dir_all(&self.folder).with_context(|| self.folder.display().to_string())?;
            self.lock()?;
        }
        file::write(&self.path(kind, step), metadata, tensors)?;
        // The name too, before an older file goes.
        sync_folder(&self.folder).with_context(|| self.folder.display().to_string())
    }

    /// Makes the folder this process's own.
    fn lock(&mut self) -> anyhow::Result<()> {
        let name = self.folder.display().to_string();
        let folder = File::open(&self.folder).with_context(|| name.clone())?;
        let in_use = "another training saves its checkpoints here\nhint: --checkpoint-dir names another folder";
        self.unlocked = Lock::hold(&folder, &name, in_use, "training saves its checkpoints there")?;
        if self.unlocked.is_some() {
            // What another one has half-written cannot be told from a leftover.
            self.lock = Some(folder);
            return Ok(());
        }
        for name in self.file_names()? {
            let half_written = name.strip_prefix('.').and_then(|name| name.strip_suffix(".tmp"));
            let target = half_written.and_then(|name| name.rsplit_once('.')).map(|(target, _random)| target);
            if target.is_some_and(|target| Kind::Step.step(target).or(Kind::Best.step(target)).is_some()) {
                remove_file(&self.folder.join(name))?;
            }
        }
        self.lock = Some(folder);
        Ok(())
    }

    /// Removes the best weights that neither a checkpoint nor the training itself would ask for.
    fn remove_unneeded_bests(&self, current: Option<u64>) -> anyhow::Result<()> {
        let bests = self.steps(Kind::Best)?;
        if bests.len() < 2 {
            return Ok(());
        }
        let mut needed: Vec<u64> = current.into_iter().collect();
        for step in self.steps(Kind::Step)? {
            let progress =
                TensorFile::open(&self.path(Kind::Step, step)).ok().and_then(|file| file::read_progress(&file).ok());
            needed.extend(progress.and_then(|progress| progress.best_step()));
        }
        for step in bests.into_iter().filter(|step| !needed.contains(step)) {
            self.remove(Kind::Best, step)?;
        }
        Ok(())
    }

    /// The steps of all files of a kind, rising.
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

fn remove_file(path: &Path) -> anyhow::Result<()> {
    fs::remove_file(path).with_context(|| path.display().to_string())
}
