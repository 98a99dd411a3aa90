//! The names of metrics and of files.

use embtune_tests::Folder;

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("qrels", "q\td\t1\n");
    folder.write("run", "q Q0 x 1 2 t\nq Q0 d 2 1 t\n");
    folder
}

#[test]
fn metrics_of_other_programs_are_reported_under_our_names() {
    let folder = folder();
    let metrics = "NDCG@10,MRR@10,P_5,hit@1,success_5,recip_rank,recall_100,map_cut.100,ndcg_at_10";
    let report = folder.run(&format!("ir-eval -q --qrels qrels --metrics {metrics} --format csv s=run")).stdout();
    let header = "system,ndcg@10,mrr@10,precision@5,accuracy@1,accuracy@5,mrr,recall@100,map@100\n";
    assert!(report.starts_with(header), "{report}");
    let line = "ir-eval -q --qrels qrels --metrics RR --primary MRR --fail-under Recall@10=0.5 --format csv s=run";
    assert_eq!(folder.run(line).stdout(), "system,mrr,recall@10\ns,0.5,1.0\n");
    let names = "ir-eval -q --qrels qrels --metrics nDCG@10,RR --compat trec --format trec s=run";
    assert!(
        folder
            .run(names)
            .stdout()
            .contains("ndcg_cut_10           \tall\t0.6309\nrecip_rank            \tall\t0.5000\n")
    );
}

#[test]
fn other_definitions_are_not_taken_for_ours() {
    let folder = folder();
    for (metric, expected) in [
        ("recip_rank_10", "recip_rank takes no cutoff; use mrr@10"),
        ("P", "P needs a cutoff, such as precision@10"),
        ("hits@10", "hits counts documents"),
        ("cosine_ndcg@10", "ir-eval --compat st computes it as sentence-transformers does"),
        ("ndgc@10", "unknown metric \"ndgc\"; similar: ndcg; available: ndcg, ndcg-exp"),
        ("ndcg_cut.5,10", "unknown metric \"10\": each metric has its own cutoff (ndcg@5,ndcg@10)"),
        ("infAP", "unknown metric \"infAP\"; available: ndcg, "),
        ("graded-rbp@10", "unknown metric \"graded-rbp\"; available: ndcg, "),
    ] {
        let refusal = folder.run(&format!("ir-eval -q --qrels qrels --metrics {metric} s=run")).refusal();
        assert!(refusal.contains(expected), "{metric}: {refusal}");
    }
}

#[test]
fn the_name_of_the_report_says_its_form() {
    let folder = folder();
    for (file, begin) in [
        ("rep.json", "{\n  \"queries\": 1,"),
        ("rep.JSON", "{\n  \"queries\": 1,"),
        ("rep.html", "<!DOCTYPE html>"),
        ("rep.md", "| metric | s |\n|---|---:|\n| mrr@10 | 0.5000 |\n"),
        ("rep.tsv", "system\tmetric\tvalue\t"),
        ("rep.csv", "system,mrr@10\n"),
        ("rep.trec", "runid  "),
        ("rep.txt", "metric       s\n"),
        ("rep", "metric       s\n"),
        ("all-MiniLM-L6-v2.1", "metric       s\n"),
    ] {
        folder.run(&format!("ir-eval -q --qrels qrels --metrics mrr@10 s=run -o {file}")).done();
        let report = folder.read(file);
        assert!(report.to_lowercase().starts_with(&begin.to_lowercase()), "{file}: {report}");
    }
    folder.run("ir-eval -q --qrels qrels --metrics mrr@10 s=run -o rep.out --format json").done();
    assert!(folder.read("rep.out").starts_with("{\n"));
    folder.run("ir-eval -q --qrels qrels --metrics mrr@10 s=run -o t.txt --format trec").done();
    assert!(folder.read("t.txt").starts_with("runid"));
}

#[test]
fn names_that_contradict_the_form_are_refused() {
    let folder = folder();
    for (flags, expected) in [
        (
            "-o rep.pdf",
            "rep.pdf: no output format has the extension .pdf\nhint: use .txt, .json, .tsv, .csv, .trec, .md, .html",
        ),
        ("-o rep.json.gz", "rep.json.gz: outputs are not compressed\nhint: name it rep.json, then: gzip rep.json"),
        (
            "-o rep.html --format json",
            "rep.html: --format json does not match the extension\nhint: -o rep.json, or leave out --format",
        ),
        ("--per-query v.json", "the output format is .tsv\nhint: name it v.tsv"),
        ("--html page.json", "the output format is .html"),
        ("--run out.json", "the output format is .run"),
        ("--training-log run", "--training-log needs a page\nhint: add --html FILE, or -o FILE.html"),
    ] {
        let refusal = folder.run(&format!("ir-eval -q --qrels qrels s=run {flags}")).refusal();
        assert!(refusal.contains(expected), "{flags}: {refusal}");
    }
}

#[test]
fn pipes_and_devices_have_no_form() {
    let folder = folder();
    let script = "ir-eval -q --qrels qrels --metrics mrr@10 s=run -o /dev/stdout | head -1
        ir-eval -q --qrels qrels --metrics mrr@10 --format csv s=run -o >(cat > copy); sleep 0.1; cat copy
        mkfifo out.pipe; (cat out.pipe > got &) ; ir-eval -q --qrels qrels --metrics mrr@10 s=run -o out.pipe --format tsv
        while ! [ -s got ]; do sleep 0.05; done; head -1 got | cut -f1";
    assert_eq!(folder.shell(script).stdout(), "metric       s\nsystem,mrr@10\ns,0.5\nsystem\n");
}
