//! Systems other than two files that embed wrote, valid and refused.

use std::fs;

use embtune_tests::Folder;

fn npy(rows: &[[f32; 2]]) -> Vec<u8> {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, 2), }}", rows.len());
    let header = format!("{header:<117}\n");
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.bytes());
    file.extend(rows.iter().flatten().flat_map(|x| x.to_le_bytes()));
    file
}

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("qrels", "q1\td1\t1\nq2\td2\t1\n");
    folder.write("q.npy", npy(&[[1.0, 0.1], [0.1, 1.0]]));
    folder.write("q.ids", "q1\nq2\n");
    folder.write("c.npy", npy(&[[0.0, 1.0], [1.0, 0.0]]));
    folder.write("c.ids", "d2\nd1\n");
    folder
}

const EVALUATE: &str = "ir-eval -q --device cpu --qrels qrels --metrics mrr@1 --format tsv";

#[test]
fn arrays_of_numpy_have_their_ids_beside_them() {
    let folder = folder();
    assert!(folder.run(&format!("{EVALUATE} s=q.npy,c.npy")).stdout().contains("s\tmrr@1\t1\t"));
    for (ids, expected) in [
        ("d2\n", "c.ids: 1 ids, but there are 2 vectors"),
        ("d2\nd2\n", "c.npy: duplicate id \"d2\" (vector 1)"),
        ("d2\n\n", "c.npy: id of vector 1 is empty"),
    ] {
        folder.write("c.ids", ids);
        let refusal = folder.run(&format!("{EVALUATE} s=q.npy,c.npy")).refusal();
        assert!(refusal.contains(expected), "{refusal}");
    }
    fs::remove_file(folder.path("c.ids")).unwrap();
    assert!(folder.run(&format!("{EVALUATE} s=q.npy,c.npy")).refusal().contains("c.ids: No such file"));
    folder.write("c.npy", "no array");
    assert!(folder.run(&format!("{EVALUATE} s=q.npy,c.npy")).refusal().contains("c.npy: not an array of NumPy"));
}

/// A model gives the vectors that embed would write.
#[test]
fn models_embed_the_texts_themselves() {
    let folder = Folder::new();
    folder.copy_fixture("parity/tiny-bert", "BASE");
    folder.write("qrels", "q1\td1\t1\nq2\td2\t1\n");
    folder.write("queries", "{\"_id\":\"q1\",\"text\":\"river sand\"}\n{\"_id\":\"q2\",\"text\":\"felt roof\"}\n{\"_id\":\"q3\",\"text\":\"not judged\"}\n");
    folder.write(
        "corpus",
        "{\"_id\":\"d1\",\"title\":\"Ballast\",\"text\":\"River sand is sieved twice.\"}\n\
         {\"_id\":\"d2\",\"text\":\"The crew spreads the felt roof.\"}\n{\"_id\":\"d3\",\"text\":\"Mice love gullskin.\"}\n",
    );
    folder.run("embed -q --device cpu --model BASE --role query queries -o q").done();
    folder.run("embed -q --device cpu --model BASE --role document corpus -o c").done();
    let line = "ir-eval -q --device cpu --qrels qrels --queries queries --corpus corpus --run {}.run m=BASE v=q,c";
    folder.run(line).done();
    let [model, vectors] = ["m.run", "v.run"].map(|name| folder.read(name));
    let columns = |run: &str| -> Vec<(String, f64)> {
        let line = |line: &str| {
            let columns: Vec<&str> = line.split(' ').collect();
            (format!("{} {}", columns[0], columns[2]), columns[4].parse().unwrap())
        };
        run.lines().map(line).collect()
    };
    let (model, vectors) = (columns(&model), columns(&vectors));
    assert_eq!(model.len(), 6);
    for ((a, x), (b, y)) in model.iter().zip(&vectors) {
        assert!(a == b && (x - y).abs() < 1e-5, "{a} {x}, {b} {y}");
    }
    let refusal = folder.run("ir-eval -q --device cpu --qrels qrels m=BASE").refusal();
    assert!(refusal.contains("BASE: a model needs texts\nhint: add --queries FILE and --corpus FILE"), "{refusal}");
}

