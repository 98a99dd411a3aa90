//! SIGINT and SIGTERM: the first asks a filter to end, the second ends it at once.

use embtune_tests::Signal;

use crate::filters::{ALL, DOCUMENTS, Input, workbench};

/// More than a pipe holds: once it is taken, the program reads, and its handlers stand.
const MORE_THAN_A_PIPE: usize = 1 << 20;

#[test]
fn a_signal_ends_a_filter_that_waits_for_input() {
    let folder = workbench();
    let before = folder.listing();
    for filter in ALL.into_iter().filter(|filter| filter.input != Input::Nothing) {
        for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
            let mut running = filter.empty(&folder, filter.output).start();
            running.feed(&[b'\n'; MORE_THAN_A_PIPE]);
            running.signal(signal);
            let ran = running.end().with_code(code);
            assert_eq!(ran.listing, before, "nothing is left behind\n{ran}");
            assert_eq!(ran.stderr(), "", "who sends a signal needs no message\n{ran}");
        }
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
    assert_eq!(others, before, "nothing is left behind but a checkpoint\n{ran}");
    assert_eq!(checkpoints.len(), 2, "the folder and one file\n{ran}");
}

#[test]
fn a_second_signal_ends_at_once() {
    let folder = workbench();
    // embed ends between two windows, and cannot finish the one in hand: its vectors take more than the pipe holds, and
    // nobody reads them.
    let (run, pipe) = folder.run("embed --device cpu --model BASE --role document -q").to_unread_pipe();
    let mut running = run.start();
    running.feed(DOCUMENTS.repeat(1365).as_bytes());
    running.close_stdin();
    pipe.wait_until_full();
    running.signal(Signal::INT);
    assert!(running.is_alive(), "the first signal lets the window finish");
    running.signal(Signal::INT);
    let _ = running.end().with_code(130);
}
