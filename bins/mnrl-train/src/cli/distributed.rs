//! The flags of several processes.

use std::num::NonZero;
use std::time::Duration;

use clap::Args;

/// How several processes work together; that they do says the environment.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Several processes")]
pub(crate) struct DistributedArgs {
    /// Seconds that a process waits for the others before all of them end
    #[arg(long, value_name = "SECONDS", default_value = "300")]
    dist_timeout: NonZero<u32>,
}

impl DistributedArgs {
    /// How long a process waits for the others.
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.dist_timeout.get().into())
    }
}
