//! The prompt, the passages, and the number of queries.

use std::fs;

use serde_json::json;

use crate::server::{Answer, Server, completion, ok};
use crate::support::{ask, client, corpus, filter, run, scratch};

#[test]
fn the_prompt_can_be_printed_and_replaced() {
    let (_directory, path) = scratch("own.j2");
    let own = path.to_str().unwrap();
    let shown = run(&mut filter(&["--show-prompt"]), "");
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert!(shown.stdout.contains("{%- block system -%}") && shown.stdout.contains("{{ text }}"));
    let server = Server::start(ok);
    ask(&server, &["-n", "4"], 1);
    fs::write(&path, shown.stdout.replace("You write search queries", "You are a clerk who writes queries")).unwrap();
    let ran = ask(&server, &["-n", "4", "--prompt", own], 1);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let system = |n: usize| server.requests()[n].body["messages"][0]["content"].as_str().unwrap().to_owned();
    assert_eq!(system(1), system(0).replace("You write search queries", "You are a clerk who writes queries"));
    assert_eq!(run(&mut filter(&["--show-prompt", "--prompt", own]), "").stdout, fs::read_to_string(&path).unwrap());
}

#[test]
fn errors_in_a_prompt_have_a_line() {
    let (_directory, path) = scratch("own.j2");
    let own = path.to_str().unwrap();
    let server = Server::start(ok);
    for (text, expected) in [
        ("{{ text }}\n{{ titel }}", "own.j2:2: undefined value"),
        ("{% for %}", "own.j2:1: syntax error"),
        ("", "own.j2: does not contain the document's text"),
        (
            "{% block user %}Ask about {{ title }}{# text #}{% endblock %}",
            "own.j2: does not contain the document's text",
        ),
    ] {
        fs::write(&path, text).unwrap();
        let ran = ask(&server, &["--prompt", own], 2);
        assert!(ran.code == Some(2) && ran.stderr.contains(expected), "{ran:?}");
        ran.says("hint: a prompt may use id, title, text");
    }
    let ran = ask(&server, &["--prompt", "no-such-file"], 1);
    assert!(ran.code == Some(2) && ran.stderr.contains("no-such-file: "), "{ran:?}");
    assert!(server.requests().is_empty());
}

#[test]
fn examples_styles_and_language_reach_the_model() {
    let (_directory, path) = scratch("examples.jsonl");
    let examples = [("d {{ x }}", "q1"), ("d {{ x }}", "q2"), ("e", "q3")];
    let lines: String =
        examples.iter().map(|(text, query)| format!("{}\n", json!({"anchor": query, "positive": text}))).collect();
    fs::write(&path, lines).unwrap();
    let server = Server::start(ok);
    let mix = ["--styles", "typo,keyword=2", "--language", "de", "--drop=none"];
    let args = [&["-n", "3", "--examples", path.to_str().unwrap()], &mix[..]].concat();
    let ran = ask(&server, &args, 1);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let messages = &server.requests()[0].body["messages"];
    let system = messages[0]["content"].as_str().unwrap();
    assert!(system.contains("<document>\nd {{ x }}\n</document>\n{\"queries\": [\"q1\", \"q2\"]}"), "{system}");
    assert!(system.contains("{\"queries\": [\"q3\"]}") && system.contains("Write in German."), "{system}");
    let user = messages[1]["content"].as_str().unwrap();
    assert!(user.contains("- 2 of this kind: keywords") && user.contains("- 1 of this kind: typed in haste"), "{user}");
    fs::write(&path, "{\"anchor\": \"q\"}\n").unwrap();
    let ran = ask(&server, &args, 1);
    assert!(ran.code == Some(2) && ran.stderr.contains("examples.jsonl:1: no field \"positive\""), "{ran:?}");
    for args in [["--styles", "riddle"], ["--language", "Klingon"], ["--passage-chars", "5"]] {
        assert_eq!(ask(&server, &args, 1).code, Some(2), "{args:?}");
    }
}

#[test]
fn the_form_of_the_reply_can_be_left_open() {
    let refusal = r#"{"error": {"message": "This response_format type is unavailable now", "code": 400}}"#;
    let server = Server::start(move |request| match request.body["response_format"]["type"].as_str() {
        Some("json_schema") => Answer::Http(400, "", refusal.into()),
        _ => Answer::Http(200, "", completion("1. one query\n2. two queries")),
    });
    for form in ["schema", "json", "text"] {
        let ran = ask(&server, &["--reply-format", form], 1);
        assert_eq!((ran.code, ran.ids().len()), (Some(0), 2), "{ran:?}");
    }
}

#[test]
fn the_number_of_queries_follows_from_the_corpus() {
    let server = Server::start(ok);
    let asked = |n: usize| {
        let prompt = server.requests()[n].body["messages"][1]["content"].as_str().unwrap().to_owned();
        prompt.split("Number of queries: ").nth(1).unwrap().lines().next().unwrap().to_owned()
    };
    let (_directory, path) = scratch("corpus.jsonl");
    fs::write(&path, corpus(3)).unwrap();
    run(&mut client(&server, &[path.to_str().unwrap()]), "");
    ask(&server, &[], 1);
    ask(&server, &["-n", "4"], 1);
    assert_eq!([0, 3, 4].map(asked), ["10", "10", "4"]);
    let ran = ask(&server, &["--dry-run"], 50_000);
    assert!(ran.stdout.contains("queries         5 a passage\n"), "{ran:?}");
}

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
    ran.says("documents: 3, pairs: 14, requests: 7");
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

#[test]
fn parts_of_a_corpus_give_the_same_pairs() {
    let server = Server::start(ok);
    // The number of queries is given, because it would depend on the size of the corpus.
    let pairs = |input: &str| {
        let ran = run(&mut client(&server, &["-n", "2"]), input);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.stdout
    };
    let whole = corpus(12);
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let parts: String = lines.chunks(5).map(|part| pairs(&part.concat())).collect();
    assert_eq!(parts, pairs(&whole));
    assert_eq!(parts.lines().count(), 24);
}
