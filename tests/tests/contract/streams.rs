//! Outputs that are written directly: stdout by other names, pipes, devices and terminals; and closed descriptors.

use std::fs;
use std::os::unix::fs::FileTypeExt as _;

use crate::filters::{ALL, Filter, Input, reading_anything, with_output, workbench};

/// The filters that have -o, with an input in a file of the workbench.
fn writing() -> impl Iterator<Item = (Filter, String)> {
    with_output().into_iter().map(|filter| {
        let input = match filter.input {
            Input::Documents => "corpus.jsonl",
            Input::Pairs => "pairs.jsonl",
            _ => "qrels.tsv",
        };
        // The output is small enough to be compared as text.
        (filter, format!("{} -q < {input}", filter.line))
    })
}

#[test]
fn stdout_by_another_name_is_stdout() {
    let folder = workbench();
    folder.write("pairs.jsonl", crate::filters::PAIRS);
    folder.write("qrels.tsv", crate::filters::JUDGMENTS);
    for (filter, line) in writing() {
        let expected = [b"before\n", &folder.shell(&line).done().stdout[..], b"after\n"].concat();
        for name in ["/dev/stdout", "/proc/self/fd/1", "/dev/fd/1", "-"] {
            let script = format!("{{ echo before; {line} -o {name}; echo after; }}");
            for (redirection, begin) in [("> f", &b""[..]), (">> f", b"old\n"), ("| cat > f", b"")] {
                folder.write("f", begin);
                folder.shell(&format!("{script} {redirection}")).done();
                let found = folder.bytes("f");
                assert!(found == [begin, &expected].concat(), "{} -o {name} {redirection}", filter.name);
            }
        }
    }
    assert!(fs::symlink_metadata("/dev/stdout").unwrap().is_symlink(), "it is still there");
}

#[test]
fn other_descriptors_are_streams_too() {
    let folder = workbench();
    let line = "embed --device cpu --model BASE --role document -q --format jsonl corpus.jsonl";
    let expected = folder.run(line).stdout();
    for (script, file) in [
        (format!("{{ echo a >&3; {line} -o /dev/fd/3; echo b >&3; }} 3> f"), format!("a\n{expected}b\n")),
        (format!("{{ echo a >&2; {line} -o /dev/stderr; echo b >&2; }} 2> f"), format!("a\n{expected}b\n")),
        (format!("echo a > f; {{ {line} -o /proc/self/fd/7; }} 7>> f"), format!("a\n{expected}")),
        // Process substitution: a pipe whose reader is slow.
        (format!("{line} -o >(cat > f; touch done); while [ ! -e done ]; do :; done"), expected.clone()),
        (format!("mkfifo p; cat p > f & {line} -o p; wait"), expected.clone()),
    ] {
        let _ = fs::remove_file(folder.path("f"));
        let ran = folder.shell(&script).done();
        assert_eq!(folder.read("f"), file, "{ran}");
    }
    assert!(fs::metadata(folder.path("p")).unwrap().file_type().is_fifo());
    folder.run(&format!("{line} -o /dev/null")).done();
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    // Binary formats, whose parts are spooled first.
    let line = "embed --device cpu --model BASE --role document -q corpus.jsonl";
    for format in ["safetensors", "npy"] {
        let expected = folder.run(&format!("{line} --format {format}")).done().stdout;
        assert!(folder.run(&format!("{line} --format {format} -o /dev/stdout")).done().stdout == expected);
    }
    let message = folder.run(&format!("{line} --resume -o /dev/stdout")).refusal();
    assert!(message.contains("--resume needs an output file"), "{message}");
    let message = folder.run(&format!("{line} -o /dev/fd/77")).refusal();
    assert!(message.contains("embed: /dev/fd/77: "), "{message}");
}

#[test]
fn a_closed_stdout_is_an_error() {
    let folder = workbench();
    folder.write("pairs.jsonl", crate::filters::PAIRS);
    folder.write("qrels.tsv", crate::filters::JUDGMENTS);
    let before = folder.listing();
    for filter in reading_anything() {
        let input = match filter.input {
            Input::Documents => "corpus.jsonl",
            Input::Pairs => "pairs.jsonl",
            Input::Shard => "train.safetensors",
            _ => "qrels.tsv",
        };
        let ran = folder.shell(&format!("{} < {input} >&-", filter.line)).ran().with_code(2);
        let ran = ran.saying(&format!("{}: <stdout>: is closed", filter.name));
        assert_eq!(ran.listing, before, "{ran}");
        // Nor by another name, or when it is open for reading.
        if !filter.output.is_empty() {
            let ran = folder.shell(&format!("{} -o /dev/stdout < {input} >&-", filter.line)).ran().with_code(2);
            let _ = ran.saying(&format!("{}: /dev/stdout: ", filter.name));
            folder.shell(&format!("{} -o out < {input} >&-", filter.line)).done();
            fs::remove_file(folder.path("out")).unwrap();
        }
        let _ = folder.shell(&format!("{} < {input} 1< {input}", filter.line)).ran().with_code(2).saying("<stdout>: ");
        // Help on a closed stdout is an error, too.
        for flag in ["--help", "--version", "--generate man"] {
            let _ =
                folder.shell(&format!("{} {flag} >&-", filter.name)).ran().with_code(2).saying("<stdout>: is closed");
        }
    }
}

