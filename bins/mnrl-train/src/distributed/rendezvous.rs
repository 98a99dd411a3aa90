//! Rank and world size of this process, and where the processes meet: torchrun and similar launchers set both in the
//! environment.

use std::env;
use std::fmt::Display;
use std::str::FromStr;

use anyhow::{Context as _, ensure};

/// This process among others, and where they meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rendezvous {
    /// Number of this process, from 0.
    pub(crate) rank: usize,
    /// Number of processes, at least 2.
    pub(crate) world_size: usize,
    /// Number of this process on its machine, from 0.
    pub(crate) local_rank: usize,
    /// Number of processes on this machine, if it is known.
    pub(crate) local_world_size: Option<usize>,
    /// Host and port of the key-value store through which the processes meet.
    pub(crate) master_addr: String,
    pub(crate) master_port: u16,
    /// Whether torchrun serves the store; otherwise process 0 does.
    pub(crate) agent_store: bool,
    /// How often torchrun has restarted the processes: keys that an earlier attempt left in the store are not ours.
    pub(crate) restart_count: String,
    /// The network interface through which the others reach this process.
    pub(crate) interface: Option<String>,
}

/// Rank and numbers of processes, which are known without meeting the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RankInfo {
    /// Number of this process, from 0.
    pub(crate) rank: usize,
    /// Number of processes.
    pub(crate) world_size: usize,
    /// Number of processes on this machine; 1 if it is not known.
    pub(crate) local_world_size: usize,
}

impl RankInfo {
    /// Reads the environment; a single process if WORLD_SIZE is not set.
    ///
    /// # Errors
    /// A variable that is not a number.
    pub(crate) fn from_environment() -> anyhow::Result<Self> {
        let world_size = number(variable, "WORLD_SIZE")?.unwrap_or(1).max(1);
        let rank = number(variable, "RANK")?.or(number(variable, "SLURM_PROCID")?).unwrap_or(0);
        let local_world_size = number(variable, "LOCAL_WORLD_SIZE")?.unwrap_or(1).clamp(1, world_size);
        Ok(Self { rank, world_size, local_world_size })
    }
}

impl Rendezvous {
    /// Reads the environment; `None` for a single process.
    ///
    /// # Errors
    /// A variable that is missing or impossible.
    pub(crate) fn from_environment() -> anyhow::Result<Option<Self>> {
        Self::read(variable)
    }

    fn read(get: impl Fn(&str) -> Option<String>) -> anyhow::Result<Option<Self>> {
        let Some(size) = number::<usize>(&get, "WORLD_SIZE")?.filter(|size| *size > 1) else { return Ok(None) };
        let missing = |name: &str| {
            format!(
                "WORLD_SIZE is {size}, but {name} is not set\nhint: `torchrun --no-python --nproc-per-node {size} mnrl-train ...` sets all variables; see man mnrl-train"
            )
        };
        // Slurm numbers its tasks itself.
        let either = |name, slurm| Ok::<_, anyhow::Error>(number(&get, name)?.or(number(&get, slurm)?));
        let rank: usize = either("RANK", "SLURM_PROCID")?.with_context(|| missing("RANK"))?;
        ensure!(rank < size, "RANK is {rank}, but WORLD_SIZE is {size}: ranks are counted from 0");
        let host = get("MASTER_ADDR").with_context(|| missing("MASTER_ADDR"))?;
        let is_here = host == "localhost" || host.starts_with("127.");
        Ok(Some(Self {
            rank,
            world_size: size,
            local_rank: either("LOCAL_RANK", "SLURM_LOCALID")?.unwrap_or(rank),
            local_world_size: number(&get, "LOCAL_WORLD_SIZE")?.or(is_here.then_some(size)),
            master_port: number(&get, "MASTER_PORT")?.with_context(|| missing("MASTER_PORT"))?,
            master_addr: host,
            agent_store: get("TORCHELASTIC_USE_AGENT_STORE").as_deref() == Some("True"),
            restart_count: get("TORCHELASTIC_RESTART_COUNT").unwrap_or_else(|| "0".into()),
            interface: get("GLOO_SOCKET_IFNAME"),
        }))
    }

