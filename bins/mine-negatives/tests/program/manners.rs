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
    assert_eq!(text(&output.stdout), folder.stdout(&format!("{FILES} pairs.jsonl")));
    assert_eq!(text(&output.stdout).lines().count(), 2);
}

#[test]
fn nothing_in_nothing_out() {
    let folder = plane();
    assert_eq!(folder.stdout(FILES), "");
    folder.write("empty", "");
    folder.stdout(&format!("{FILES} empty -o out"));
    assert_eq!(folder.read("out"), "");
}

#[test]
fn a_full_disk_is_an_error() {
    let folder = plane();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = folder.command(&format!("{FILES} pairs.jsonl")).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).starts_with("mine-negatives: <stdout>: No space left"), "{}", text(&output.stderr));
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let folder = plane();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = folder.command(&format!("{FILES} pairs.jsonl")).stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}

#[test]
fn an_output_is_whole_or_not_there() {
    let folder = plane();
    folder.write("bad", &(pair("q0", "d0") + "{\n"));
    folder.refusal(&format!("{FILES} -o out bad"));
    assert!(!folder.path("out").exists());
}

#[test]
fn the_man_page_needs_no_flags() {
    let page = Folder::new().stdout("--generate man");
    for section in ["VECTORS", "RULES", "FIELDS", "MEMORY", "EXAMPLES", "EXIT STATUS"] {
        assert!(page.contains(section), "{section}");
    }
}
