//! The flags of checkpoints.

use std::num::NonZero;
use std::path::{Path, PathBuf};

use clap::Args;

/// When the training is saved, and whether it goes on from there.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Checkpoints")]
pub(crate) struct CheckpointArgs {
    /// Save the training after every so many steps, and when a signal ends it
    #[arg(long, value_name = "STEPS")]
    pub(crate) checkpoint_every: Option<NonZero<u64>>,

    /// Folder for the checkpoints [default: that of --out with .checkpoints behind its name]
    #[arg(long, value_name = "DIR")]
    checkpoint_dir: Option<PathBuf>,

    /// Checkpoints that are kept, the newest ones
    #[arg(long, value_name = "NUM", default_value = "2")]
    pub(crate) keep: NonZero<usize>,

    /// Go on from the newest checkpoint, with the same flags and data
    ///
    /// On the CPU, and with the same number of threads, the weights become the same bytes as without the break.
    #[arg(long)]
    pub(crate) resume: bool,
}

impl CheckpointArgs {
    /// Where the checkpoints of a training that saves its model to `out` are.
    pub(crate) fn folder(&self, out: &Path) -> PathBuf {
        self.checkpoint_dir.clone().unwrap_or_else(|| {
            let real = || out.canonicalize().ok().filter(|_| out.file_name().is_none()); // of `.`
            let mut name = real().unwrap_or_else(|| out.components().collect()).into_os_string(); // no slash at its end
            name.push(".checkpoints");
            name.into()
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        checkpoints: CheckpointArgs,
    }

    #[test]
    fn the_folder_stands_beside_the_model() {
        let folder = |flags: &[&str]| Cli::parse_from(flags).checkpoints.folder(Path::new("models/tuned/"));
        assert_eq!(folder(&["prog"]), Path::new("models/tuned.checkpoints"));
        assert_eq!(folder(&["prog", "--checkpoint-dir", "x"]), Path::new("x"));
        let here = std::env::current_dir().unwrap();
        let beside = format!("{}.checkpoints", here.display());
        assert_eq!(Cli::parse_from(["prog"]).checkpoints.folder(Path::new(".")), Path::new(&beside));
    }
}
