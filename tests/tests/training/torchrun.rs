//! PyTorch's own launcher starts the processes, and starts them again. It comes with a Python of 3 GB, so these tests
//! run on demand: `make check-torchrun`.

use std::fs;

use embtune_tests::{Folder, Running, workspace};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::distributed::{TRAIN, distance_of_models};
use crate::losses::scored;
use crate::start::{losses, weights};

const FLAGS: &str = "--epochs 5 --checkpoint-every 3 --resume";

fn torchrun(folder: &Folder, restarts: u32, out: &str) -> Running {
    let torchrun = workspace().join(".deps/parity/bin/torchrun");
    assert!(torchrun.is_file(), "{}: missing\nhint: `make check-torchrun` installs it", torchrun.display());
    let launch = format!("--standalone --no-python --nproc-per-node 2 --max-restarts {restarts}");
    folder.run(&format!("{} {launch} {TRAIN} --out {out} {FLAGS} train.safetensors", torchrun.display())).start()
}

/// The process that has a rank in the training of `folder`.
fn process(folder: &Folder, rank: usize) -> Pid {
    let here = folder.path("").canonicalize().unwrap();
    let is_wanted = |pid: i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let variable = format!("RANK={rank}");
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "mnrl-train\n")
            && fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|folder| folder == here)
            && environment.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes())
    };
    let names = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name());
    let mut found = names.filter_map(|name| name.to_str()?.parse().ok()).filter(|pid| is_wanted(*pid));
    Pid::from_raw(found.next().expect("a process of this rank")).unwrap()
}

#[test]
#[ignore = "needs torchrun: make check-torchrun"]
fn it_trains_what_one_process_trains() {
    let folder = scored();
    folder.run(&format!("{TRAIN} --out ONE {FLAGS} train.safetensors")).done();
    let ran = torchrun(&folder, 0, "SEVERAL").end().with_code(0);
    assert_eq!(losses(&ran.stdout()).len(), 40, "only the first process writes\n{ran}");
    let trained = distance_of_models(&folder, "SEVERAL", "ONE");
    assert!(trained < 1e-5, "weights differ by {trained:e}");
}

#[test]
#[ignore = "needs torchrun: make check-torchrun"]
fn it_goes_on_when_a_process_is_killed() {
    let folder = scored();
    let whole = losses(&torchrun(&folder, 0, "WHOLE").end().with_code(0).stdout());
    let mut running = torchrun(&folder, 2, "TUNED");
    let mut log = String::new();
    // The second process, and when all of them have gone on, the first.
    for (rank, lines) in [(1, 8), (0, 10)] {
        log += &running.take_lines(lines);
        let killed = process(&folder, rank);
        kill_process(killed, Signal::KILL).unwrap();
        while test_kill_process(killed).is_ok() {
            std::thread::yield_now();
        }
    }
    let ran = running.end().with_code(0);
    log += &ran.stdout();
    let resumed = losses(&log);
    assert!(resumed.len() > whole.len(), "steps are repeated: from a checkpoint on\n{ran}");
    for record in &resumed {
        assert!(whole.contains(record), "step {} has another loss\n{ran}", record.0);
    }
    let goes_on = resumed.windows(2).filter(|pair| pair[1].0 <= pair[0].0);
    let starts: Vec<_> = goes_on.map(|pair| pair[1].0).collect();
    assert!(starts.len() == 2 && starts.iter().all(|step| *step > 1 && step % 3 == 1), "{starts:?}\n{ran}");
    assert!(weights(&folder, "TUNED") == weights(&folder, "WHOLE"), "other weights\n{ran}");
}
