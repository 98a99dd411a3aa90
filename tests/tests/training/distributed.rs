//! Several processes train the model that one process trains, started by the test or by torchrun.

use std::fs;
use std::net::TcpListener;

use embtune_tests::{Folder, Ran, Running, Signal, workspace};
use rustix::process::{Pid, kill_process, test_kill_process};
use serde_json::Value;

use crate::scored;
use crate::weights::tensors_of;
use crate::{checkpoints, losses, weights};

/// A training on the pairs of `scored`, with eight batches an epoch and dropout.
pub(crate) const TRAIN: &str =
    "mnrl-train --device cpu --threads 1 --model BASE --batch-size 16 --learning-rate 1e-3 --warmup-steps 4";

/// Starts the training as `size` processes, in the order of their ranks.
pub(crate) fn start(folder: &Folder, size: usize, out: &str, flags: &str) -> Vec<Running> {
    let port = free_port();
    (0..size).map(|rank| start_one(folder, rank, size, port, &format!("--out {out} {flags}"))).collect()
}

/// Starts one process of the training.
pub(crate) fn start_one(folder: &Folder, rank: usize, size: usize, port: u16, flags: &str) -> Running {
    let place = format!("RANK={rank} WORLD_SIZE={size} MASTER_ADDR=127.0.0.1 MASTER_PORT={port}");
    folder.run(&format!("env {place} {TRAIN} {flags} train.safetensors")).start()
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Trains with `size` processes to the end; returns the result of the first one. The others must have written nothing.
fn train(folder: &Folder, size: usize, out: &str, flags: &str) -> Ran {
    let mut ran = start(folder, size, out, flags).into_iter().map(|process| process.end().with_code(0));
    let first = ran.next().unwrap();
    for other in ran {
        assert!(other.stdout.is_empty() && other.stderr().is_empty(), "only the first process writes\n{other}");
    }
    first
}

/// The norm of the difference between the wanted tensors of two files, relative to the norm of the second's.
fn distance(folder: &Folder, file: &str, other: &str, wanted: impl Fn(&str) -> bool) -> f64 {
    let (mut difference, mut length) = (0.0, 0.0);
    let pick = |file| tensors_of(folder, file).into_iter().filter(|(name, _)| wanted(name)).collect::<Vec<_>>();
    let (tensors, others) = (pick(file), pick(other));
    assert_eq!(tensors.len(), others.len());
    for ((name, a), (other, b)) in tensors.into_iter().zip(others) {
        assert_eq!((&name, a.len()), (&other, b.len()));
        for (a, b) in a.iter().zip(&b) {
            difference += f64::from(a - b).powi(2);
            length += f64::from(*b).powi(2);
        }
    }
    assert!(length > 0.0, "{file}: nothing to compare");
    (difference / length).sqrt()
}

/// The same for two models. The gradient of a key's bias is a rounding error, which AdamW turns into steps of full
/// length, so it is left out.
pub(crate) fn distance_of_models(folder: &Folder, model: &str, other: &str) -> f64 {
    let file = |model| format!("{model}/model.safetensors");
    distance(folder, &file(model), &file(other), |name| !name.ends_with("key.bias"))
}

/// A number from every step in the log.
fn figures(log: &str, name: &str) -> Vec<f64> {
    let records = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let figures: Vec<_> = records.filter_map(|record| record[name].as_f64()).collect();
    assert!(!figures.is_empty(), "no step has {name}");
    figures
}

#[test]
fn the_gradient_of_several_processes_is_that_of_one() {
    let folder = scored();
    for flags in [
        "",
        // GradCache with small micro-batches; several dimensions and directions; several batches a step.
        "--memory 1K --batch-tokens 64 --matryoshka 32,16 --directions q2d,d2q,q2q,d2d --gradient-accumulation 2",
        "--loss cosent --no-duplicates --dropout 0.3 --lora r=4,targets=query,value,dense",
    ] {
        let logs = [1, 2, 4].map(|size| {
            let out = format!("SIZE-{size}");
            let flags = format!("{flags} --checkpoint-every 1 --keep 1000 --epochs 100");
            let mut processes = start(&folder, size, &out, &flags);
            let log = processes[0].take_lines(6);
            processes.iter().for_each(|process| process.signal(Signal::INT));
            for process in processes {
                let _ = process.end().with_code(130);
            }
            log
        });
        assert!(figures(&logs[0], "masked").iter().sum::<f64>() > 0.0 || flags.contains("cosent"), "nothing is masked");
        for (size, log) in [2, 4].into_iter().zip(&logs[1..]) {
            let what = format!("{size} processes, {flags}");
            for name in ["loss", "grad_norm"] {
                for (a, b) in figures(&logs[0], name).iter().zip(figures(log, name)) {
                    assert!((a - b).abs() <= 1e-5 * a.abs(), "{what}: {name} {b} for {a}");
                }
            }
            for name in ["tokens", "masked", "learning_rate", "epoch"] {
                assert_eq!(figures(log, name), figures(&logs[0], name), "{what}: {name}");
            }
            // The first checkpoint's moments are 1 - β times the first gradient.
            let file = |size| format!("SIZE-{size}.checkpoints/step-00000001.safetensors");
            let gradient = distance(&folder, &file(size), &file(1), |name| name == "moment1");
            assert!(gradient < 1e-5, "{what}: gradients differ by {gradient:e}");
        }
        for size in [1, 2, 4] {
            std::fs::remove_dir_all(folder.path(&format!("SIZE-{size}.checkpoints"))).unwrap();
        }
    }
}

#[test]
fn the_weights_of_several_processes_are_those_of_one() {
    let folder = scored();
    for flags in
        ["--memory 1K --batch-tokens 64 --ema 0.9", "--loss symmetric --gradient-accumulation 2 --weight-decay 0.1"]
    {
        let whole = train(&folder, 1, "ONE", &format!("--epochs 3 --overwrite {flags}")).stdout();
        for size in [2, 4] {
            let log = train(&folder, size, "SEVERAL", &format!("--epochs 3 --overwrite {flags}")).stdout();
            assert_eq!(figures(&log, "step"), figures(&whole, "step"));
            let trained = distance_of_models(&folder, "SEVERAL", "ONE");
            assert!(trained < 1e-5, "{size} processes, {flags}: weights differ by {trained:e}");
        }
    }
}

#[test]
fn a_training_can_be_resumed_with_another_number_of_processes() {
    let folder = scored();
    train(&folder, 1, "WHOLE", "--epochs 5");
    let mut processes = start(&folder, 2, "TUNED", "--epochs 5 --checkpoint-every 1000");
    let lines = processes[0].take_lines(8);
    processes.iter().for_each(|process| process.signal(Signal::INT));
    let mut ended: Vec<_> = processes.into_iter().map(|process| process.end().with_code(130)).collect();
    let first = ended.remove(0);
    let steps = lines.lines().count() + first.stdout().lines().count();
    assert_eq!(checkpoints(&folder, "TUNED"), [format!("step-{steps:08}.safetensors")], "{first}");
    let resumed = train(&folder, 3, "TUNED", "--epochs 5 --checkpoint-every 1000 --resume");
    assert_eq!(losses(&resumed.stdout())[0].0, steps as u64 + 1);
    let trained = distance_of_models(&folder, "TUNED", "WHOLE");
    assert!(trained < 1e-5, "weights differ by {trained:e}");
}

#[test]
fn the_first_process_measures_for_all() {
    let folder = crate::start();
    let dev = "--dev-queries heldout/queries.jsonl --dev-corpus corpus.jsonl --dev-qrels heldout/qrels.tsv";
    let ran = train(&folder, 2, "TUNED", &format!("{dev} --eval-every 4 --patience 2"));
    let alone = train(&folder, 1, "ALONE", &format!("{dev} --eval-every 4 --patience 2"));
    assert_eq!(figures(&ran.stdout(), "ndcg@10"), figures(&alone.stdout(), "ndcg@10"), "{ran}");
    assert_eq!(figures(&ran.stdout(), "step"), figures(&alone.stdout(), "step"), "{ran}");
}

#[test]
fn the_plan_of_each_process_needs_no_other() {
    let folder = scored();
    let plan = |place: &str| {
        folder
            .run(&format!("env {place} {TRAIN} --out TUNED --gradient-accumulation 2 --plan train.safetensors"))
            .done()
            .stdout()
    };
    let (alone, first) = (plan("WORLD_SIZE=1"), plan("WORLD_SIZE=2"));
    assert!(!alone.contains("processes"), "{alone}");
    assert_eq!(first.lines().nth(1), alone.lines().nth(1), "the steps");
    assert_eq!(plan("WORLD_SIZE=2 RANK=1 MASTER_ADDR=127.0.0.1 MASTER_PORT=1"), "", "the first says it for all");
    // With whole batches, the planned bytes are sent.
    let planned = |name: &str| {
        let part = first.split("sent in a step, by each of 2 processes").nth(1).unwrap();
        let line = part.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().replace(',', "").parse::<f64>().unwrap()
    };
    let log = train(&folder, 2, "TUNED", "--epochs 1 --gradient-accumulation 2").stdout();
    let most = figures(&log, "sent_bytes").into_iter().fold(0.0, f64::max);
    assert!((most / 1024.0 - planned("gradients") - planned("vectors")).abs() <= 2.0, "{most}\n{first}");
}

const TORCHRUN_FLAGS: &str = "--epochs 5 --checkpoint-every 3 --resume";

fn torchrun(folder: &Folder, restarts: u32, out: &str) -> Running {
    let torchrun = workspace().join(".deps/parity/bin/torchrun");
    assert!(torchrun.is_file(), "{}: missing\nhint: `make check-torchrun` installs it", torchrun.display());
    let launch = format!("--standalone --no-python --nproc-per-node 2 --max-restarts {restarts}");
    folder
        .run(&format!("{} {launch} {TRAIN} --out {out} {TORCHRUN_FLAGS} train.safetensors", torchrun.display()))
        .start()
}

/// The process with this rank in the training of `folder`.
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
fn torchrun_trains_what_one_process_trains() {
    let folder = scored();
    folder.run(&format!("{TRAIN} --out ONE {TORCHRUN_FLAGS} train.safetensors")).done();
    let ran = torchrun(&folder, 0, "SEVERAL").end().with_code(0);
    assert_eq!(losses(&ran.stdout()).len(), 40, "only the first process writes\n{ran}");
    let trained = distance_of_models(&folder, "SEVERAL", "ONE");
    assert!(trained < 1e-5, "weights differ by {trained:e}");
}

#[test]
#[ignore = "needs torchrun: make check-torchrun"]
fn torchrun_resumes_when_a_process_is_killed() {
    let folder = scored();
    let whole = losses(&torchrun(&folder, 0, "WHOLE").end().with_code(0).stdout());
    let mut running = torchrun(&folder, 2, "TUNED");
    let mut log = String::new();
    // First the second process is killed, and when all have resumed, the first.
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
