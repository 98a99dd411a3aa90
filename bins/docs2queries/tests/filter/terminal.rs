//! What a user at a terminal sees.

use std::fs::File;
use std::io::Read as _;
use std::thread;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::server::{Server, ok};
use crate::support::{client, corpus, run, scratch};

/// Everything that a command writes to a terminal of 160 columns.
fn on_a_terminal(mut command: std::process::Command) -> String {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    tcsetwinsize(&terminal, Winsize { ws_row: 40, ws_col: 160, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let inner = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    let child = command.env("TERM", "xterm").stderr(inner).spawn();
    // The command holds the other end of the terminal, too.
    drop(command);
    let mut seen = Vec::new();
    let mut terminal = File::from(terminal);
    let mut bytes = [0; 4096];
    // The last end that is closed is an error here, not an end.
    while let Ok(read @ 1..) = terminal.read(&mut bytes) {
        seen.extend_from_slice(&bytes[..read]);
    }
    assert!(child.unwrap().wait().unwrap().success());
    String::from_utf8(seen).unwrap()
}

#[test]
fn documents_cost_and_time_left_are_shown() {
    let (directory, journal) = scratch("journal");
    let (documents, pairs) = (directory.path().join("corpus.jsonl"), directory.path().join("pairs.jsonl"));
    let server = Server::start(|request| {
        thread::sleep(std::time::Duration::from_millis(60));
        ok(request)
    });
    let [journal, documents, pairs] = [&journal, &documents, &pairs].map(|path| path.to_str().unwrap());
    let args = ["--journal", journal, "--price-in", "1", "--price-out", "2", "-n", "2", "--drop", "none"];
    run(&mut client(&server, &args), corpus(20));
    std::fs::write(documents, corpus(100)).unwrap();
    let mut command = client(&server, &[&args[..], &["--concurrency", "2", documents, "-o", pairs]].concat());
    command.stdin(std::process::Stdio::null());
    let seen = on_a_terminal(command);
    let lines: Vec<&str> = seen.split(['\r', '\n']).collect();
    let line = lines.iter().find(|line| line.contains("in the end")).unwrap_or_else(|| panic!("{lines:#?}"));
    assert!(line.contains("/100 documents, ") && line.contains("/s, ") && line.contains(" s left "), "{line}");
    // Eighty are asked about, at $0.00014 each; what is in flight counts when it is back.
    let end: f64 = line.split("about $").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap();
    assert!((0.008..0.1).contains(&end), "{line}");
    // In the terminal's own colour, whatever its background is.
    assert!(!seen.contains("\u{1b}[38;"), "{seen:?}");
    assert!(seen.ends_with("cost: $0.0112\r\n"), "{seen:?}");
}
