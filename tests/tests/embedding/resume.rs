//! Runs in parts: `--resume` continues a run that was interrupted, and `--shard` divides one.

use std::thread;

use embtune_tests::{Folder, Signal};

use crate::{EMBED, embed, record, start};

/// Windows of 32, 128, 512 and 828 records.
const RECORDS: usize = 1500;

/// Bytes that are kept for a record with tiny-bert: key, tokens, chunks, two marks, 32 numbers.
const KEPT: usize = 8 + 4 + 4 + 2 + 4 * 32;

fn whole(folder: &Folder, form: &str) -> Vec<u8> {
    embed(folder, &format!("-o whole.{form}")).done();
    folder.bytes(&format!("whole.{form}"))
}

/// Runs until a file gets longer than this many KiB: the system then ends the process in the middle of a write. Returns
/// whether it did.
fn is_killed(folder: &Folder, flags: &str, kib: usize) -> bool {
    let ran = folder
        .shell(&format!("export ORT_DISABLE_TELEMETRY=1; ulimit -c 0 -f {kib}; exec {EMBED} {flags} records.jsonl"))
        .ran();
    assert!([0, 128 + 25].contains(&ran.code), "{ran}");
    ran.code != 0
}

#[test]
fn a_run_that_is_killed_anywhere_can_be_resumed() {
    let folder = start(RECORDS);
    for form in ["safetensors", "jsonl", "npy"] {
        let expected = whole(&folder, form);
        let (mut kib, mut kills) = (0, 0);
        while is_killed(&folder, &format!("--resume -o out.{form}"), kib) {
            assert!(
                !folder.path(&format!("out.{form}")).exists(),
                "{form} at {kib} KiB {:?} {:?}",
                folder.listing(),
                std::fs::metadata(folder.path(&format!("out.{form}")))
            );
            kib += 1 + kib / 3;
            kills += 1;
        }
        assert!(kills > 10, "{form}: {kills}");
        assert!(folder.bytes(&format!("out.{form}")) == expected, "{form}");
        assert!(!folder.path(&format!(".out.{form}.part")).exists());
    }
}

#[test]
fn a_run_that_is_killed_in_its_last_write_computes_nothing_again() {
    let folder = start(RECORDS);
    let expected = whole(&folder, "safetensors");
    let kib = KEPT * RECORDS / 1024 + 2;
    assert!(expected.len() > kib * 1024, "the output is larger than what is kept");
    assert!(is_killed(&folder, "--resume -o out.safetensors", kib));
    let ran = embed(&folder, "--resume -o out.safetensors -v").done();
    let ran = ran.saying("1500 of 1500 texts had been embedded before").saying(" 0 texts, 0 tokens");
    assert!(folder.bytes("out.safetensors") == expected, "{ran}");
}

#[test]
fn a_killed_reader_of_stdin_resumes_with_the_same_data() {
    let folder = start(RECORDS);
    let expected = whole(&folder, "safetensors");
    let line = format!("{EMBED} --resume -o out.safetensors");
    let mut running = folder.run(&line).start();
    running.feed((0..200).map(record).collect::<String>().as_bytes());
    while std::fs::metadata(folder.path(".out.safetensors.part")).map_or(0, |found| found.len()) < 160 * KEPT as u64 {
        thread::yield_now();
    }
    // An output can have only one run at a time.
    let message = folder.run(&line).refusal();
    assert!(message.contains(".out.safetensors.part: in use by another process\nhint: "), "{message}");
    running.signal(Signal::KILL);
    let _ = running.end().with_code(137);
    let ran = folder.run(&line).stdin(folder.bytes("records.jsonl")).done();
    let ran = ran.saying("160 of 1500 texts had been embedded before");
    assert!(folder.bytes("out.safetensors") == expected, "{ran}");
}

#[test]
fn a_run_that_was_interrupted_or_met_a_full_disk_can_be_resumed() {
    let folder = start(RECORDS);
    let expected = whole(&folder, "jsonl");
    let line = format!("{EMBED} --resume -o out.jsonl");
    let mut running = folder.run(&line).start();
    running.feed((0..200).map(record).collect::<String>().as_bytes());
    while !folder.path(".out.jsonl.part").exists() {
        thread::yield_now();
    }
    running.signal(Signal::INT);
    let _ = running.end().with_code(130).saying(" kept in ").saying("the same command continues the run");
    // The system refuses to write beyond the limit, like a full disk.
    let full = format!("export ORT_DISABLE_TELEMETRY=1; trap '' XFSZ; ulimit -f 100; {line} records.jsonl");
    let _ = folder.shell(&full).ran().with_code(2).saying("out.jsonl: File too large");
    embed(&folder, "--resume -o out.jsonl").done();
    let near = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    crate::assert_near(&near(&folder.bytes("out.jsonl")), &near(&expected));
}