/// As in embed, a name is the model's snapshot in the cache. A missing file is not taken for a name.
#[test]
fn a_hugging_face_name_is_a_model() {
    let folder = folder();
    folder.write("queries", "{\"_id\":\"q1\",\"text\":\"river sand\"}\n");
    folder
        .write("corpus", "{\"_id\":\"d1\",\"text\":\"Sand is sieved.\"}\n{\"_id\":\"d2\",\"text\":\"A felt roof.\"}\n");
    let evaluate = |system: &str| {
        let texts = "--queries queries --corpus corpus --run out";
        folder.run(&format!("env HF_HOME=hf ir-eval -q --device cpu --offline --qrels qrels {texts} {system}"))
    };
    let repository = folder.path("hf/hub/models--me--tiny");
    fs::create_dir_all(repository.join("refs")).unwrap();
    fs::write(repository.join("refs/main"), "c0ffee").unwrap();
    folder.copy_fixture("parity/tiny-bert", "hf/hub/models--me--tiny/snapshots/c0ffee");
    evaluate("s=me/tiny").done();
    let named = folder.read("out");
    evaluate("s=hf/hub/models--me--tiny/snapshots/c0ffee").done();
    assert_eq!(named, folder.read("out"));

    let _ = evaluate("s=me/other")
        .ran()
        .with_code(2)
        .saying("me/other: no such directory, and not in the Hugging Face cache");
    fs::create_dir(folder.path("me")).unwrap();
    for file in ["me/other", "other", "me/other/bm25", "/me/other"] {
        let _ = evaluate(&format!("s={file}")).ran().with_code(2).saying(&format!("{file}: No such file"));
    }
}

#[test]
fn coarse_hits_are_ordered_by_full_vectors() {
    let folder = folder();
    // The coarse vectors cannot tell the documents apart.
    folder.write_vectors("q", "query", &[("q1", &[1.0, 0.1]), ("q2", &[0.1, 1.0])]);
    folder.write_vectors("coarse", "document", &[("d2", &[1.0, 1.0]), ("d1", &[1.0, 1.0])]);
    folder.write_vectors("full", "document", &[("d2", &[0.0, 1.0]), ("d1", &[1.0, 0.0])]);
    let report = folder.run(&format!("{EVALUATE} coarse=q,coarse rescored=q,coarse,full")).stdout();
    assert!(report.contains("coarse\tmrr@1\t0.5\t") && report.contains("rescored\tmrr@1\t1\t"), "{report}");
    folder.write_vectors("other", "document", &[("d1", &[1.0, 0.0]), ("d2", &[0.0, 1.0])]);
    let refusal = folder.run(&format!("{EVALUATE} s=q,coarse,other")).refusal();
    assert!(refusal.contains("coarse and other differ in the id of vector 0: \"d2\" and \"d1\""), "{refusal}");
}

#[test]
fn distances_and_first_elements_can_be_compared() {
    let folder = Folder::new();
    folder.write("qrels", "q1\tnear\t1\n");
    folder.write_vectors("q", "query", &[("q1", &[1.0, 0.0, 5.0])]);
    folder.write_vectors(
        "c",
        "document",
        &[("far", &[9.0, 0.0, 5.0]), ("near", &[1.0, 0.5, 5.0]), ("side", &[1.0, 0.0, -5.0])],
    );
    let run = |flags: &str| {
        folder.run(&format!("ir-eval -q --device cpu --qrels qrels --run out {flags} s=q,c")).done();
        let line = |line: &str| line.split(' ').skip(2).step_by(2).map(str::to_owned).collect::<Vec<_>>().join(" ");
        folder.read("out").lines().map(line).collect::<Vec<_>>()
    };
    assert_eq!(run("--similarity euclidean"), ["near -0.5", "far -8", "side -10"]);
    assert_eq!(run("--similarity dot"), ["far 34", "near 26", "side -24"]);
    assert_eq!(run("--similarity dot --truncate-dim 2"), ["far 9", "side 1", "near 1"]);
    assert_eq!(run("--similarity euclidean --truncate-dim 2"), ["side 0", "near -0.5", "far -8"]);
    let refusal = folder.run("ir-eval -q --device cpu --qrels qrels --truncate-dim 4 s=q,c").refusal();
    assert!(refusal.contains("--truncate-dim 4 is more than the 3 elements of c"), "{refusal}");
}

#[test]
fn ids_of_a_table_of_floats_are_recognised() {
    let folder = Folder::new();
    folder.write("qrels", "7.0\td1\t1\n");
    folder.write("run", "7 Q0 d1 1 1.0 t\n");
    let refusal = folder.run("ir-eval -q --qrels qrels s=run").refusal();
    assert!(refusal.contains("hint: one file has ids such as 7.0"), "{refusal}");
}
