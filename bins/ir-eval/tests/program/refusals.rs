//! Inputs that are refused, with their messages.

use embtune_tests::Folder;

const RUN: &str = "q1 Q0 d1 1 1.0 t\n";

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("qrels", "q1\td1\t1\n");
    folder.write("run", RUN);
    folder.write_vectors("q", "query", &[("q1", &[1.0, 0.0])]);
    folder.write_vectors("c", "document", &[("d1", &[1.0, 0.0]), ("d2", &[0.0, 1.0])]);
    folder
}

#[track_caller]
fn assert_says(message: &str, expected: &str) {
    assert!(message.starts_with("ir-eval: ") && message.contains(expected), "{message}");
}

#[test]
fn judgments() {
    let folder = folder();
    for (qrels, expected) in [
        ("", "bad: no judgments"),
        ("query-id\tcorpus-id\tscore\n", "bad: no judgments"),
        ("q1\td1\t0\n", "bad: no query has a relevant document"),
        ("q1\td1\t0.9\n", "bad:1: relevance must be a whole number"),
        ("q1\td1\t1\nq1\td1\t1\n", "bad:2: duplicate judgment of document d1 for query q1"),
        ("q1\td1\t1\nq1\td1\n", "bad:2: expected 3 columns"),
    ] {
        folder.write("bad", qrels);
        assert_says(&folder.run("ir-eval -q --qrels bad s=run").refusal(), expected);
    }
    assert_says(&folder.run("ir-eval --qrels none s=run").refusal(), "none: No such file");
}

#[test]
fn runs() {
    let folder = folder();
    for (run, expected) in [
        (RUN.repeat(2), "bad:2: duplicate document d1 for query q1"),
        ("q1 Q0 d1 1 NaN t\n".into(), "bad:1: score of document d1 is not finite"),
        ("q1 d1\n".into(), "bad:1: expected the 6 columns"),
        (String::new(), "bad: empty; expected a run"),
        (RUN.replace("q1", "1"), "bad: contains no query of the judgments"),
    ] {
        folder.write("bad", &run);
        assert_says(&folder.run("ir-eval -q --qrels qrels s=bad").refusal(), expected);
    }
}

#[test]
fn texts_of_a_model() {
    let folder = folder();
    folder.copy_fixture("parity/tiny-bert", "BASE");
    folder.write("queries", "{\"_id\":\"q1\",\"text\":\"sand\"}\n");
    let record = "{\"_id\":\"d1\",\"text\":\"sand\"}\n";
    let long = record.replace("sand", &"a".repeat(17 << 20));
    for (corpus, expected) in [
        (Vec::new(), "corpus: contains none of the documents that are needed"),
        (record.repeat(2).into_bytes(), "corpus:2: duplicate id \"d1\""),
        (record.replace("\"sand\"", "5").into_bytes(), "corpus:1: field \"text\" must be a string"),
        (record.as_bytes()[..20].to_vec(), "corpus:1: not JSON"),
        (
            record.replace("sand", "?").into_bytes().into_iter().map(|c| if c == b'?' { 0xff } else { c }).collect(),
            "corpus:1: not UTF-8",
        ),
        (long.into_bytes(), "corpus:1: longer than 16777216 bytes\n"),
    ] {
        folder.write("corpus", corpus);
        let refusal =
            folder.run("ir-eval -q --device cpu --qrels qrels --queries queries --corpus corpus m=BASE").refusal();
        assert_says(&refusal, expected);
        assert!(!refusal.contains("--max-record-bytes"), "ir-eval has no such flag: {refusal}");
    }
}

