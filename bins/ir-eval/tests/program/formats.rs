//! Judgments and runs in the forms in which they circulate.

use embtune_tests::Folder;

/// Judgments with a grade, a zero and a negative one; a run with a tie, an unjudged document and a missing query.
const QRELS: [(&str, &str); 8] = [
    ("beir.tsv", "query-id\tcorpus-id\tscore\n#1\td 1\t2\n#1\td2\t0\n#1\td3\t-1\nq,2\td2\t1\nq3\td 1\t1\n"),
    ("bare.tsv", "#1\td 1\t2\n# by hand\n#1\td2\t0\n#1\td3\t-1\nq,2\td2\t1\nq3\td 1\t1\n"),
    ("trec.tsv", "#1\t0\td 1\t2\n#1\t0\td2\t0\n#1\t0\td3\t-1\nq,2\t0\td2\t1\nq3\t0\td 1\t1\n"),
    (
        "floats.tsv",
        "\u{feff}query_id\tdoc_id\trelevance\r\n#1\td 1\t2.0\r\n#1\td2\t0.0\r\n\r\n#1\td3\t-1.0\r\nq,2\td2\t1.0\r\nq3\td 1\t1.0\r\n",
    ),
    ("q.csv", "query-id,corpus-id,score\n#1,d 1,2\n#1,d2,0\n#1,d3,-1\n\"q,2\",d2,1\nq3,d 1,1\n"),
    ("pandas.csv", ",score,qid,docid\n0,2,#1,d 1\n1,0,#1,d2\n2,-1,#1,d3\n3,1,\"q,2\",d2\n4,1,q3,d 1\n"),
    (
        "q.jsonl",
        "{\"query_id\":\"#1\",\"corpus_id\":\"d 1\",\"score\":2}\n{\"query_id\":\"#1\",\"corpus_id\":\"d2\",\"score\":0}\n\
      {\"query_id\":\"#1\",\"corpus_id\":\"d3\",\"score\":-1}\n{\"query_id\":\"q,2\",\"corpus_id\":\"d2\",\"score\":1}\n\
      {\"query_id\":\"q3\",\"corpus_id\":\"d 1\",\"score\":1}\n",
    ),
    ("q.json", "{\"#1\": {\"d 1\": 2, \"d2\": 0, \"d3\": -1},\n \"q,2\": {\"d2\": 1}, \"q3\": {\"d 1\": 1}}"),
];
const RUNS: [(&str, &str); 7] = [
    ("trec.run", "#1\tQ0\td2\t1\t0.5\tt\n#1\tQ0\td 1\t2\t0.5\tt\nq,2\tQ0\tx\t1\t2\tt\nq,2\tQ0\td2\t2\t1e-1\tt\n"),
    ("three.tsv", "#1\td2\t0.5\n#1\td 1\t0.5\nq,2\tx\t2\nq,2\td2\t1e-1\n"),
    ("header.tsv", "docno\tqid\tscore\trank\nd2\t#1\t0.5\t1\nd 1\t#1\t0.5\t2\nx\tq,2\t2\t1\nd2\tq,2\t1e-1\t2\n"),
    ("three.csv", "#1,d2,0.5\n#1,d 1,0.5\n\"q,2\",x,2\n\"q,2\",d2,0.1\n"),
    (
        "run.jsonl",
        "{\"query_id\":\"#1\",\"doc_id\":\"d2\",\"score\":0.5}\n{\"query_id\":\"#1\",\"doc_id\":\"d 1\",\"score\":0.5}\n\
      {\"query_id\":\"q,2\",\"doc_id\":\"x\",\"score\":2}\n{\"query_id\":\"q,2\",\"doc_id\":\"d2\",\"score\":0.1}\n",
    ),
    ("run.json", "{\"#1\":{\"d2\":0.5,\"d 1\":0.5},\"q,2\":{\"x\":2,\"d2\":0.1}}"),
    (
        "pretty.json",
        "{\n  \"#1\": {\n    \"d2\": 0.5,\n    \"d 1\": 0.5\n  },\n  \"q,2\": {\n    \"x\": 2.0,\n    \"d2\": 0.1\n  }\n}\n",
    ),
];

