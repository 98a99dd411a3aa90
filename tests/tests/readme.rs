//! The commands of README.md work. A block of commands that can run anywhere is preceded by a mark:
//!
//! ````text
//! <!-- test -->
//! ```sh
//! docs2queries --generator extractive corpus.jsonl -o pairs.jsonl
//! ```
//! ````
//!
//! Each block is run in a new folder with a small model `BASE` and a `corpus.jsonl`.

use std::fs;

use embtune_tests::{Folder, workspace};

const MARK: &str = "<!-- test -->\n```sh\n";

/// The marked blocks, each with the number of its first line.
fn blocks(page: &str) -> Vec<(usize, &str)> {
    let starts = page.match_indices(MARK).map(|(at, mark)| at + mark.len());
    let block = |start: usize| {
        let line = 1 + page[..start].lines().count();
        (line, page[start..].split("\n```").next().unwrap_or_default())
    };
    starts.map(block).collect()
}

#[test]
fn every_marked_command_succeeds() {
    let path = workspace().join("README.md");
    let page = fs::read_to_string(path).expect("README.md: its marked commands are what this test runs");
    let blocks = blocks(&page);
    assert!(!blocks.is_empty(), "README.md has no block of commands after {MARK:?}");
    assert_eq!(blocks.len(), page.matches("<!-- test -->").count(), "a mark must be followed by ```sh");
    for (line, script) in blocks {
        let folder = Folder::with_corpus("tiny-bert");
        let ran = folder.shell(script).ran();
        assert_eq!(ran.code, 0, "README.md:{line}\n{ran}");
    }
}

#[test]
fn blocks_are_found_with_their_lines() {
    let page = "a\n<!-- test -->\n```sh\none\ntwo\n```\n```sh\nnot this\n```\n<!-- test -->\n```sh\nthree\n```\n";
    assert_eq!(blocks(page), [(4, "one\ntwo"), (12, "three")]);
}
