//! Outputs that are written as they come: stdout by other names, pipes, devices; and descriptors that are closed.

use std::fs;
use std::os::unix::fs::FileTypeExt as _;

use crate::filters::{ALL, Filter, Input, workbench};

/// The filters that have -o, with an input in a file of the workbench.
fn with_output() -> impl Iterator<Item = (Filter, String)> {
    ALL.into_iter().filter(|filter| !filter.output.is_empty()).map(|filter| {
        let input = match filter.input {
            Input::Documents => "corpus.jsonl",
            Input::Pairs => "pairs.jsonl",
            _ => "qrels.tsv",
        };
        // Small enough to be compared as text, with a report where there are vectors.
        (filter, format!("{} -q < {input}", filter.line))
    })
}

#[test]
fn stdout_by_another_name_is_stdout() {
    let folder = workbench();
    folder.write("pairs.jsonl", crate::filters::PAIRS);
    folder.write("qrels.tsv", crate::filters::JUDGMENTS);
    for (filter, line) in with_output() {
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
        // Process substitution: a pipe, whose reader takes its time.
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
    // Binary forms, whose parts are spooled first.
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
    for filter in ALL.into_iter().filter(|filter| filter.input != Input::Nothing) {
        let input = match filter.input {
            Input::Documents => "corpus.jsonl",
            Input::Pairs => "pairs.jsonl",
            Input::Shard => "train.safetensors",
            _ => "qrels.tsv",
        };
        let ran = folder.shell(&format!("{} < {input} >&-", filter.line)).ran().with_code(2);
        let ran = ran.saying(&format!("{}: <stdout>: is closed", filter.name));
        assert_eq!(ran.listing, before, "{ran}");
        // Not even by another name, or when it is open the wrong way.
        if !filter.output.is_empty() {
            let ran = folder.shell(&format!("{} -o /dev/stdout < {input} >&-", filter.line)).ran().with_code(2);
            let _ = ran.saying(&format!("{}: /dev/stdout: ", filter.name));
            folder.shell(&format!("{} -o out < {input} >&-", filter.line)).done();
            fs::remove_file(folder.path("out")).unwrap();
        }
        let _ = folder.shell(&format!("{} < {input} 1< {input}", filter.line)).ran().with_code(2).saying("<stdout>: ");
        // What stands elsewhere is not asked for.
        for flag in ["--help", "--version", "--generate man"] {
            let _ =
                folder.shell(&format!("{} {flag} >&-", filter.name)).ran().with_code(2).saying("<stdout>: is closed");
        }
    }
}

#[test]
fn a_closed_stdin_is_an_error() {
    let folder = workbench();
    for filter in ALL.into_iter().filter(|filter| filter.input != Input::Nothing) {
        let ran = folder.shell(&format!("{} <&-", filter.line)).ran().with_code(2);
        let ran = ran.saying(&format!("{}: <stdin>: is closed", filter.name));
        assert!(ran.stdout.is_empty(), "{ran}");
    }
    // Whoever does not read it does not need it.
    let line = "embed --device cpu --model BASE --role document -q corpus.jsonl";
    let expected = folder.run(line).stdout();
    assert_eq!(folder.shell(&format!("{line} <&-")).stdout(), expected);
    // Nothing takes the place of what is closed.
    folder.shell(&format!("{line} -o out.jsonl <&- >&- 2>&-")).done();
    assert_eq!(folder.read("out.jsonl"), expected);
}

#[test]
fn devices_that_somebody_reads_later_take_everything() {
    let folder = workbench();
    // A pipe that does not wait, and is small.
    let line = "embed --device cpu --model BASE --role document -q";
    let documents = crate::filters::DOCUMENTS.repeat(300);
    let expected = folder.run(line).stdin(documents.clone()).stdout();
    let (reader, writer) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    let reading = std::thread::spawn(move || std::io::read_to_string(reader).unwrap());
    folder.run(line).stdin(documents).to(writer).done();
    assert!(reading.join().unwrap() == expected);
}
