//! What `make run` would do, as make prints it.

use embtune_tests::workspace;

use crate::flow::start;

#[test]
fn the_queries_of_the_evaluation_are_not_trained_on() {
    let folder = start("tiny-bert");
    for file in ["queries.jsonl", "qrels.tsv"] {
        folder.write(file, "");
    }
    let path = |name: &str| folder.path(name).display().to_string();
    let command = |settings: &str| {
        let run = format!("make -C {} -n run NAME=none BIN=bin {settings}", workspace().display());
        let run = run + &format!(" MODEL={} CORPUS={}", path("BASE"), path("corpus.jsonl"));
        let printed = folder.run(&run).done().stdout();
        let stage = printed.lines().find(|line| line.contains("make/stage.py") && line.contains("bin/pairs2shards"));
        stage.map(str::to_owned).unwrap_or_else(|| panic!("no such stage\n{printed}"))
    };
    let (queries, qrels) = (path("queries.jsonl"), path("qrels.tsv"));
    let given = command(&format!("QUERIES={queries} QRELS={qrels}"));
    assert!(given.contains(&format!(" --exclude-queries {queries} ")) && !given.contains("--holdout"), "{given}");
    // What is read is an input of the stage, so that it runs again when the queries change.
    let inputs = given.split("--outputs").next().unwrap();
    assert!(inputs.contains(&queries) && !given.contains(&qrels), "{given}");
    let split = command("");
    assert!(split.contains(" --holdout 0.1 ") && !split.contains("--exclude-queries"), "{split}");
}