    /// Whether this process serves the store.
    pub(crate) fn serves_store(&self) -> bool {
        self.rank == 0 && !self.agent_store
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn number<T: FromStr<Err: Display>>(get: impl Fn(&str) -> Option<String>, name: &str) -> anyhow::Result<Option<T>> {
    let parse = |text: String| text.parse().map_err(|_| anyhow::anyhow!("{name} is \"{text}\", expected a number"));
    get(name).map(parse).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<Rendezvous>, String> {
        let get = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Rendezvous::read(get).map_err(|error| error.to_string())
    }

    const TORCHRUN: [(&str, &str); 8] = [
        ("RANK", "5"),
        ("WORLD_SIZE", "8"),
        ("LOCAL_RANK", "1"),
        ("LOCAL_WORLD_SIZE", "4"),
        ("MASTER_ADDR", "node7"),
        ("MASTER_PORT", "29500"),
        ("TORCHELASTIC_USE_AGENT_STORE", "True"),
        ("TORCHELASTIC_RESTART_COUNT", "2"),
    ];

    #[test]
    fn torchrun_sets_everything() {
        let rendezvous = read(&TORCHRUN).unwrap().unwrap();
        let expected = Rendezvous {
            rank: 5,
            world_size: 8,
            local_rank: 1,
            local_world_size: Some(4),
            master_addr: "node7".into(),
            master_port: 29500,
            agent_store: true,
            restart_count: "2".into(),
            interface: None,
        };
        assert_eq!(rendezvous, expected);
    }

    #[test]
    fn slurm_and_a_shell_loop_set_less() {
        let meeting = [("WORLD_SIZE", "4"), ("MASTER_ADDR", "node1"), ("MASTER_PORT", "29500")];
        let slurm = [("SLURM_PROCID", "3"), ("SLURM_LOCALID", "1")];
        let rendezvous = read(&[&meeting[..], &slurm].concat()).unwrap().unwrap();
        assert_eq!(
            (rendezvous.rank, rendezvous.local_rank, rendezvous.local_world_size, rendezvous.serves_store()),
            (3, 1, None, false)
        );
        let shell_loop = [("WORLD_SIZE", "2"), ("RANK", "0"), ("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", "1")];
        let rendezvous = read(&shell_loop).unwrap().unwrap();
        assert_eq!(
            (rendezvous.rank, rendezvous.local_rank, rendezvous.local_world_size, rendezvous.serves_store()),
            (0, 0, Some(2), true)
        );
    }

    #[test]
    fn a_single_process_needs_no_rendezvous() {
        for variables in [&[][..], &[("WORLD_SIZE", "1")], &[("RANK", "3"), ("MASTER_ADDR", "x")]] {
            assert_eq!(read(variables), Ok(None));
        }
    }

    #[test]
    fn incomplete_variables_are_refused() {
        for left_out in ["RANK", "MASTER_ADDR", "MASTER_PORT"] {
            let rest: Vec<_> = TORCHRUN.into_iter().filter(|(name, _)| *name != left_out).collect();
            let message = read(&rest).unwrap_err();
            assert!(message.starts_with(&format!("WORLD_SIZE is 8, but {left_out} is not set\nhint: ")), "{message}");
        }
        for (name, value, expected) in [
            ("RANK", "8", "RANK is 8, but WORLD_SIZE is 8: ranks are counted from 0"),
            ("RANK", "-1", "RANK is \"-1\", expected a number"),
            ("WORLD_SIZE", "two", "WORLD_SIZE is \"two\", expected a number"),
            ("MASTER_PORT", "65536", "MASTER_PORT is \"65536\", expected a number"),
        ] {
            let rest = TORCHRUN.into_iter().filter(|(key, _)| *key != name);
            assert_eq!(read(&rest.chain([(name, value)]).collect::<Vec<_>>()).unwrap_err(), expected);
        }
    }
}
