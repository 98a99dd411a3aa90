//! The commands of embtune-scale(7) work. A block of commands is preceded by a mark with a file that it writes and, if
//! there is one, the unusual program that it needs:
//!
//! ````text
//! .\" test with torchrun: TUNED/model.safetensors
//! .nf
//! torchrun \-\-no\-python ...
//! .fi
//! ````
//!
//! Each block is run in a new folder with a small model `BASE`, a `corpus.jsonl` and a shard. Slurm is replaced by
//! scripts that start the tasks of a job as Slurm does, one after the other or all at once.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use embtune_tests::{Folder, Ran, workspace};

use crate::engines::{run_parallel, spark_environment};

/// `sbatch --array=0-3 SCRIPT`: runs the script once for each task.
const SBATCH: &str = r#"#!/bin/bash -eu
[[ $1 =~ ^--array=0-([0-9]+)$ ]]
export SLURM_ARRAY_TASK_COUNT=$((BASH_REMATCH[1] + 1))
for ((task = 0; task < SLURM_ARRAY_TASK_COUNT; task++)); do SLURM_ARRAY_TASK_ID=$task bash -eu "$2"; done
"#;
/// `srun COMMAND ...`: runs the command for all tasks of the job at once.
const SRUN: &str = r#"#!/bin/bash -eu
for ((task = 0; task < SLURM_NTASKS; task++)); do SLURM_PROCID=$task "$@" & tasks+=($!); done
for task in "${tasks[@]}"; do wait "$task"; done
"#;
/// No test leaves this machine.
const HOSTNAME: &str = "#!/bin/sh\necho 127.0.0.1\n";

/// A block of commands.
struct Block {
    /// The unusual program that it needs; empty for none.
    needs: String,
    /// A file that it writes.
    leaves: String,
    /// Number of its first line.
    line: usize,
    script: String,
}

/// The marked blocks of a page.
fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(mark) = line.strip_prefix(".\\\" test") else { continue };
        let (needs, leaves) = mark.split_once(": ").unwrap_or_else(|| panic!("line {}: no file", number + 1));
        let needs = needs.trim_start_matches(" with ").to_owned();
        assert_eq!(
            lines.next().map(|(_, line)| line),
            Some(".nf"),
            "line {}: a mark must be followed by .nf",
            number + 1
        );
        let script = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != ".fi").map(plain).collect();
        blocks.push(Block { needs, leaves: leaves.to_owned(), line: number + 3, script });
    }
    blocks
}

/// The text that roff prints for a line, with its end.
fn plain(line: &str) -> String {
    line.replace("\\-", "-").replace("\\(aq", "'").replace("\\(dq", "\"").replace("\\&", "").replace("\\e", "\\") + "\n"
}

/// Runs the blocks that need this program.
fn run(needs: &str) {
    let page = fs::read_to_string(workspace().join("man/embtune-scale.7")).unwrap();
    let blocks: Vec<Block> = blocks(&page).into_iter().filter(|block| block.needs == needs).collect();
    assert!(!blocks.is_empty(), "embtune-scale(7) has no block {needs}");
    for block in blocks {
        let ran = ran(&block);
        assert_eq!(ran.code, 0, "embtune-scale.7:{}\n{ran}", block.line);
        assert!(ran.listing.contains(&block.leaves), "embtune-scale.7:{}: no {}\n{ran}", block.line, block.leaves);
    }
}

fn ran(block: &Block) -> Ran {
    let folder = Folder::with_corpus("tiny-bert");
    folder.run("docs2queries -q --generator extractive -n 2 corpus.jsonl -o pairs.jsonl").done();
    folder.run("pairs2shards -q --model BASE pairs.jsonl -o train.safetensors").done();
    fs::create_dir(folder.path("bin")).unwrap();
    for (name, script) in [("sbatch", SBATCH), ("srun", SRUN), ("hostname", HOSTNAME)] {
        let path = folder.path(&format!("bin/{name}"));
        fs::write(&path, script).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let script = block.script.replace("29500", &port.to_string());
    let tools = [".deps/spark/bin", ".deps/parity/bin"].map(|tools| workspace().join(tools).display().to_string());
    let spark = if block.needs == "spark-submit" { spark_environment(&folder) } else { String::new() };
    let tools = tools.join(":");
    run_parallel(&folder, &format!("export PATH=$PWD/bin:$PATH:{tools} SLURM_NTASKS=2\n{spark}{script}"))
}

#[test]
fn its_commands_succeed() {
    run("");
}

#[test]
#[ignore = "needs torchrun: make check-torchrun"]
fn its_commands_for_torchrun_succeed() {
    run("torchrun");
}

#[test]
#[ignore = "needs Spark (500 MB) and java: make check-spark"]
fn its_commands_for_spark_succeed() {
    run("spark-submit");
}

#[test]
fn blocks_are_found_with_their_requirements() {
    let page = ".SH A\n.\\\" test: out\n.nf\na \\-\\-b \\e\n  \\(aqc\\(aq\n.fi\n.nf\nnot this\n.fi\n\
                .\\\" test with torchrun: TUNED/x\n.nf\nd\n.fi\n";
    let found: Vec<_> = blocks(page).into_iter().map(|block| (block.line, block.needs, block.leaves)).collect();
    assert_eq!(found, [(4, "".into(), "out".into()), (12, "torchrun".into(), "TUNED/x".into())]);
    assert_eq!(blocks(page)[0].script, "a --b \\\n  'c'\n");
}
