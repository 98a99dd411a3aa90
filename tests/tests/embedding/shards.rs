//! `--shard`.

use crate::texts::{EMBED, embed, record, start};

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
    // As the man page says: paste brings the lines of shards back into the input's order.
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
fn shards_that_are_none_are_refused() {
    let folder = start(1);
    for (shard, what) in [("0/3", "counted from 1"), ("4/3", "expected I/N"), ("x", "expected I/N")] {
        let message = embed(&folder, &format!("--shard {shard}")).refusal();
        assert!(message.contains(what), "{message}");
    }
}
