//! The forms of a report, and where it goes.

use embtune_tests::Folder;

use crate::runs::two_systems;

#[test]
fn csv_has_a_line_for_each_system() {
    let line = "ir-eval -q --qrels qrels --metrics mrr@10,bpref --format csv base=base tuned=tuned";
    assert_eq!(two_systems().run(line).stdout(), "system,mrr@10,bpref\nbase,0.5,1.0\ntuned,1.0,1.0\n");
}

#[test]
fn trec_form_has_a_block_for_each_system() {
    let line = "ir-eval -q --qrels qrels --metrics mrr@10,precision@5 --format trec base=base tuned=tuned";
    let report = two_systems().run(line).stdout();
    assert!(report.starts_with("runid                 \tall\tbase\nnum_q                 \tall\t8\n"), "{report}");
    assert_eq!(report.matches("P_5                   \tall\t0.2000\n").count(), 2);
    assert!(report.ends_with("recip_rank_cut_10     \tall\t1.0000\nP_5                   \tall\t0.2000\n"), "{report}");
}

#[test]
fn programs_get_every_test() {
    let line = "ir-eval -q --qrels qrels --metrics mrr@10,recall@10 --format json base=base tuned=tuned";
    let report = two_systems().run(line).json();
    let comparison = &report["systems"][1]["comparison"]["mrr@10"];
    assert_eq!((&comparison["p_holm"], &comparison["wilcoxon_p"]), (&(4.0 / 256.0).into(), &(2.0 / 256.0).into()));
    assert_eq!(comparison["effect_size"], serde_json::Value::Null, "all differences are the same");
    assert!(report.get("diagnosis").is_none());
}

fn one_query() -> Folder {
    let folder = Folder::new();
    folder.write("qrels", "q1\td1\t1\n");
    folder.write("run", "q1 Q0 d1 1 1.0 t\n");
    folder
}

#[test]
fn a_full_disk_is_an_error_for_every_output() {
    let folder = one_query();
    for flag in ["-o", "--per-query", "--run", "--html"] {
        let message = folder.run(&format!("ir-eval -q --qrels qrels s=run {flag} /dev/full")).refusal();
        assert!(message.starts_with("ir-eval: /dev/full: No space left"), "{flag}: {message}");
    }
}

#[test]
fn outputs_are_whole_or_not_there() {
    let folder = one_query();
    folder.write("bad", "q1 Q0 d1 1 1.0 t\nq1\n");
    folder.run("ir-eval -q --qrels qrels s=bad -o report --per-query values --run out").refusal();
}

#[test]
fn judgments_may_come_from_stdin() {
    let folder = one_query();
    let run = folder.run("ir-eval -q --qrels - s=run --metrics mrr@1 --format tsv").stdin(folder.read("qrels"));
    assert!(run.stdout().ends_with("s\tmrr@1\t1\t\t\t\t\t\t\t\t\n"));
}

#[test]
fn messages_can_be_json() {
    let ran = one_query().run("ir-eval --log-format json --qrels qrels s=run").done();
    let line: serde_json::Value = serde_json::from_str(&ran.stderr()).unwrap();
    assert_eq!((&line["level"], &line["prog"]), (&"notice".into(), &"ir-eval".into()));
}
