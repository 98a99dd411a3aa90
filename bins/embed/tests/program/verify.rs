//! Comparing vectors with a reference.

use embtune_tests::{Folder, Ran};

use crate::support::{embed, vectors};

/// A folder with the vectors of the corpus.
fn with_reference() -> Folder {
    let folder = Folder::with_corpus("tiny-bert");
    embed(&folder, "corpus.jsonl -o ref").done();
    folder
}

/// The cosines and ids of the table.
fn table(ran: &Ran) -> Vec<(f64, String)> {
    let out = ran.stdout();
    let mut lines = out.lines();
    assert_eq!(lines.next(), Some("cosine\tid"));
    let row = |line: &str| line.split_once('\t').map(|(cosine, id)| (cosine.parse().unwrap(), id.to_owned())).unwrap();
    lines.take_while(|line| !line.starts_with('#')).map(row).collect()
}

#[test]
fn the_same_model_passes() {
    let folder = with_reference();
    let ran = embed(&folder, "--verify ref --batch-tokens 1 corpus.jsonl").done();
    let rows = table(&ran);
    assert_eq!(rows.len(), 20);
    assert!(rows.is_sorted_by_key(|(cosine, _)| *cosine) && rows.iter().all(|(cosine, _)| *cosine > 0.999_999));
    assert!(ran.stdout().contains("\n# lowest 1.00000000, mean 1.00000000\n# 40 compared, 0 below 0.9999\n"), "{ran}");
}

#[test]
fn the_lowest_cosine_comes_first() {
    let folder = with_reference();
    let corpus = folder.read("corpus.jsonl");
    let changed = corpus.replacen("Lift cells", "Night", 1).replacen("Ballast sand", "Ballast sands", 1);
    assert_ne!(corpus, changed);
    let ran = embed(&folder, "--verify ref").stdin(changed.clone()).ran().with_code(1);
    let rows = table(&ran);
    let mut worst: Vec<&str> = rows[..2].iter().map(|(_, id)| id.as_str()).collect();
    worst.sort_unstable();
    assert_eq!(worst, ["s01", "s02"]);
    assert!(
        rows[1].0 < 0.999_9 && rows[2].0 > 0.999_999 && ran.stdout().contains("\n# 40 compared, 2 below 0.9999\n"),
        "{ran}"
    );
    let lowest = format!("--verify ref --min-cosine {}", rows[0].0 - 1e-6);
    let _ = embed(&folder, &lowest).stdin(changed).done();
}

#[test]
fn ids_that_one_side_lacks_are_listed() {
    let folder = with_reference();
    let corpus = folder.read("corpus.jsonl");
    let lines: Vec<&str> = corpus.lines().collect();
    let fewer = lines[1..].join("\n");
    let ran = embed(&folder, "--verify ref").stdin(fewer).ran().with_code(1);
    assert!(ran.stdout().contains("# 39 compared, 0 below 0.9999\n# 1 only in ref: s01\n"), "{ran}");
    let more: String = (0..12).map(|n| format!("{{\"id\":\"x{n}\",\"text\":\"lift\"}}\n")).collect();
    let ran = embed(&folder, "--verify ref").stdin(format!("{corpus}{more}")).ran().with_code(1);
    assert!(ran.stdout().ends_with("# 12 only in the input: x0, x1, x2, x3, x4, x5, x6, x7, x8, x9, ...\n"), "{ran}");
    let ran = embed(&folder, "--verify ref").ran().with_code(1);
    assert!(ran.stdout().starts_with("cosine\tid\n# 0 compared, 0 below 0.9999\n# 40 only in ref: s01, "), "{ran}");
}

#[test]
fn smaller_types_are_measured_as_they_are_stored() {
    let folder = with_reference();
    let lowest =
        |flags: &str| table(&embed(&folder, &format!("--verify ref --min-cosine 0 {flags} corpus.jsonl")).done())[0].0;
    assert!((0.999_999..1.0).contains(&lowest("--dtype f16")));
    assert!((0.999_9..0.999_999).contains(&lowest("--dtype bf16")));
    assert!((0.999..0.999_99).contains(&lowest("--dtype int8")));
    assert!((0.5..0.95).contains(&lowest("--dtype ubinary")));
    // The reference may be of a smaller type, too: a bit is 1 or -1.
    embed(&folder, "--dtype ubinary corpus.jsonl -o bits").done();
    let _ = embed(&folder, "--verify bits --dtype ubinary corpus.jsonl").done();
    let vector = &vectors(&folder, "corpus.jsonl")[0];
    let by_hand = vector.iter().map(|x| f64::from(x.abs())).sum::<f64>()
        / (32.0 * vector.iter().map(|x| f64::from(x * x)).sum::<f64>()).sqrt();
    let ran =
        embed(&folder, "--verify bits --min-cosine 0").stdin(folder.read("corpus.jsonl").lines().next().unwrap()).ran();
    assert!((table(&ran)[0].0 - by_hand).abs() < 1e-7, "{ran}");
}

#[test]
fn references_that_cannot_be_compared_are_refused() {
    let folder = with_reference();
    let says = |flags: &str, expected: &str| {
        let message = embed(&folder, &format!("{flags} corpus.jsonl")).refusal();
        assert!(message.contains(expected), "{message}");
    };
    says("--verify ref --truncate-dim 8", "ref: has vectors of 32 elements, but the model and the flags give 8");
    says("--verify corpus.jsonl", "corpus.jsonl:1: no field \"embedding\"");
    says("--verify none", "none: No such file");
    says("--verify ref --format npy", "cannot be used with");
    says("--min-cosine 0.5", "--verify");
    says("--verify ref --min-cosine 2", "expected a number from -1 to 1");
    folder.write_vectors("nan", "document", &[("s01", &[f32::NAN; 32])]);
    let message = embed(&folder, "--verify nan corpus.jsonl").ran().with_code(2).stderr();
    assert!(message.contains("nan: the vector of \"s01\" holds NaN or infinity"), "{message}");
}

#[test]
fn the_table_goes_where_vectors_would() {
    let folder = with_reference();
    embed(&folder, "--verify ref corpus.jsonl -o table").done();
    assert!(folder.read("table").starts_with("cosine\tid\n"));
    let _ = embed(&folder, "--verify ref corpus.jsonl").to_full_disk().ran().with_code(2).saying("No space left");
    let _ = embed(&folder, "--verify ref corpus.jsonl").to_closed_pipe().done();
}
