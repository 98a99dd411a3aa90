//! Where the judgments come from and where the results go.

use embtune_tests::Folder;

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("qrels", "q1\td1\t1\n");
    folder.write("run", "q1 Q0 d1 1 1.0 t\n");
    folder
}

#[test]
fn a_full_disk_is_an_error_for_every_output() {
    let folder = folder();
    for flag in ["-o", "--per-query", "--run", "--html"] {
        let message = folder.run(&format!("ir-eval -q --qrels qrels s=run {flag} /dev/full")).refusal();
        assert!(message.starts_with("ir-eval: /dev/full: No space left"), "{flag}: {message}");
    }
}

#[test]
fn outputs_are_whole_or_not_there() {
    let folder = folder();
    folder.write("bad", "q1 Q0 d1 1 1.0 t\nq1\n");
    folder.run("ir-eval -q --qrels qrels s=bad -o report --per-query values --run out").refusal();
}

#[test]
fn judgments_may_come_from_stdin() {
    let folder = folder();
    let run = folder.run("ir-eval -q --qrels - s=run --metrics mrr@1 --format tsv").stdin(folder.read("qrels"));
    assert!(run.stdout().ends_with("s\tmrr@1\t1\t\t\t\t\t\t\t\t\n"));
}

#[test]
fn messages_can_be_json() {
    let ran = folder().run("ir-eval --log-format json --qrels qrels s=run").done();
    let line: serde_json::Value = serde_json::from_str(&ran.stderr()).unwrap();
    assert_eq!((&line["level"], &line["prog"]), (&"notice".into(), &"ir-eval".into()));
}
