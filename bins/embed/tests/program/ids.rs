//! Ids that come again.

use serde_json::Value;

use crate::model::{embed, of_file, vectors, with_model};

const PAIRS: &str = r#"{"anchor":"lift cells","positive":"one","anchor_id":"q1"}
{"anchor":"the night watch","positive":"one","anchor_id":"q2"}
{"anchor":"lift cells","positive":"two","anchor_id":"q1"}
{"anchor":"gullskin","positive":"two","anchor_id":7}
{"anchor":"lift cells","positive":"three","anchor_id":"q1"}
"#;
const QUERIES: &str = "--field anchor --id anchor_id";

#[test]
fn a_query_with_several_positives_is_written_once() {
    let folder = with_model("tiny-bert");
    folder.write("pairs", PAIRS);
    let ran = embed(&folder, &format!("{QUERIES} pairs -o v")).done();
    let _ = ran.saying("2 of 5 records had the id and the text of an earlier one");
    let (found, _) = of_file(&folder, "v");
    assert_eq!(found.ids().collect::<Vec<_>>(), ["q1", "q2", "7"]);
    // JSON Lines have every record, and the vectors are the same.
    let all = vectors(&folder, &format!("{QUERIES} pairs"));
    assert_eq!(all.len(), 5);
    let rows: Vec<_> = (0..3).map(|row| found.rows_f32(row..row + 1).into_owned()).collect();
    assert_eq!(rows, [all[0].clone(), all[1].clone(), all[3].clone()]);
}

#[test]
fn what_is_kept_of_a_run_counts_every_record() {
    let folder = with_model("tiny-bert");
    folder.write("pairs", PAIRS);
    embed(&folder, &format!("{QUERIES} pairs -o plain")).done();
    for flags in ["--resume", "--cache kept", "--cache kept --resume"] {
        embed(&folder, &format!("{QUERIES} {flags} pairs -o v")).done();
        assert!(folder.bytes("v") == folder.bytes("plain"), "{flags}");
    }
    // A shard is a file of its own.
    embed(&folder, &format!("{QUERIES} --shard 1/2 pairs -o v")).done();
    assert_eq!(of_file(&folder, "v").0.ids().collect::<Vec<_>>(), ["q1"]);
}

#[test]
fn numbers_of_any_size_are_ids() {
    let folder = with_model("tiny-bert");
    let [one, two] = ["340282366920938463463374607431768211455", "340282366920938463463374607431768211454"];
    let lines = format!(
        "{{\"_id\":{one},\"text\":\"a\",\"n\":12345678901234567890123,\"x\":[1.10,-18446744073709551617]}}\n\
         {{\"_id\":{two},\"text\":\"b\"}}\n"
    );
    embed(&folder, "-o v").stdin(lines.clone()).done();
    assert_eq!(of_file(&folder, "v").0.ids().collect::<Vec<_>>(), [one, two]);
    let out = embed(&folder, "").stdin(lines.clone()).stdout();
    for (written, read) in out.lines().zip(lines.lines()) {
        assert!(written.starts_with(&format!("{},\"embedding\":[", read.trim_end_matches('}'))), "{written}");
        serde_json::from_str::<Value>(written).unwrap();
    }
}