#[test]
fn kept_vectors_of_another_run_or_input_are_refused() {
    let folder = start(RECORDS);
    assert!(is_killed(&folder, "--resume -o out", 100));
    // The unfinished output would be removed by the next run.
    let unfinished = folder.listing().into_iter().filter(|name| name.ends_with(".tmp"));
    unfinished.for_each(|name| std::fs::remove_file(folder.path(&name)).unwrap());
    let refused = |flags: &str| embed(&folder, &format!("--resume -o out {flags}")).refusal();
    for (flags, what) in [
        ("--prompt another:", "had prompt \"passage: \", this one has \"another:\""),
        ("--max-seq-length 9", "had max_seq_length 128, this one has 9"),
        ("--shard 1/2", "had shard null, this one has \"1/2\""),
    ] {
        let message = refused(flags);
        assert!(message.contains(what) && message.contains("hint: remove that file"), "{message}");
    }
    let records = folder.read("records.jsonl");
    folder.write("records.jsonl", records.replacen("number 2 ", "number two ", 1));
    let message = refused("");
    assert!(message.contains("record 3 of the input is not the one that was embedded before"), "{message}");
    folder.write("records.jsonl", records.lines().take(9).map(|line| format!("{line}\n")).collect::<String>());
    let message = refused("");
    assert!(message.contains("the input ends after 9 records, but more were embedded before"), "{message}");
    // The input may have grown, and the dtype may be another.
    folder.write("records.jsonl", records + &record(RECORDS));
    embed(&folder, "--resume -o out --dtype f16 -q").done();
    embed(&folder, "-o whole --dtype f16 -q").done();
    assert!(folder.bytes("out") == folder.bytes("whole"));
}

#[test]
fn only_a_file_can_be_resumed() {
    let folder = start(1);
    for output in ["", "-o -", "-o /dev/null"] {
        let message = embed(&folder, &format!("--resume {output}")).refusal();
        assert!(message.contains("--resume needs an output file\nhint: "), "{message}");
    }
    folder.write(".out.part", "something else\n");
    let message = embed(&folder, "--resume -o out").refusal();
    assert!(message.contains(".out.part: not a file of an interrupted run\nhint: "), "{message}");
}

#[test]
fn shards_are_the_whole() {
    let folder = start(100);
    let whole = embed(&folder, "").stdout();
    for index in 1..=3 {
        embed(&folder, &format!("--shard {index}/3 -o {index}.jsonl")).done();
    }
    let ids = |lines: &str| -> Vec<String> {
        let id = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["_id"].to_string();
        lines.lines().map(id).collect()
    };
    // As in the man page: paste restores the order of the input.
    let pasted = folder.shell("paste -d '\\n' 1.jsonl 2.jsonl 3.jsonl | sed '/^$/d'").stdout();
    assert_eq!(ids(&pasted), ids(&whole));
    assert_eq!(ids(&folder.read("2.jsonl")), ids(&whole).into_iter().skip(1).step_by(3).collect::<Vec<_>>());
}

#[test]
fn lines_of_text_keep_their_numbers() {
    let folder = start(0);
    let text = "sand\nhail\nnoon\nsoap\n";
    let ran = folder.run(&format!("{EMBED} --text --shard 2/2")).stdin(text).records();
    assert_eq!(ran.iter().map(|record| record["_id"].as_str().unwrap()).collect::<Vec<_>>(), ["2", "4"]);
}

#[test]
fn a_bad_record_is_in_one_shard() {
    let folder = start(0);
    let input = format!("{}nonsense\n{}", record(0), record(2));
    folder.run(&format!("{EMBED} --shard 1/2")).stdin(input.clone()).done();
    let second = folder.run(&format!("{EMBED} --shard 2/2 --on-error skip")).stdin(input).ran().with_code(1);
    assert_eq!(second.stdout(), "");
    let _ = second.saying("skipped: <stdin>:2: not JSON").saying("1 record skipped");
}

#[test]
fn invalid_shards_are_refused() {
    let folder = start(1);
    for (shard, what) in [("0/3", "counted from 1"), ("4/3", "expected I/N"), ("x", "expected I/N")] {
        let message = embed(&folder, &format!("--shard {shard}")).refusal();
        assert!(message.contains(what), "{message}");
    }
}
