//! Every loss, from pairs to a saved model.

use embtune_tests::Folder;

use crate::start::losses;

/// Pairs with two negatives each and the scores of `mine-negatives`, and shards of them with a guide's vectors.
pub(crate) fn scored() -> Folder {
    let folder = Folder::new();
    folder.copy_fixture("parity/tiny-bert", "BASE");
    folder.copy_fixture("pipeline/corpus.jsonl", "corpus.jsonl");
    folder.run("docs2queries --generator extractive -n 3 corpus.jsonl -o pairs.jsonl").done();
    for (texts, role, out) in
        [("--field anchor --id anchor_id pairs.jsonl", "query", "q"), ("corpus.jsonl", "document", "c")]
    {
        folder.run(&format!("embed --device cpu --model BASE --role {role} {texts} -o {out}.safetensors")).done();
    }
    let files = "--queries q.safetensors --corpus c.safetensors";
    folder
        .run(&format!("mine-negatives --device cpu {files} --texts corpus.jsonl -n 2 pairs.jsonl -o hard.jsonl"))
        .done();
    let guide = "--guide-queries q.safetensors --guide-corpus c.safetensors";
    folder
        .run(&format!("pairs2shards --model BASE --document-max-length 48 {guide} hard.jsonl -o train.safetensors"))
        .done();
    folder
}

#[test]
fn every_loss_trains() {
    let folder = scored();
    for loss in [
        "mnrl",
        "mnrl --directions q2d,d2q,q2q,d2d",
        "mnrl --matryoshka 32,16",
        "symmetric",
        "triplet --margin 1",
        "contrastive",
        "cosent",
        "margin-mse",
        "gist --matryoshka 32,8",
    ] {
        let flags = "--epochs 4 --batch-size 16 --learning-rate 1e-3 --warmup-steps 2 --no-duplicates";
        let command = "mnrl-train --device cpu --threads 2 --model BASE --out TUNED --overwrite";
        let ran = folder.run(&format!("{command} {flags} --loss {loss} train.safetensors")).done();
        let steps = losses(&ran.stdout());
        let mean = |part: &[(u64, f64)]| part.iter().map(|(_, loss)| loss).sum::<f64>() / part.len() as f64;
        let quarter = steps.len() / 4;
        let (first, last) = (mean(&steps[..quarter]), mean(&steps[steps.len() - quarter..]));
        assert!(last < first, "{loss}: the mean loss of the first epoch is {first}, of the last {last}\n{ran}");
    }
}