#[test]
fn vectors() {
    let folder = folder();
    folder.write_vectors("wide", "document", &[("d1", &[1.0, 0.0, 0.0])]);
    assert_says(&folder.run("ir-eval -q --qrels qrels s=q,wide").refusal(), "q has vectors of 2 elements, wide of 3");
    folder.write_vectors("nan", "document", &[("d1", &[1.0, 0.0]), ("d2", &[f32::NAN, 0.0])]);
    assert_says(
        &folder.run("ir-eval -q --qrels qrels s=q,nan").refusal(),
        "nan: the vector of \"d2\" holds NaN or infinity",
    );
    folder.write_vectors("inf", "query", &[("q1", &[1.0, f32::INFINITY])]);
    assert_says(
        &folder.run("ir-eval -q --qrels qrels s=inf,c").refusal(),
        "inf: the vector of \"q1\" holds NaN or infinity",
    );
    folder.write_vectors("twice", "document", &[("d1", &[1.0, 0.0]), ("d1", &[0.0, 1.0])]);
    assert_says(&folder.run("ir-eval -q --qrels qrels s=q,twice").refusal(), "twice: duplicate id \"d1\" (vector 1)");
    let whole = std::fs::read(folder.path("c")).unwrap();
    for length in [0, 7, 100, whole.len() - 1] {
        std::fs::write(folder.path("cut"), &whole[..length]).unwrap();
        assert_says(&folder.run("ir-eval -q --qrels qrels s=q,cut").refusal(), "cut: ");
    }
}

#[test]
fn files_that_do_not_belong_together() {
    let folder = folder();
    let swapped = folder.run("ir-eval -q --qrels qrels s=c,q").refusal();
    assert_says(&swapped, "c: its vectors were made with --role document");
    assert!(swapped.contains("hint: the file of queries and that of documents may be swapped"), "{swapped}");
    folder.write_vectors("queries", "", &[("q1", &[1.0, 0.0])]);
    folder.write_vectors("corpus", "", &[("d1", &[1.0, 0.0])]);
    let swapped = folder.run("ir-eval -q --qrels qrels s=corpus,queries").refusal();
    assert_says(&swapped, "corpus: contains no query of the judgments\nhint: a system is NAME=QUERIES,CORPUS");
    folder.write_vectors_of("tuned", "tuned", "query", &[("q1", &[1.0, 0.0])]);
    assert_says(
        &folder.run("ir-eval -q --qrels qrels s=tuned,c").refusal(),
        "tuned and c were made by different models",
    );
    folder.write_vectors("other", "query", &[("1", &[1.0, 0.0])]);
    assert_says(
        &folder.run("ir-eval -q --qrels qrels s=other,c").refusal(),
        "other: contains no query of the judgments",
    );
    folder.write_vectors("elsewhere", "document", &[("x1", &[1.0, 0.0])]);
    let none = folder.run("ir-eval -q --qrels qrels s=q,elsewhere").refusal();
    assert_says(
        &none,
        "holds none of the 1 relevant documents of the judgments (first: \"d1\", relevant to query \"q1\")",
    );
}

#[test]
fn flags() {
    let folder = folder();
    let usage = |line: &str| folder.run(line).refusal();
    assert!(usage("ir-eval --qrels qrels").contains("SYSTEM"));
    assert!(usage("ir-eval --qrels qrels run").contains("expected NAME=QUERIES,CORPUS, NAME=MODEL or NAME=RUN"));
    assert!(usage("ir-eval --qrels qrels --metrics ndgc@10 s=run").contains("unknown metric \"ndgc\""));
    assert!(usage("ir-eval --qrels qrels -k 1 --metrics ndcg@10 s=run").contains("cannot be used with"));
    assert_says(&folder.run("ir-eval --qrels qrels s=run s=run").refusal(), "two systems have the name \"s\"");
    assert_says(
        &folder.run("ir-eval --qrels qrels --run out a=run b=run").refusal(),
        "--run out: every system would write to the same file",
    );
}

#[test]
fn ids_that_a_run_cannot_hold() {
    let folder = folder();
    folder.write_vectors("blank", "document", &[("d1", &[1.0, 0.0]), ("d 2", &[0.0, 1.0])]);
    assert_says(
        &folder.run("ir-eval -q --qrels qrels --run out s=q,blank").refusal(),
        "id \"d 2\" contains white space",
    );
    assert!(!folder.path("out").exists());
}
