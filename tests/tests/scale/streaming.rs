//! Hadoop Streaming: a mapper that reads the lines of its split on stdin. Without a reducer, a line that has no tab
//! is written with one behind it, as a key without a value.

use crate::corpus::{EMBED, assert_whole, start};

#[test]
fn mappers_give_the_vectors_of_the_whole() {
    let folder = start();
    // Splits are cut at lines; some are empty; the last line of a file may lack its end.
    let records = folder.read("records.jsonl");
    let lines: Vec<&str> = records.trim_end().split_inclusive('\n').collect();
    let (first, rest) = lines.split_at(lines.len() / 3);
    let mut vectors = String::new();
    for split in [first.concat(), String::new(), rest.concat()] {
        // A mapper finds other variables than a shell gives, and none that it could do without.
        let mapper = format!("env -i mapreduce_task_partition=1 $(command -v embed) {}", &EMBED["embed ".len()..]);
        vectors += &folder.shell(&format!("exec {mapper} -q")).stdin(split).stdout();
    }
    assert_whole(&folder, &vectors);
}

#[test]
fn keys_without_a_value_are_read() {
    let folder = start();
    let tabbed = folder.read("records.jsonl").replace('\n', "\t\n");
    assert_whole(&folder, &folder.run(&format!("{EMBED} -q")).stdin(tabbed).stdout());
    // What a mapper wrote is the next one's input.
    let once = folder.read("whole.jsonl").replace('\n', "\t\n");
    assert_whole(&folder, &folder.run(&format!("{EMBED} -q")).stdin(once).stdout());
}
