//! Exit codes, outputs and messages that every filter owes.

use std::process::Stdio;

use crate::support::{Folder, text};

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("qrels", "q1\td1\t1\n");
    folder.write("run", "q1 Q0 d1 1 1.0 t\n");
    folder
}

#[test]
fn a_full_disk_is_an_error() {
    let folder = folder();
    let full = || Stdio::from(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let output = folder.command("ir-eval -q --qrels qrels s=run").stdout(full()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stderr().starts_with("ir-eval: <stdout>: No space left"), "{}", output.stderr());
    for flag in ["-o", "--per-query", "--run"] {
        let message = folder.run(&format!("ir-eval -q --qrels qrels s=run {flag} /dev/full")).refusal();
        assert!(message.starts_with("ir-eval: /dev/full: No space left"), "{flag}: {message}");
    }
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let folder = folder();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = folder.command("ir-eval -q --qrels qrels s=run").stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), output.stderr()), (Some(0), String::new()));
}

#[test]
fn an_output_is_whole_or_not_there() {
    let folder = folder();
    folder.write("bad", "q1 Q0 d1 1 1.0 t\nq1\n");
    folder.run("ir-eval -q --qrels qrels s=bad -o report --per-query values --run out").refusal();
    for name in ["report", "values", "out"] {
        assert!(!folder.path(name).exists(), "{name}");
    }
}

#[test]
fn judgments_may_come_from_stdin() {
    let folder = folder();
    let qrels = std::fs::File::open(folder.path("qrels")).unwrap();
    let output =
        folder.command("ir-eval -q --qrels - s=run --metrics mrr@1 --format tsv").stdin(qrels).output().unwrap();
    assert!(output.stdout().ends_with("s\tmrr@1\t1\t\t\t\t\n"));
}

#[test]
fn the_man_page_needs_no_operands() {
    let page = Folder::new().run("ir-eval --generate man").stdout();
    for section in ["FORMULAS", "COMPARISON", "MEMORY", "EXAMPLES", "EXIT STATUS"] {
        assert!(page.contains(section), "{section}");
    }
}

#[test]
fn messages_can_be_json() {
    let output = folder().run("ir-eval --log-format json --qrels qrels s=run").done();
    let line: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!((&line["level"], &line["prog"]), (&"notice".into(), &"ir-eval".into()));
}
