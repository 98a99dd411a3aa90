//! Which kernels a session really ran, from ONNX Runtime's own profile.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use serde::Deserialize;

use crate::EngineError;

/// Kernels of one kind that ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernels {
    /// Such as `CPUExecutionProvider`.
    pub provider: String,
    /// Such as `MultiHeadAttention`.
    pub op: String,
    /// How many nodes of the graph.
    pub nodes: usize,
}

/// An event of the profile (the form of Chrome's traces).
#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    cat: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    args: Args,
}

#[derive(Default, Deserialize)]
struct Args {
    #[serde(default)]
    provider: String,
    #[serde(default)]
    op_name: String,
}

/// What a profile tells, the most frequent first.
pub(crate) fn read(profile: &Path) -> Result<Vec<Kernels>, EngineError> {
    let unreadable = |what: String| EngineError::Run(format!("its profile cannot be read: {what}"));
    let file = File::open(profile).map_err(|error| unreadable(error.to_string()))?;
    let events: Vec<Event> =
        serde_json::from_reader(BufReader::new(file)).map_err(|error| unreadable(error.to_string()))?;
    // A node runs once for each batch of the profile.
    let mut nodes: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for Event { cat, name, args } in events {
        if cat == "Node" && name.ends_with("_kernel_time") {
            nodes.entry((args.provider, args.op_name)).or_default().push(name);
        }
    }
    let mut kernels: Vec<Kernels> = nodes
        .into_iter()
        .map(|((provider, op), mut names)| {
            names.sort();
            names.dedup();
            Kernels { provider, op, nodes: names.len() }
        })
        .collect();
    kernels.sort_by_key(|kernels| std::cmp::Reverse(kernels.nodes));
    Ok(kernels)
}
