//! How rankings are read and queries are counted.

use embtune_tests::Folder;
use serde_json::Value;

fn metrics(folder: &Folder, flags: &str) -> Value {
    folder.run(&format!("ir-eval -q --qrels qrels --format json {flags}")).json()
}

#[test]
fn ties_go_by_the_rule() {
    let folder = Folder::new();
    folder.write("qrels", "q1\ta\t1\n");
    folder.write("run", "q1 Q0 a 1 1.0 t\nq1 Q0 b 2 1.0 t\n");
    let mrr = |flags: &str| {
        metrics(&folder, &format!("--metrics mrr@2 {flags} s=run"))["systems"][0]["metrics"]["mrr@2"].clone()
    };
    assert_eq!((mrr(""), mrr("--ties docid-asc")), (0.5.into(), 1.0.into()));
    folder.write_vectors("q", "query", &[("q1", &[1.0, 0.0])]);
    folder.write_vectors("c", "document", &[("b", &[1.0, 0.0]), ("a", &[1.0, 0.0]), ("c", &[0.0, 1.0])]);
    folder.run("ir-eval -q --device cpu --qrels qrels --ties docid-asc --depth 1 -k 1 --run out s=q,c").done();
    assert_eq!(folder.read("out"), "q1 Q0 a 1 1 s\n", "even at the last hit that is kept");
}

#[test]
fn the_query_itself_can_be_left_out() {
    let folder = Folder::new();
    folder.write("qrels", "d1\td2\t1\n");
    folder.write("run", "d1 Q0 d1 1 1.0 t\nd1 Q0 d2 2 0.5 t\n");
    let mrr = |flags: &str| {
        metrics(&folder, &format!("--metrics mrr@1 {flags} s=run"))["systems"][0]["metrics"]["mrr@1"].clone()
    };
    assert_eq!((mrr(""), mrr("--exclude-self")), (0.0.into(), 1.0.into()));
    folder.write_vectors("q", "query", &[("d1", &[1.0, 0.0])]);
    folder.write_vectors("c", "document", &[("d1", &[1.0, 0.0]), ("d2", &[1.0, 0.5]), ("d3", &[0.0, 1.0])]);
    folder.run("ir-eval -q --device cpu --qrels qrels --exclude-self --depth 1 -k 1 --run out s=q,c").done();
    let run = folder.read("out");
    assert!(run.starts_with("d1 Q0 d2 1 ") && run.lines().count() == 1, "one hit is still one hit: {run}");
}

#[test]
fn missing_queries_count_as_the_flag_says() {
    let folder = Folder::new();
    folder.write("qrels", "q1\ta\t1\nq2\ta\t1\nq3\ta\t1\n");
    folder.write("one", "q1 Q0 a 1 1.0 t\nq2 Q0 b 1 1.0 t\n");
    folder.write("two", "q1 Q0 a 1 1.0 t\nq3 Q0 a 1 1.0 t\n");
    let report = |policy: &str| metrics(&folder, &format!("--metrics mrr@1 --missing {policy} a=one b=two"));
    let value = |report: &Value, system: usize| report["systems"][system]["metrics"]["mrr@1"].as_f64().unwrap();
    let zero = report("zero");
    assert_eq!((value(&zero, 0), value(&zero, 1)), (1.0 / 3.0, 2.0 / 3.0));
    // Only q1 is answered by both.
    let skip = report("skip");
    assert_eq!((value(&skip, 0), value(&skip, 1), &skip["evaluated_queries"]), (1.0, 1.0, &1.into()));
    let refusal = folder.run("ir-eval -q --qrels qrels --missing error a=one").refusal();
    assert_eq!(refusal.trim_end(), "ir-eval: a: 1 judged query is missing (first: \"q3\")");
    folder.write("none", "q2 Q0 a 1 1.0 t\n");
    folder.write("other", "q3 Q0 a 1 1.0 t\n");
    let refusal = folder.run("ir-eval -q --qrels qrels --missing skip a=none b=other").refusal();
    assert!(refusal.contains("no judged query is answered by all systems"), "{refusal}");
}

/// All of a run counts, even documents below the depth of a search.
#[test]
fn metrics_without_a_cutoff_look_at_whole_runs() {
    let folder = Folder::new();
    folder.write("qrels", "q1\td200\t1\n");
    let run: String = (1..=200).map(|n| format!("q1 Q0 d{n} {n} {} t\n", 1000 - n)).collect();
    folder.write("run", run);
    let report = metrics(&folder, "--metrics mrr,mrr@100,recall,rprec s=run");
    let metrics = &report["systems"][0]["metrics"];
    assert_eq!((&metrics["mrr"], &metrics["mrr@100"], &metrics["recall"]), (&0.005.into(), &0.0.into(), &1.0.into()));
}
