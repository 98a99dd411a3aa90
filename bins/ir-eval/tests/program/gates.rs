//! `--fail-under` and `--fail-on-regression`: exit code 1.

use embtune_tests::Folder;

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("qrels", "q1\ta\t1\nq2\ta\t1\n");
    folder.write("good", "q1 Q0 a 1 1.0 t\nq2 Q0 a 1 1.0 t\n");
    folder.write("bad", "q1 Q0 a 1 1.0 t\nq2 Q0 b 1 1.0 t\n");
    folder
}

#[test]
fn a_figure_under_its_bound_is_a_no() {
    let folder = folder();
    let line = "ir-eval --qrels qrels --metrics mrr@1 --fail-under mrr@1=0.6,recall@1=0.2 good=good bad=bad";
    let no = folder.run(line).ran().with_code(1).saying("bad: mrr@1 is 0.5000, under 0.6");
    assert!(!no.stderr().contains("recall@1 is"));
    assert!(no.stdout().contains("recall@1"), "the gate's metric is reported: {no}");
    // Only the last system has to pass.
    folder.run("ir-eval --qrels qrels --fail-under mrr@1=0.6 bad=bad good=good").done();
    folder.run("ir-eval --qrels qrels --fail-under mrr@1=0.5 bad=bad").done();
    // sentence-transformers' MAP is another metric, and it has the same bound.
    let line = "ir-eval --qrels qrels --compat st --fail-under map@10=0.6 bad=bad";
    let _ = folder.run(line).ran().with_code(1).saying("bad: capped-map@10 is 0.5000, under 0.6");
}

#[test]
fn a_regression_is_a_no() {
    let folder = folder();
    let line = "ir-eval --qrels qrels --primary mrr@1 --fail-on-regression";
    let message = "bad: mrr@1 is 0.5000 lower than good's, more than 0.4";
    let no = folder.run(&format!("{line} 0.4 good=good bad=bad")).ran().with_code(1).saying(message);
    assert!(no.stdout().starts_with("metric"), "the report is written nevertheless");
    folder.run(&format!("{line} 0.5 good=good bad=bad")).done();
    folder.run(&format!("{line} 0 bad=bad good=good")).done();
    let alone = folder.run(&format!("{line} 0 bad=bad")).refusal();
    assert!(alone.contains("compares the last system with the first, but there is only one system"), "{alone}");
    for bad in ["--fail-under ndcg@10", "--fail-under ndcg@10=80", "--fail-on-regression -1"] {
        folder.run(&format!("ir-eval --qrels qrels {bad} good=good bad=bad")).refusal();
    }
}
