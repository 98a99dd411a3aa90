//! Which of how many processes this one is, as torchrun and its like say in the environment.

use std::env;
use std::fmt::Display;
use std::str::FromStr;

use anyhow::{Context as _, ensure};

/// This process's place among the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct World {
    /// From 0.
    pub(crate) rank: usize,
    /// Number of processes, 2 at least.
    pub(crate) size: usize,
    /// Number among the processes of this machine.
    pub(crate) local_rank: usize,
    /// Processes on this machine, where somebody says so.
    pub(crate) local_size: Option<usize>,
    /// Where the processes meet.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Whether torchrun keeps the store there; else process 0 does.
    pub(crate) has_agent: bool,
    /// How often torchrun has started all of them anew: what an earlier start has left in the store is not ours.
    pub(crate) attempt: String,
    /// The network interface that the others reach this process through.
    pub(crate) interface: Option<String>,
}

/// How many processes a training has, for a process that need not meet the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Crew {
    pub(crate) size: usize,
    /// Number of this process, from 0.
    pub(crate) rank: usize,
    /// How many are on this machine, as far as it is known.
    pub(crate) here: usize,
}

impl Crew {
    /// Those that the environment names; one process, if it names none.
    ///
    /// # Errors
    /// What is no number.
    pub(crate) fn from_environment() -> anyhow::Result<Self> {
        let size = number(variable, "WORLD_SIZE")?.unwrap_or(1).max(1);
        let rank = number(variable, "RANK")?.or(number(variable, "SLURM_PROCID")?).unwrap_or(0);
        Ok(Self { size, rank, here: number(variable, "LOCAL_WORLD_SIZE")?.unwrap_or(1).clamp(1, size) })
    }
}

impl World {
    /// The place that the environment names; nothing for a process that is alone.
    ///
    /// # Errors
    /// Half a place, or an impossible one.
    pub(crate) fn from_environment() -> anyhow::Result<Option<Self>> {
        Self::read(variable)
    }

    fn read(get: impl Fn(&str) -> Option<String>) -> anyhow::Result<Option<Self>> {
        let Some(size) = number::<usize>(&get, "WORLD_SIZE")?.filter(|size| *size > 1) else { return Ok(None) };
        let missing = |name: &str| {
            format!(
                "WORLD_SIZE is {size}, and {name} is not set\nhint: `torchrun --no-python --nproc-per-node {size} mnrl-train ...` sets all of it; see man mnrl-train"
            )
        };
        // Slurm counts its tasks itself.
        let either = |name, slurm| Ok::<_, anyhow::Error>(number(&get, name)?.or(number(&get, slurm)?));
        let rank: usize = either("RANK", "SLURM_PROCID")?.with_context(|| missing("RANK"))?;
        ensure!(rank < size, "RANK is {rank}, and WORLD_SIZE is {size}: ranks are counted from 0");
        let host = get("MASTER_ADDR").with_context(|| missing("MASTER_ADDR"))?;
        let is_here = host == "localhost" || host.starts_with("127.");
        Ok(Some(Self {
            rank,
            size,
            local_rank: either("LOCAL_RANK", "SLURM_LOCALID")?.unwrap_or(rank),
            local_size: number(&get, "LOCAL_WORLD_SIZE")?.or(is_here.then_some(size)),
            port: number(&get, "MASTER_PORT")?.with_context(|| missing("MASTER_PORT"))?,
            host,
            has_agent: get("TORCHELASTIC_USE_AGENT_STORE").as_deref() == Some("True"),
            attempt: get("TORCHELASTIC_RESTART_COUNT").unwrap_or_else(|| "0".into()),
            interface: get("GLOO_SOCKET_IFNAME"),
        }))
    }

    /// Whether this process keeps the store.
    pub(crate) fn serves(&self) -> bool {
        self.rank == 0 && !self.has_agent
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

    fn read(variables: &[(&str, &str)]) -> Result<Option<World>, String> {
        let get = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        World::read(get).map_err(|error| error.to_string())
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
    fn torchrun_says_it_all() {
        let world = read(&TORCHRUN).unwrap().unwrap();
        let expected = World {
            rank: 5,
            size: 8,
            local_rank: 1,
            local_size: Some(4),
            host: "node7".into(),
            port: 29500,
            has_agent: true,
            attempt: "2".into(),
            interface: None,
        };
        assert_eq!(world, expected);
    }

    #[test]
    fn slurm_and_a_loop_say_less() {
        let meeting = [("WORLD_SIZE", "4"), ("MASTER_ADDR", "node1"), ("MASTER_PORT", "29500")];
        let slurm = [("SLURM_PROCID", "3"), ("SLURM_LOCALID", "1")];
        let world = read(&[&meeting[..], &slurm].concat()).unwrap().unwrap();
        assert_eq!((world.rank, world.local_rank, world.local_size, world.serves()), (3, 1, None, false));
        let a_loop = [("WORLD_SIZE", "2"), ("RANK", "0"), ("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", "1")];
        let world = read(&a_loop).unwrap().unwrap();
        assert_eq!((world.rank, world.local_rank, world.local_size, world.serves()), (0, 0, Some(2), true));
    }

    #[test]
    fn one_process_is_alone() {
        for variables in [&[][..], &[("WORLD_SIZE", "1")], &[("RANK", "3"), ("MASTER_ADDR", "x")]] {
            assert_eq!(read(variables), Ok(None));
        }
    }

    #[test]
    fn half_a_place_is_refused() {
        for left_out in ["RANK", "MASTER_ADDR", "MASTER_PORT"] {
            let rest: Vec<_> = TORCHRUN.into_iter().filter(|(name, _)| *name != left_out).collect();
            let message = read(&rest).unwrap_err();
            assert!(message.starts_with(&format!("WORLD_SIZE is 8, and {left_out} is not set\nhint: ")), "{message}");
        }
        for (name, value, expected) in [
            ("RANK", "8", "RANK is 8, and WORLD_SIZE is 8: ranks are counted from 0"),
            ("RANK", "-1", "RANK is \"-1\", expected a number"),
            ("WORLD_SIZE", "two", "WORLD_SIZE is \"two\", expected a number"),
            ("MASTER_PORT", "65536", "MASTER_PORT is \"65536\", expected a number"),
        ] {
            let rest = TORCHRUN.into_iter().filter(|(key, _)| *key != name);
            assert_eq!(read(&rest.chain([(name, value)]).collect::<Vec<_>>()).unwrap_err(), expected);
        }
    }
}
