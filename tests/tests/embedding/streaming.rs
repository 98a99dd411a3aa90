//! Stages that work at the same time.

use embtune_tests::{Running, Signal};

use crate::{EMBED, assert_near, embed, record, start};

fn id(line: &str) -> String {
    serde_json::from_str::<serde_json::Value>(line).unwrap()["_id"].as_str().unwrap().to_owned()
}

#[test]
fn a_slow_writer_sees_the_vectors_of_what_it_wrote() {
    let folder = start(6);
    let mut running = folder.run(EMBED).start();
    let mut lines = String::new();
    for number in 0..5 {
        // Each record is followed by half of the next one, which must not delay it.
        let text = record(number) + &record(number + 1);
        let (taken, given) = (if number == 0 { 0 } else { record(number).len() / 2 }, record(number + 1).len() / 2);
        running.feed(&text.as_bytes()[taken..record(number).len() + given]);
        lines += &running.take_lines(1);
    }
    running.feed(&record(5).as_bytes()[record(5).len() / 2..]);
    running.close_stdin();
    lines += &running.end().with_code(0).stdout();
    assert_near(&lines, &embed(&folder, "").stdout());
}

#[test]
fn windows_of_any_size_keep_the_order() {
    let folder = start(1000);
    let expected = embed(&folder, "").stdout();
    let ids: Vec<String> = expected.lines().map(id).collect();
    assert_eq!(ids, (0..1000).map(|number| id(&record(number))).collect::<Vec<_>>());
    let drops = "while IFS= read -r line; do printf '%s\\n' \"$line\"; done < records.jsonl";
    assert_near(&folder.shell(&format!("({drops}) | {EMBED}")).stdout(), &expected);
}

#[test]
fn a_bad_record_ends_the_run_while_its_input_is_open() {
    let folder = start(0);
    let mut running = folder.run(EMBED).start();
    running.feed(record(0).as_bytes());
    running.take_lines(1);
    running.feed(format!("{}nonsense\n", record(1)).as_bytes());
    let ran = running.end().with_code(2);
    assert_eq!(ran.stderr().matches("<stdin>:3: not JSON").count(), 1, "{ran}");
}

#[test]
fn a_closed_stdout_ends_the_run_while_its_input_is_open() {
    let folder = start(0);
    for form in ["jsonl", "npy"] {
        let mut running = folder.run(&format!("{EMBED} -q --format {form}")).to_closed_pipe().start();
        running.feed(record(0).as_bytes());
        if form == "npy" {
            running.close_stdin(); // a binary output is written at the end
        }
        let ran = running.end().with_code(0);
        assert_eq!(ran.stderr(), "", "{ran}");
    }
}

#[test]
fn a_full_disk_ends_the_run_while_its_input_is_open() {
    let folder = start(0);
    let mut running = folder.run(EMBED).to_full_disk().start();
    running.feed(record(0).as_bytes());
    let _ = running.end().with_code(2).saying("embed: <stdout>: No space left");
}

#[test]
fn a_signal_leaves_whole_lines() {
    let folder = start(0);
    let mut running: Running = folder.run(EMBED).start();
    running.feed((0..3000).map(record).collect::<String>().as_bytes());
    let first = running.take_lines(1);
    running.signal(Signal::INT);
    let ran = running.end().with_code(130);
    let lines = first + &ran.stdout();
    assert!(lines.ends_with('\n'), "{ran}");
    let ids: Vec<String> = lines.lines().map(id).collect();
    assert_eq!(ids, (0..ids.len()).map(|number| id(&record(number))).collect::<Vec<_>>());
    assert_eq!(ran.stderr(), "embed: finishing the window; press again to stop now\n", "{ran}");
}

#[test]
fn the_slowest_stage_is_named() {
    let folder = start(200);
    let ran = embed(&folder, "-v").done();
    let line = ran.stderr().lines().find(|line| line.contains("in parallel")).unwrap_or_default().to_owned();
    let (stages, slowest) = line.split_once("the slowest stage is ").unwrap_or_else(|| panic!("{ran}"));
    for stage in ["read ", "tokenise ", "infer ", "write "] {
        assert!(stages.contains(stage), "{line}");
    }
    assert_eq!(slowest, "infer", "{line}");
}
