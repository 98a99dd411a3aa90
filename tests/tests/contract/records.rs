//! Empty and bad input.

use crate::filters::{ALL, DOCUMENTS, Input, JUDGMENTS, PAIRS, of_records, reading, workbench};

/// More bytes than a record may have.
const LONG: usize = 20 << 20;

#[test]
fn an_empty_input_gives_an_empty_output() {
    let folder = workbench();
    for filter in ALL {
        let run = filter.empty(&folder, "");
        match filter.input {
            // A shard without pairs, which any reader of safetensors can open.
            Input::Pairs if filter.name == "pairs2shards" => {
                folder.write("empty.safetensors", run.done().stdout);
                folder.run("mnrl-train --model BASE --out TUNED empty.safetensors").refusal();
            }
            Input::Documents | Input::Pairs => assert_eq!(run.stdout(), "", "{}", filter.name),
            Input::Judgments => assert!(run.refusal().contains("<stdin>: no judgments")),
            Input::Shard => assert!(run.refusal().contains("<stdin>: ")),
            Input::Nothing => {}
        }
    }
    for format in ["safetensors", "npy"] {
        folder.run(&format!("embed --device cpu --model BASE --role query --format {format}")).done();
    }
}

/// Bad records of a kind, and the messages about them.
fn bad_records(input: Input) -> Vec<(Vec<u8>, &'static str)> {
    let (missing, wrong, latin1, long) = match input {
        Input::Documents => (
            (r#"{"_id":"x"}"#, "no field \"text\""),
            (r#"{"_id":"x","text":3}"#, "field \"text\" must be a string, found a number"),
            &b"{\"_id\":\"x\",\"text\":\"\xe4\"}"[..],
            format!(r#"{{"_id":"x","text":"{}"}}"#, "a".repeat(LONG)),
        ),
        _ => (
            (r#"{"anchor":"x"}"#, "no field \"positive\""),
            (r#"{"anchor":["x"],"positive":"y"}"#, "field \"anchor\" must be a string, found an array"),
            &b"{\"anchor\":\"\xe4\",\"positive\":\"y\"}"[..],
            format!(r#"{{"anchor":"x","positive":"{}"}}"#, "a".repeat(LONG)),
        ),
    };
    vec![
        (b"{".into(), "not JSON: "),
        (b"nonsense".into(), "not JSON: "),
        (b"[1]".into(), "expected a JSON object, found an array"),
        (missing.0.into(), missing.1),
        (wrong.0.into(), wrong.1),
        (latin1.into(), "not UTF-8 at byte "),
        (long.into(), "longer than 16777216 bytes\nhint: raise the limit with --max-record-bytes"),
    ]
}

#[test]
fn a_bad_record_is_named_or_skipped() {
    let folder = workbench();
    for filter in of_records() {
        let good = if filter.input == Input::Documents { DOCUMENTS } else { PAIRS };
        let (first, rest) = good.split_at(good.find('\n').unwrap() + 1);
        let expected = filter.run(&folder, "").done().stdout;
        for (bad, what) in bad_records(filter.input) {
            let input = [first.as_bytes(), &bad, b"\n", rest.as_bytes()].concat();
            let failed = filter.empty(&folder, "").stdin(input.clone()).ran().with_code(2);
            let failed = failed.saying(&format!("{}: <stdin>:2: {what}", filter.name));
            assert!(failed.stderr().len() < 1000, "the message does not repeat the record: {}", failed.stderr().len());
            // While a long record is being read, the first record's result may already be written.
            assert!(expected.starts_with(&failed.stdout), "{failed}");

            let skipped = filter.empty(&folder, "--on-error skip").stdin(input).ran().with_code(1);
            let skipped = skipped.saying("warning: skipped: <stdin>:2: ").saying("1 record skipped");
            assert_eq!(skipped.stdout, expected, "the other records: {skipped}");
        }
    }
}

#[test]
fn only_the_first_bad_records_are_reported_one_by_one() {
    let folder = workbench();
    for filter in of_records() {
        let ran = filter.empty(&folder, "--on-error skip").stdin("{\n".repeat(5000)).ran().with_code(1);
        assert!(ran.saying("5000 records skipped").stderr().lines().count() < 20);
    }
}

#[test]
fn a_bad_judgment_is_named() {
    let folder = workbench();
    let long = format!("q2\t{}\t1", "d".repeat(LONG));
    for filter in reading(Input::Judgments) {
        for (bad, what) in [
            (&b"q2\td2"[..], "expected 3 columns as in the lines before, found 2"),
            (b"q2\td2\tgood", "relevance must be a whole number"),
            (b"q2\td\xe4\t1", "not UTF-8 at byte 5"),
            (long.as_bytes(), "longer than 16777216 bytes"),
        ] {
            let input = [b"q1\td1\t1\n", bad, b"\n", JUDGMENTS.as_bytes()].concat();
            let message = filter.empty(&folder, "").stdin(input).refusal();
            assert!(message.contains(&format!("{}: <stdin>:2: {what}", filter.name)), "{message}");
        }
    }
}

#[test]
fn an_operand_that_is_not_there_is_named() {
    let folder = workbench();
    for filter in of_records().into_iter().chain(reading(Input::Shard)) {
        let message = filter.run(&folder, "no-such-file").refusal();
        assert!(message.contains(&format!("{}: no-such-file: No such file", filter.name)), "{message}");
        let message = filter.run(&folder, "BASE").refusal();
        assert!(message.contains(&format!("{}: BASE: ", filter.name)), "{message}");
    }
}
