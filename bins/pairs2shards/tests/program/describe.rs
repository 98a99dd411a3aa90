//! The output of `--describe` for a shard, and for files that are not shards.

use crate::folder;

const PAIRS: &str = r#"{"anchor":"When does the tenant of the flat have to pay the rent?","positive":"The rent is due on the first working day of every month, and it is paid by a transfer to the account of the landlord.","positive_id":"d1","group":"g","negatives":["The roof is repaired by the landlord.","Dogs are allowed."],"scores":[1,0.5,0]}
{"anchor":"When does the tenant of the flat have to pay the rent?","positive":"Der Vermieter muss das Dach und die Wände des Hauses auf seine eigenen Kosten instand halten, wenn nichts anderes vereinbart ist.","positive_id":"d2","group":"g"}
{"anchor":"E0308","positive":"42","positive_id":"d3"}
"#;

#[test]
fn a_shard_is_described() {
    let folder = folder();
    folder.run("pairs2shards --model BASE -q --document-max-length 24 -o s.safetensors").stdin(PAIRS).done();
    let text = folder.run("pairs2shards --describe s.safetensors").stdout();
    let line = |name: &str| {
        let line =
            text.lines().find(|line| line.trim_start().starts_with(name)).unwrap_or_else(|| panic!("{name}\n{text}"));
        line.split_whitespace().skip(name.split(' ').count()).collect::<Vec<_>>().join(" ")
    };
    assert!(text.starts_with("s.safetensors\n"), "{text}");
    assert_eq!(line("pairs"), "3");
    assert_eq!(line("anchors"), "2 distinct");
    assert_eq!(line("documents"), "3 distinct, in 2 groups");
    assert_eq!(line("duplicates"), "0 pairs whose texts both occur in an earlier pair");
    assert_eq!(line("negatives"), "2; 2 pairs have none");
    assert_eq!(line("scores"), "of 1 positives");
    assert_eq!(line("guide"), "none");
    assert_eq!(line("cut"), "3 texts, at 128 and 24 tokens");
    assert_eq!(line("languages"), "of anchors: eng 67 %, und 33 % (3 sampled)");
    assert_eq!(line("of positives:"), "deu 33 %, eng 33 %, und 33 % (3 sampled)");
    assert_eq!(line("longest").split(' ').nth(1), Some("24"));
    // The table adds up to the rows and tokens.
    let table: Vec<Vec<u64>> = text
        .lines()
        .filter(|line| line.trim_start().split_once('-').is_some_and(|(from, _)| from.parse::<u64>().is_ok()))
        .map(|line| line.split_whitespace().skip(1).map(|count| count.parse().unwrap()).collect())
        .collect();
    let sums: Vec<u64> = (0..3).map(|column| table.iter().map(|row| row[column]).sum()).collect();
    assert_eq!(sums, [3, 3, 2]);
    let tokens =
        text.lines().last().unwrap().split_whitespace().skip(1).map(|count| count.parse::<u64>().unwrap()).sum::<u64>();
    assert!(line("tokens").starts_with(&format!("{tokens} per epoch")), "{text}");
}

#[test]
fn several_shards_are_described_one_by_one() {
    let folder = folder();
    folder.run("pairs2shards --model BASE -q --out shards --shard-pairs 2").stdin(PAIRS).done();
    let text =
        folder.run("pairs2shards --describe shards/train-00000.safetensors shards/train-00001.safetensors").stdout();
    assert_eq!(text.matches("\n  pairs ").count(), 2, "{text}");
    assert!(text.contains("(2 sampled)") && text.contains("(1 sampled)"), "each shard knows its own\n{text}");
}

#[test]
fn files_that_are_not_shards_are_refused_by_name() {
    let folder = folder();
    folder.write_vectors("vectors", "query", &[("q", &[1.0])]);
    folder.write("text", "no shard");
    for (file, expected) in [
        ("vectors", "vectors: not a training shard"),
        ("text", "text: not a valid safetensors file"),
        ("none", "none: No such file"),
        ("BASE", "BASE: is a directory, not a regular file"),
    ] {
        let message = folder.run(&format!("pairs2shards --describe {file}")).refusal();
        assert!(message.contains(expected), "{message}");
    }
    for flags in ["--describe s --model BASE --holdout 0.1", "--describe s -o out", "-o out"] {
        folder.run(&format!("pairs2shards {flags}")).refusal();
    }
}

#[test]
fn a_shard_of_an_unknown_version_is_refused() {
    let folder = folder();
    folder.run("pairs2shards --model BASE -q -o s.safetensors").stdin(PAIRS).done();
    let bytes = folder.bytes("s.safetensors");
    let version = br#"\"version\":1"#;
    let at = bytes.windows(version.len()).position(|window| window == version).unwrap() + version.len() - 1;
    for digit in *b"029" {
        let mut other = bytes.clone();
        other[at] = digit;
        folder.write("other.safetensors", other);
        let message = folder.run("pairs2shards --describe other.safetensors").refusal();
        let expected = format!("other.safetensors: layout version {}, this program knows 1", char::from(digit));
        assert!(message.contains(&expected), "{message}");
    }
}
