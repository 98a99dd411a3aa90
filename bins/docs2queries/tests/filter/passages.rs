//! Long documents.

use serde_json::json;

use crate::server::{Server, ok};
use crate::support::{client, run};

#[test]
fn a_long_document_is_asked_about_in_passages() {
    let paragraph = |n: usize| format!("Paragraph {n}. {}", "Wörter über etwas. ".repeat(4)).trim().to_owned();
    let text = (0..6).map(paragraph).collect::<Vec<_>>().join("\n\n");
    let documents = [
        json!({"_id": "long", "title": "T", "text": text}),
        json!({"_id": "part", "group": "book", "text": text}),
        json!({"_id": "short", "text": "short"}),
    ];
    let input: String = documents.iter().map(|document| format!("{document}\n")).collect();
    let server = Server::start(ok);
    let ran = run(&mut client(&server, &["--passage-chars", "200", "-n", "2", "--drop=none"]), input);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(server.requests().len(), 7);
    assert!(ran.stderr.contains("documents: 3, pairs: 14, requests: 7"), "{ran:?}");
    let pairs = ran.pairs();
    let whole: Vec<char> = text.chars().collect();
    for (number, pair) in pairs[..6].iter().enumerate() {
        assert_eq!(pair["anchor_id"], format!("long-q{}", number + 1));
        assert_eq!(
            (&pair["positive_id"], &pair["group"], &pair["chunk"]),
            (&json!("long"), &json!("long"), &json!(number / 2))
        );
        let place = |name: &str| pair[name].as_u64().unwrap() as usize;
        let passage: String = whole[place("start")..place("end")].iter().collect();
        assert_eq!(pair["positive"], format!("T {passage}"));
        assert!(passage.starts_with("Paragraph") && passage.ends_with("etwas."), "{passage}");
    }
    assert_eq!((&pairs[6]["group"], &pairs[6]["anchor_id"]), (&json!("book"), &json!("part-q1")));
    assert!(pairs[12].get("chunk").is_none() && pairs[12]["positive"] == "short");
}
