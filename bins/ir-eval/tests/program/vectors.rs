//! Search with vectors.

use embtune_tests::Folder;

/// Three queries and four documents in the plane. d4 equals d3, so that they tie.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("qrels", "q1\td1\t1\nq2\td2\t1\nq3\td3\t1\n");
    folder.write_vectors(
        "q",
        "query",
        &[("q2", &[0.1, 1.0]), ("q1", &[1.0, 0.1]), ("unjudged", &[9.0, 9.0]), ("q3", &[1.0, 1.0])],
    );
    let corpus: [(&str, &[f32]); 4] =
        [("d1", &[5.0, 0.0]), ("d2", &[0.0, 0.5]), ("d3", &[1.0, 1.0]), ("d4", &[1.0, 1.0])];
    folder.write_vectors("c", "document", &corpus);
    folder
}

#[test]
fn the_best_documents_are_found() {
    let folder = folder();
    let report = folder.run("ir-eval --qrels qrels s=q,c --metrics mrr@1,mrr@4 --run out --format json").json();
    // d4 is ranked above d3: equal scores, greater id first.
    assert_eq!(report["systems"][0]["metrics"]["mrr@1"], 2.0 / 3.0);
    assert_eq!(report["systems"][0]["metrics"]["mrr@4"], 2.5 / 3.0);
    let run = folder.read("out");
    let order: Vec<&str> = run.lines().map(|line| line.split(' ').nth(2).unwrap()).collect();
    assert_eq!(order, ["d1", "d4", "d3", "d2", "d2", "d4", "d3", "d1", "d4", "d3", "d2", "d1"]);
    assert!(!run.contains("unjudged"), "only judged queries are searched");
    // The inner product depends on the lengths.
    let dot = folder.run("ir-eval --qrels qrels s=q,c --metrics mrr@1 --similarity dot --format json").json();
    assert_eq!(dot["systems"][0]["metrics"]["mrr@1"], 1.0 / 3.0);
}

#[test]
fn the_run_has_the_figures_of_the_vectors() {
    let folder = folder();
    let vectors = folder.run("ir-eval --qrels qrels s=q,c --run {}.run --format tsv").stdout();
    assert_eq!(vectors, folder.run("ir-eval --qrels qrels s=s.run --format tsv").stdout());
}

#[test]
fn depth_is_what_is_kept_and_never_less_than_k() {
    let folder = folder();
    folder.run("ir-eval --qrels qrels s=q,c -k 1 --depth 2 --run two").done();
    assert_eq!(folder.read("two").lines().count(), 6);
    folder.run("ir-eval --qrels qrels s=q,c -k 3 --depth 1 --run three").done();
    assert_eq!(folder.read("three").lines().count(), 9);
}

#[test]
fn relevant_documents_that_the_corpus_lacks_are_counted() {
    let folder = folder();
    folder.write("qrels", "q1\td1\t1\nq1\tgone\t1\nq2\td2\t1\nq9\tlost\t2\n");
    let output = folder.run("ir-eval --qrels qrels s=q,c --metrics recall@4 --format json").done();
    let messages = output.stderr();
    let expected = "s: 2 of 4 relevant documents are not in the corpus (first: \"gone\", relevant to query \"q1\")";
    assert!(messages.contains(expected), "{messages}");
    assert!(
        messages.contains("s: 1 judged query is missing (first: \"q9\"); missing queries count as 0"),
        "{messages}"
    );
    let report = output.json();
    assert_eq!(report["systems"][0]["metrics"]["recall@4"], 0.5, "(1/2 + 1 + 0) / 3");
}

#[test]
fn threads_do_not_change_the_bytes() {
    let folder = folder();
    folder.run("ir-eval --qrels qrels s=q,c --threads 1 --run one").done();
    folder.run("ir-eval --qrels qrels s=q,c --threads 4 --run four").done();
    assert_eq!(folder.read("one"), folder.read("four"));
}

#[test]
fn a_corpus_in_several_files_is_one_corpus() {
    let folder = folder();
    folder.write_vectors("part-1", "document", &[("d1", &[5.0, 0.0]), ("d2", &[0.0, 0.5])]);
    folder.write_vectors("part-2", "document", &[("d3", &[1.0, 1.0]), ("d4", &[1.0, 1.0])]);
    folder.run("ir-eval --qrels qrels s=q,c --run whole").done();
    folder.run("ir-eval --qrels qrels s=q,part-* --run parts").done();
    assert_eq!(folder.read("whole"), folder.read("parts"));
    folder.write_vectors("part-3", "document", &[("d1", &[1.0, 1.0])]);
    let refused = folder.run("ir-eval --qrels qrels s=q,part-*").refusal();
    assert!(refused.contains("part-3: duplicate id \"d1\" (vector 0)"), "{refused}");
    let refused = folder.run("ir-eval --qrels qrels s=q,gone-*").refusal();
    assert!(refused.contains("gone-*: no file matches this pattern"), "{refused}");
}