#[test]
fn every_form_has_the_same_figures() {
    let folder = Folder::new();
    for (name, text) in QRELS.iter().chain(&RUNS) {
        folder.write(name, text);
    }
    let figures = |qrels: &str, run: &str| {
        let line = format!("ir-eval --qrels {qrels} --metrics mrr@10,recall@10,ndcg@10,bpref --format json s={run}");
        let ran = folder.run(&line).done().saying("3 queries in the judgments, 3 evaluated");
        ran.saying("s: 1 judged query is missing (first: \"q3\"); missing queries count as 0").json()
    };
    let expected = figures("beir.tsv", "trec.run");
    assert_eq!(expected["systems"][0]["metrics"]["mrr@10"], 1.0 / 3.0, "d2, which ties with d 1, and x stand first");
    for (qrels, _) in QRELS {
        assert_eq!(figures(qrels, "trec.run"), expected, "{qrels}");
    }
    for (run, _) in RUNS {
        assert_eq!(figures("beir.tsv", run), expected, "{run}");
    }
    let _ = folder
        .run("ir-eval --qrels bare.tsv s=run.json")
        .done()
        .saying("bare.tsv: 1 lines that begin with # are comments (first: line 2)");
}

#[test]
fn unreadable_judgments_and_runs_are_refused_with_a_remedy() {
    let folder = Folder::new();
    folder.write("qrels", "q\td\t1\n");
    folder.write("run", "q Q0 d 1 1 t\n");
    for (content, of_qrels, of_run) in [
        ("q a 1\nq b 2\n", "", "may be the rank (MS MARCO) or the score\nhint: for ranks, awk"),
        (
            "[{\"qid\":\"q\",\"pid\":\"d\",\"score\":1}]",
            "bad: a list of judgments\nhint: jq",
            "bad: a list of hits\nhint: jq",
        ),
        ("{\"q\":{\"d\":NaN}}", "bad:1: not JSON", "bad:1: not JSON"),
        ("{\"q\":{\"d\":0.5,\"d\":0.5}}", "bad:1: relevance must be a whole number", "bad:1: duplicate document d"),
        ("q,d,1\nq,d,1\n", "bad:2: duplicate judgment of document d for query q", "bad:2: duplicate document d"),
        (
            "qid,pid,label\nq,d,nan\n",
            "bad:2: relevance must be a whole number, found \"nan\"",
            "bad:1: score must be a number",
        ),
        ("{}", "bad: no judgments", "bad: empty; expected a run"),
        ("", "bad: no judgments", "bad: empty; expected a run"),
        ("PAR1\u{15}", "bad: Parquet, which is not supported\nhint: python3", "bad: Parquet, which is not supported"),
        ("{\"q\":{\"d\":1}", "bad:1: not JSON: EOF", "bad:1: not JSON: EOF"),
        (
            "{\"query_id\":\"q\",\"query\":\"?\",\"results\":[{\"corpus_id\":\"d\",\"score\":1}]}\n",
            "bad:1: no field for the document",
            "hint: jq -r",
        ),
    ] {
        folder.write("bad", content);
        if !of_qrels.is_empty() {
            let refusal = folder.run("ir-eval -q --qrels bad s=run").refusal();
            assert!(refusal.contains(of_qrels), "{content}: {refusal}");
        }
        let refusal = folder.run("ir-eval -q --qrels qrels s=bad").refusal();
        assert!(refusal.contains(of_run), "{content}: {refusal}");
    }
    folder.write("bad", b"\x1f\x8b\x08\0\0");
    assert!(
        folder
            .run("ir-eval -q --qrels qrels s=bad")
            .refusal()
            .contains("bad: compressed (gzip), which is not supported\nhint: zcat FILE")
    );
}

/// The commands in the hints work.
#[test]
fn hints_convert() {
    let folder = Folder::new();
    folder.write("qrels", "q\td\t1\n");
    folder.write("ranks", "q\tx\t1\nq\td\t2\n");
    let mrr = |run: &str| {
        let line = format!("ir-eval -q --qrels qrels --metrics MRR --format csv s={run}");
        folder.run(&line).stdout().lines().nth(1).unwrap().to_owned()
    };
    let hint = folder.run("ir-eval -q --qrels qrels s=ranks").refusal();
    let commands: Vec<String> =
        hint.split("awk '").skip(1).map(|rest| format!("awk '{}'", rest.split('\'').next().unwrap())).collect();
    for (command, expected) in commands.iter().zip(["s,0.5", "s,1.0"]) {
        folder.shell(&format!("{command} ranks > run")).done();
        assert_eq!(mrr("run"), expected, "{command}");
    }
    assert_eq!(commands.len(), 2);
}

#[test]
fn a_run_may_come_through_a_pipe() {
    let folder = Folder::new();
    folder.write("qrels", "q\td\t1\n");
    folder.write("run.json", "{\"q\":{\"d\":0.5}}");
    let script = "gzip run.json; ir-eval -q --qrels <(cat qrels) --metrics hit@1 --format csv s=<(zcat run.json.gz)";
    assert_eq!(folder.shell(script).stdout(), "system,accuracy@1\ns,1.0\n");
}
