//! Exit codes, inputs and outputs that every filter owes.

use std::io::Write as _;
use std::process::Stdio;

use crate::support::{FILES, Folder, pair, plane, text};

#[test]
fn a_pipe_gives_what_a_file_gives() {
    let folder = plane();
    let pairs = pair("q0", "d0") + &pair("q14", "d3");
    folder.write("pairs.jsonl", &pairs);
    let mut command = folder.command(FILES);
    let mut program = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    program.stdin.take().unwrap().write_all(pairs.as_bytes()).unwrap();
    let output = program.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(output.stdout(), folder.run(&format!("{FILES} pairs.jsonl")).stdout());
    assert_eq!(output.stdout().lines().count(), 2);
}

#[test]
fn nothing_in_nothing_out() {
    let folder = plane();
    assert_eq!(folder.run(FILES).stdout(), "");
    folder.write("empty", "");
    folder.run(&format!("{FILES} empty -o out")).stdout();
    assert_eq!(folder.read("out"), "");
}

#[test]
fn a_full_disk_is_an_error() {
    let folder = plane();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = folder.command(&format!("{FILES} pairs.jsonl")).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stderr().starts_with("mine-negatives: <stdout>: No space left"), "{}", output.stderr());
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let folder = plane();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = folder.command(&format!("{FILES} pairs.jsonl")).stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), output.stderr()), (Some(0), String::new()));
}

#[test]
fn an_output_is_whole_or_not_there() {
    let folder = plane();
    folder.write("bad", &(pair("q0", "d0") + "{\n"));
    folder.run(&format!("{FILES} -o out bad")).refusal();
    assert!(!folder.path("out").exists());
}

#[test]
fn the_man_page_needs_no_flags() {
    let page = Folder::new().run("--generate man").stdout();
    for section in ["VECTORS", "RULES", "FIELDS", "MEMORY", "EXAMPLES", "EXIT STATUS"] {
        assert!(page.contains(section), "{section}");
    }
}
