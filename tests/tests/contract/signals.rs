//! SIGINT, SIGTERM and SIGHUP: the first asks a filter to end, a second one ends it at once. Other signals change
//! nothing.

use embtune_tests::{Folder, Running, Signal, UnreadPipe};

use crate::filters::{DOCUMENTS, Filter, Input, PAIRS, reading_anything, workbench};

/// More than a pipe holds: when it has been read, the program is past its start and handles signals.
const MORE_THAN_A_PIPE: usize = 1 << 20;

const ENDING: [(Signal, i32); 3] = [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)];
/// Signals that schedulers and terminals send.
const OTHERS: [Signal; 4] = [Signal::USR1, Signal::WINCH, Signal::CONT, Signal::USR2];

/// The beginning of an input, more than a pipe holds.
fn beginning(filter: &Filter) -> Vec<u8> {
    let mut input = vec![b'\n'; MORE_THAN_A_PIPE];
    if filter.input == Input::Shard {
        input[8] = b'{'; // where the header of safetensors begins
    }
    input
}

/// The running filter, waiting for more input.
fn waiting(filter: &Filter, folder: &Folder, flags: &str) -> Running {
    let mut running = filter.empty(folder, &format!("{} {flags}", filter.output)).start();
    running.feed(&beginning(filter));
    running
}

#[test]
fn a_signal_ends_a_filter_that_waits_for_input() {
    let folder = workbench();
    let before = folder.listing();
    for filter in reading_anything() {
        for (signal, code) in ENDING {
            let running = waiting(&filter, &folder, "-q");
            running.signal(signal);
            let ran = running.end().with_code(code);
            assert_eq!(ran.listing, before, "leftovers\n{ran}");
            assert_eq!(ran.stderr(), "", "-q\n{ran}");
        }
    }
}

