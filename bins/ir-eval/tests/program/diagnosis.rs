//! `--diagnose`: where and why relevant documents are missed.

use embtune_tests::Folder;

/// Ten queries: `base` fails on those with "escrow", `tuned` on another one.
fn folder() -> Folder {
    let folder = Folder::new();
    let [mut qrels, mut base, mut tuned, mut queries, mut corpus] = [const { String::new() }; 5];
    for n in 0..10 {
        let is_hard = n < 3;
        let subject = if is_hard { "escrow" } else { "rent" };
        queries += &format!("{{\"_id\":\"q{n}\",\"text\":\"the {subject} of case {n}\"}}\n");
        corpus += &format!("{{\"_id\":\"d{n}\",\"text\":\"the case {n}\"}}\n");
        qrels += &format!("q{n}\td{n}\t1\n");
        let found = |first: bool| match first {
            true => format!("q{n} Q0 d{n} 1 0.9 t\nq{n} Q0 x 2 0.6 t\n"),
            false => format!("q{n} Q0 x 1 0.8 t\nq{n} Q0 d{n} 2 0.5 t\n"),
        };
        base += &found(!is_hard);
        tuned += &found(n != 9);
    }
    for (name, text) in [("qrels", qrels), ("base", base), ("tuned", tuned), ("queries", queries), ("corpus", corpus)] {
        folder.write(name, text);
    }
    folder
}

const FLAGS: &str = "--qrels qrels --metrics recall@1 --queries queries --corpus corpus --diagnose";

#[test]
fn people_read_what_fails_and_where() {
    let folder = folder();
    let report = folder.run(&format!("ir-eval -q {FLAGS} base=base tuned=tuned")).stdout();
    for expected in [
        "base, first 1 document of 10 queries\n  context recall    0.7000, under 0.75\n",
        "  nothing relevant  3 queries (30.0 %)\n  another on top    3 queries (30.0 %)\n",
        "above 0 in 7 of 10\n",
        "    q0 \"the escrow of case 0\": x (rank 1, 0.8000) above d0 (rank 2, 0.5000)\n",
        "  context recall    0.9000, not under 0.75\n",
        "  gained  3: q0, q1, q2\n  lost    1: q9\n",
        "word    queries    base   tuned\nescrow        3  0.0000  1.0000\n",
    ] {
        assert!(report.contains(expected), "{expected}\n{report}");
    }
    assert!(!report.contains("\nthe "), "a word of every document says nothing: {report}");
}

#[test]
fn programs_get_the_same() {
    let folder = folder();
    let report = folder.run(&format!("ir-eval -q {FLAGS} --format json base=base tuned=tuned")).json();
    let diagnosis = &report["diagnosis"];
    assert_eq!((&diagnosis["k"], &diagnosis["context_recall_line"]), (&1.into(), &0.75.into()));
    assert_eq!(diagnosis["systems"][0]["context_recall"], 0.7);
    assert_eq!(diagnosis["systems"][0]["score_margins"]["positive"], 7);
    assert_eq!(diagnosis["systems"][0]["examples"][0]["above"]["document"], "x");
    assert_eq!(diagnosis["moves"][0]["lost"], serde_json::json!(["q9"]));
    assert_eq!(diagnosis["terms"][0]["word"], "escrow");
    let refusal = folder.run(&format!("ir-eval -q {FLAGS} --format tsv base=base")).refusal();
    assert!(refusal.contains("--diagnose works with --format table, json and html"), "{refusal}");
}
