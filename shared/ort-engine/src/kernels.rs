//! Which kernels a session ran, according to ONNX Runtime's profile.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use serde::Deserialize;

use crate::EngineError;

/// Kernels of one kind that have run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernels {
    /// Execution provider, such as `CPUExecutionProvider`.
    pub provider: String,
    /// Operator, such as `MultiHeadAttention`.
    pub op: String,
    /// Number of the graph's nodes that ran as this kernel.
    pub nodes: usize,
}

/// An event of the profile, which is in the format of Chrome's traces.
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

/// The kernels of a profile, the most frequent first.
pub(crate) fn read(profile: &Path) -> Result<Vec<Kernels>, EngineError> {
    let unreadable = |what: String| EngineError::Run(format!("the profile cannot be read: {what}"));
    let file = File::open(profile).map_err(|error| unreadable(error.to_string()))?;
    let events: Vec<Event> =
        serde_json::from_reader(BufReader::new(file)).map_err(|error| unreadable(error.to_string()))?;
    // A node is listed once for each batch that ran while profiling.
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
