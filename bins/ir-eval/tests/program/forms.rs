//! The other forms of a report.

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