#[test]
fn a_closed_stdin_is_an_error() {
    let folder = workbench();
    for filter in reading_anything() {
        let ran = folder.shell(&format!("{} <&-", filter.line)).ran().with_code(2);
        let ran = ran.saying(&format!("{}: <stdin>: is closed", filter.name));
        assert!(ran.stdout.is_empty(), "{ran}");
    }
    // A filter that does not read stdin does not need it.
    let line = "embed --device cpu --model BASE --role document -q corpus.jsonl";
    let expected = folder.run(line).stdout();
    assert_eq!(folder.shell(&format!("{line} <&-")).stdout(), expected);
    // No other file gets a closed descriptor's number.
    folder.shell(&format!("{line} -o out.jsonl <&- >&- 2>&-")).done();
    assert_eq!(folder.read("out.jsonl"), expected);
}

#[test]
fn stdin_is_one_input() {
    let folder = workbench();
    folder.write("pairs.jsonl", crate::filters::PAIRS);
    for line in [
        "embed --device cpu --model BASE --role document - - < corpus.jsonl",
        "pairs2shards --model BASE -o out.safetensors - - < pairs.jsonl",
        "mine-negatives --device cpu --queries q --corpus c --texts - < corpus.jsonl",
    ] {
        let _ = folder.shell(line).ran().with_code(2).saying("stdin cannot be two inputs");
    }
}

#[test]
fn devices_that_somebody_reads_later_take_everything() {
    let folder = workbench();
    // A small pipe that does not block.
    let line = "embed --device cpu --model BASE --role document -q";
    let documents = crate::filters::DOCUMENTS.repeat(300);
    let expected = folder.run(line).stdin(documents.clone()).stdout();
    let (reader, writer) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    let reading = std::thread::spawn(move || std::io::read_to_string(reader).unwrap());
    folder.run(line).stdin(documents).to(writer).done();
    assert!(reading.join().unwrap() == expected);
}

/// Clears the screen in two ways and reverses the line.
const HOSTILE: &str = "x\u{1b}[2J\u{9b}2J\u{202e}東京";
const SHOWN: &str = "x\\u001b[2J\\u009b2J\\u202e東京";

fn is_harmless(text: &str) -> bool {
    text.chars().all(|c| c == '\n' || !c.is_control() && !('\u{202a}'..='\u{202e}').contains(&c))
}

#[test]
fn names_of_files_are_harmless_in_messages() {
    let folder = workbench();
    let name = format!("{HOSTILE}\nembed: all is well\r.jsonl");
    fs::write(folder.path(&name), "{\n").unwrap();
    for (format, shown) in [("text", "\\r.jsonl:1: "), ("json", "\\\\r.jsonl:1: ")] {
        let line = format!("embed --device cpu --model BASE --log-format {format}");
        let ran = folder.run(&line).arg(&name).ran().with_code(2);
        let message = ran.stderr();
        assert!(is_harmless(&message) && message.contains("東京") && message.contains(shown), "{ran}");
        assert!(message.lines().all(|line| !line.starts_with("embed: all is well")), "{ran}");
    }
    // Arguments that clap rejects.
    for filter in ALL {
        let ran = folder.run(filter.name).arg(format!("--no{HOSTILE}")).ran().with_code(2);
        assert!(is_harmless(&ran.stderr()) && ran.stderr().contains("2J\\u202e東京"), "{ran}");
    }
}

#[test]
fn ids_are_harmless_in_messages() {
    let folder = workbench();
    let record = |text: &str| serde_json::json!({"_id": "d\u{202e}1", "text": text}).to_string() + "\n";
    let twice = record("a") + &record("b");
    let line = "embed --device cpu --model BASE --role document --format safetensors -o out";
    let ran = folder.run(line).stdin(twice).ran().with_code(2);
    assert!(is_harmless(&ran.stderr()) && ran.stderr().contains("d\\u202e1"), "{ran}");
}

#[test]
fn a_report_is_harmless_on_a_terminal_and_exact_in_a_file() {
    let folder = workbench();
    folder.write("qrels", crate::filters::JUDGMENTS);
    let query = |id: &str| serde_json::json!({"_id": id, "text": format!("which sand {HOSTILE}")}).to_string();
    folder.write("queries", ["q1", "q2", "q3"].map(query).join("\n") + "\n");
    folder.write_vectors("worse", "query", &[("q1", &[0.0, 1.0]), ("q2", &[1.0, 0.0]), ("q3", &[1.0, 1.0])]);
    let line = "ir-eval --device cpu --qrels qrels --queries queries --diagnose base=q,c tuned=worse,c";
    let (ran, seen) = folder.run(line).on_terminal();
    assert!(
        is_harmless(&seen.replace("\r\n", "\n")) && seen.contains(SHOWN) && seen.contains("ndcg@10"),
        "{seen}\n{ran}"
    );
    assert!(folder.run(line).stdout().contains(HOSTILE), "a pipe is not a terminal");
    folder.run(&format!("{line} -o report")).done();
    assert!(folder.read("report").contains(HOSTILE));
}

#[test]
fn json_on_a_terminal_is_the_same_json() {
    let folder = workbench();
    let text = format!("River sand is the only {HOSTILE} ballast. It is sieved twice before noon.");
    let record = serde_json::json!({"_id": "d1", "text": text}).to_string() + "\n";
    let line = "embed --device cpu --model BASE --role document";
    let (ran, seen) = folder.run(line).stdin(record.clone()).on_terminal();
    assert!(is_harmless(&seen.replace("\r\n", "\n")), "{seen:?}\n{ran}");
    let seen: serde_json::Value = serde_json::from_str(&seen).unwrap();
    assert_eq!(seen, folder.run(line).stdin(record).json());
    assert_eq!(seen["text"], text);
}