#[test]
fn a_message_says_what_is_being_finished() {
    let folder = workbench();
    for filter in reading_anything() {
        let unit = match filter.name {
            "mnrl-train" => "step",
            "docs2queries" => "documents in flight",
            "embed" => "window",
            "pairs2shards" => "batch",
            _ => "block",
        };
        let again =
            |signal| if signal == Signal::INT { "press again to stop now" } else { "a second signal stops now" };
        for (signal, code) in ENDING {
            let running = waiting(&filter, &folder, "");
            running.signal(signal);
            let ran = running.end().with_code(code);
            let message = ran.stderr();
            let expected = format!("{}: finishing the {unit}; {}\n", filter.name, again(signal));
            assert_eq!(message.matches(&expected).count(), 1, "{ran}");
        }
        let running = waiting(&filter, &folder, "--log-format json");
        running.signal(Signal::INT);
        let message = running.end().with_code(130).stderr();
        let expected = format!(r#""level":"notice","prog":"{}","msg":"finishing the {unit}; press again"#, filter.name);
        assert!(message.contains(&expected), "{message}");
    }
}

#[test]
fn no_thread_has_a_signal_delivered_to_it() {
    let folder = workbench();
    for filter in reading_anything() {
        let running = waiting(&filter, &folder, "");
        // Rust's runtime handles these two to report a stack overflow; glibc reserves the third one (see nptl(7)).
        let others = [Signal::SEGV, Signal::BUS].map(bit).iter().sum::<u64>() | 1 << (33 - 1);
        assert_eq!(running.signals("SigCgt") & !others, 0, "{}: a handler", filter.name);
        let taken = ENDING.map(|(signal, _)| signal).into_iter().chain(OTHERS).map(bit).sum::<u64>();
        // From a terminal it can be stopped and quit like any program.
        let left = [Signal::TSTP, Signal::QUIT].map(bit).iter().sum::<u64>();
        // Linux shows a signal that a thread waits for as not blocked. On a busy machine the thread may not have begun
        // to wait yet.
        let waits = |(name, blocked): &(String, u64)| name == "signals" && blocked & taken == 0;
        let threads = loop {
            let threads = running.threads("SigBlk");
            if threads.iter().any(waits) {
                break threads;
            }
            assert!(running.is_alive(), "{}", filter.name);
            std::thread::yield_now();
        };
        let others: Vec<_> = threads.into_iter().filter(|thread| !waits(thread)).collect();
        assert!(!others.is_empty());
        for (name, blocked) in others {
            assert_eq!((blocked & taken, blocked & left), (taken, 0), "{}: thread {name}", filter.name);
        }
        running.signal(Signal::INT);
        let _ = running.end().with_code(130);
    }
}

fn bit(signal: Signal) -> u64 {
    1 << (signal.as_raw() - 1)
}

#[test]
fn a_storm_of_signals_changes_nothing() {
    let folder = workbench();
    for filter in reading_anything() {
        let input = match filter.input {
            Input::Documents => DOCUMENTS.as_bytes().to_vec(),
            Input::Pairs => PAIRS.as_bytes().to_vec(),
            Input::Judgments => crate::filters::JUDGMENTS.as_bytes().to_vec(),
            Input::Shard => folder.bytes("train.safetensors"),
            Input::Nothing => continue,
        };
        let quiet = filter.empty(&folder, "").stdin(input.clone()).done();
        folder.remove("TUNED");
        let mut running = filter.empty(&folder, "").start();
        let (first, rest) = input.split_at(input.len() / 2);
        running.feed(first);
        running.wait_until_it_reads();
        running.storm(&OTHERS, 1000);
        running.feed(rest);
        running.close_stdin();
        let ran = running.end().with_code(0);
        if filter.name != "mnrl-train" {
            assert!(ran.stdout == quiet.stdout, "{ran}\n{quiet}");
        }
        folder.remove("TUNED");
    }
}

#[test]
fn a_storm_of_signals_changes_no_vector() {
    let folder = workbench();
    // Several windows, which are computed while signals arrive.
    let documents: String =
        (0..6000).map(|n| format!("{{\"_id\":\"d{n}\",\"text\":\"Sand of river {n}, sieved twice.\"}}\n")).collect();
    let line = "embed --device cpu --threads 2 --model BASE --role document -q --format";
    for format in ["jsonl", "npy"] {
        let line = format!("{line} {format} -o");
        folder.run(&format!("{line} quiet")).stdin(documents.clone()).done();
        let mut running = folder.run(&format!("{line} stormy")).start();
        running.feed(b"\n");
        running.wait_until_it_reads();
        for part in documents.as_bytes().chunks(documents.len() / 100) {
            running.feed(part);
            running.storm(&OTHERS, 10);
        }
        running.close_stdin();
        let _ = running.end().with_code(0);
        assert!(folder.bytes("quiet") == folder.bytes("stormy"), "{format}");
    }
}

#[test]
fn a_signal_ends_a_training_between_two_steps() {
    let folder = workbench();
    let before = folder.listing();
    let endless = "mnrl-train --device cpu --model BASE --out TUNED --threads 1 --epochs 1000000 train.safetensors -q";
    let mut running = folder.run(endless).start();
    running.wait_for_output();
    running.signal(Signal::INT);
    let ran = running.end().with_code(130);
    let (checkpoints, others): (Vec<_>, Vec<_>) =
        ran.listing.iter().cloned().partition(|name| name.starts_with("TUNED.checkpoints/"));
    assert_eq!(others, before, "only a checkpoint is left\n{ran}");
    assert_eq!(checkpoints.len(), 2, "the folder and one file\n{ran}");
}

/// A filter that cannot finish its batch, because the output is more than a pipe holds and nobody reads it.
fn stuck(folder: &Folder, line: &str, input: &str) -> (Running, UnreadPipe) {
    let (run, pipe) = folder.run(&format!("{line} -q")).to_unread_pipe();
    let mut running = run.start();
    running.feed(input.as_bytes());
    running.close_stdin();
    pipe.wait_until_full();
    running.wait_until_it_is_blocked();
    (running, pipe)
}

#[test]
fn a_second_signal_ends_at_once_whatever_the_first_was() {
    let folder = workbench();
    let end = |line: &str, input: &str, first, (second, code)| {
        let (running, _pipe) = stuck(&folder, line, input);
        running.signal(first);
        assert!(running.is_alive(), "the first signal lets it finish");
        running.signal(second);
        let _ = running.end().with_code(code);
    };
    let documents = DOCUMENTS.repeat(1365);
    for (first, _) in ENDING {
        for second in ENDING.into_iter().filter(|second| (first, second.0) != (Signal::HUP, Signal::HUP)) {
            end("embed --device cpu --model BASE --role document", &documents, first, second);
        }
    }
    let train = "mnrl-train --device cpu --model BASE --out TUNED --threads 1 --epochs 1000000 train.safetensors";
    end(train, "", Signal::INT, (Signal::TERM, 143));
    end(train, "", Signal::TERM, (Signal::INT, 130));
}

/// When a terminal closes, both the shell and the kernel send SIGHUP to the jobs.
#[test]
fn a_terminal_that_closes_is_one_request_however_often_it_is_told() {
    let folder = workbench();
    let (running, _pipe) = stuck(&folder, "embed --device cpu --model BASE --role document", &DOCUMENTS.repeat(1365));
    for _ in 0..3 {
        running.signal(Signal::HUP);
        assert!(running.is_alive());
    }
    running.signal(Signal::INT);
    let _ = running.end().with_code(130);
}

/// As with `nohup` and in a script's background jobs.
#[test]
fn signals_that_are_ignored_from_the_start_stay_ignored() {
    let folder = workbench();
    for filter in reading_anything() {
        let mut running = folder.run(&format!("env --ignore-signal=INT --ignore-signal=HUP {}", filter.line)).start();
        running.feed(&beginning(&filter));
        for _ in 0..3 {
            running.signal(Signal::INT);
            running.signal(Signal::HUP);
        }
        assert!(running.is_alive());
        running.signal(Signal::TERM);
        let _ = running.end().with_code(143);
    }
}
