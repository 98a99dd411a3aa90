//! Every format that `embed` writes is read by the other filters.

use embtune_tests::Folder;

const TYPES: [&str; 5] = ["f32", "f16", "bf16", "int8", "ubinary"];

/// A folder with a corpus, queries (the first words of ten documents), their judgments, and the same as pairs.
fn sides() -> Folder {
    let folder = Folder::with_corpus("tiny-bert");
    let corpus = crate::records(&folder.read("corpus.jsonl"));
    let (mut queries, mut qrels, mut pairs) = (String::new(), String::new(), String::new());
    for (number, document) in corpus.iter().take(10).enumerate() {
        let (id, text) = (document["_id"].as_str().unwrap(), document["text"].as_str().unwrap());
        let words: Vec<&str> = text.split(' ').take(6).collect();
        let query = words.join(" ");
        queries += &format!("{}\n", serde_json::json!({"_id": format!("#{number}"), "text": query}));
        qrels += &format!("#{number}\t{id}\t1\n");
        let pair = serde_json::json!({
            "anchor": query, "positive": text, "anchor_id": format!("#{number}"), "positive_id": id,
        });
        pairs += &format!("{pair}\n");
    }
    folder.write("queries.jsonl", queries);
    folder.write("qrels.tsv", qrels);
    folder.write("pairs.jsonl", pairs);
    folder
}

fn embed(folder: &Folder, dtype: &str, form: &str) {
    for (role, texts, out) in [("query", "queries.jsonl", "q"), ("document", "corpus.jsonl", "c")] {
        let line = format!("embed -q --device cpu --model BASE --role {role} --dtype {dtype} {texts} -o {out}.{form}");
        folder.run(&line).done();
    }
}

#[test]
fn vectors_are_the_same_in_every_form() {
    let folder = sides();
    for dtype in TYPES {
        for similarity in ["cosine", "dot"] {
            let mut runs = Vec::new();
            for form in ["safetensors", "jsonl", "npy"].into_iter().filter(|form| (dtype, *form) != ("bf16", "npy")) {
                if similarity == "cosine" {
                    embed(&folder, dtype, form);
                }
                let flags = format!("--similarity {similarity} --metrics ndcg@10,recall@5 --run out.run --format json");
                let line = format!("ir-eval -q --device cpu --qrels qrels.tsv {flags} s=q.{form},c.{form}");
                let report = folder.run(&line).json();
                assert_eq!(report["evaluated_queries"], 10, "{form}");
                runs.push((folder.read("out.run"), report["systems"][0]["metrics"].clone()));
            }
            assert!(runs.windows(2).all(|pair| pair[0] == pair[1]), "{dtype} {similarity}: {runs:?}");
        }
    }
}

#[test]
fn negatives_are_mined_from_every_form() {
    let folder = sides();
    let mut mined = Vec::new();
    for form in ["safetensors", "jsonl", "npy"] {
        embed(&folder, "f32", form);
        let line =
            format!("mine-negatives -q --device cpu --queries q.{form} --corpus c.{form} --texts corpus.jsonl -n 2");
        mined.push(folder.run(&format!("{line} pairs.jsonl")).stdout());
    }
    assert!(mined[0].contains("negative_ids") && mined.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn an_array_has_its_ids_beside_it_and_one_vector_for_each() {
    let folder = sides();
    let texts = folder.read("queries.jsonl");
    folder.write("twice.jsonl", texts.repeat(2));
    let line = "embed --device cpu --model BASE --role query twice.jsonl";
    let ran = folder.run(&format!("{line} -o x.npy")).done();
    let _ = ran.saying("10 of 20 records had the id and the text of an earlier one");
    let expected: String = (0..10).map(|number| format!("#{number}\n")).collect();
    assert_eq!(folder.read("x.ids"), expected);
    // Without the extension .npy, .ids is appended to the name; the content tells that the file is an array.
    folder.run(&format!("{line} --format npy -o v1.5")).done();
    assert_eq!((folder.read("v1.5.ids"), folder.bytes("v1.5")), (expected, folder.bytes("x.npy")));
    folder.run("embed -q --device cpu --model BASE --role document corpus.jsonl -o c.npy").done();
    folder.run("ir-eval -q --device cpu --qrels qrels.tsv s=v1.5,c.npy").done();
    // To stdout no ids are written, which a message says.
    let ran = folder.run(&format!("{line} --format npy")).done();
    let _ = ran.saying("the ids are not written; with -o FILE, they are in a file beside FILE");
    folder.write("other.jsonl", texts.clone() + &texts.replace("\"text\":\"", "\"text\":\"other "));
    let refusal = folder.run("embed -q --device cpu --model BASE --role query other.jsonl -o y.npy").refusal();
    assert!(refusal.contains("other.jsonl:11: duplicate id \"#0\": another text has it at other.jsonl:1"), "{refusal}");
}

#[test]
fn bytes_in_json_name_their_type() {
    let folder = sides();
    embed(&folder, "int8", "jsonl");
    let bare = folder.read("q.jsonl").replace("\"embedding_scale\"", "\"other\"");
    folder.write("bare.jsonl", bare);
    let refusal = folder.run("ir-eval -q --device cpu --qrels qrels.tsv s=bare.jsonl,c.jsonl").refusal();
    assert!(refusal.contains("bare.jsonl:1: int8 without \"embedding_scale\""), "{refusal}");
    // Nothing of an older dtype remains in the records.
    folder.run("embed -q --device cpu --model BASE --role query q.jsonl -o again.jsonl").done();
    assert!(!folder.read("again.jsonl").contains("embedding_"));
    embed(&folder, "int8", "npy");
    std::fs::remove_file(folder.path("c.scales")).unwrap();
    let refusal = folder.run("ir-eval -q --device cpu --qrels qrels.tsv s=q.npy,c.npy").refusal();
    assert!(refusal.contains("c.npy: int8 needs the scales of its rows: c.scales"), "{refusal}");
}

#[test]
fn names_of_outputs_decide_or_are_refused() {
    let folder = sides();
    let embed = "embed -q --device cpu --model BASE --role query queries.jsonl";
    let line = "ir-eval -q --device cpu --qrels qrels.tsv";
    for (command, expected) in [
        (format!("{embed} -o x.parquet"), "x.parquet: no output format has the extension .parquet"),
        (format!("{embed} -o x.csv"), "x.csv: no output format has the extension .csv\nhint: use .jsonl, "),
        (format!("{embed} -o x.json"), "jq -s . x.jsonl > x.json converts .jsonl"),
        (
            format!("{embed} -o x.jsonl.gz"),
            "x.jsonl.gz: outputs are not compressed\nhint: name it x.jsonl, then: gzip x.jsonl",
        ),
        (format!("{embed} -o x.tmp"), "x.tmp: no output format has the extension .tmp"),
        (format!("{embed} -o x.npy --format safetensors"), "x.npy: --format safetensors does not match the extension"),
        (format!("{line} s=a,b -o x.xlsx"), "x.xlsx: no output format has the extension .xlsx"),
        ("docs2queries --generator extractive corpus.jsonl -o x.json".into(), "jq -s . x.jsonl > x.json"),
        (
            "docs2queries --generator extractive corpus.jsonl -o x.jsonl.zst".into(),
            "name it x.jsonl, then: zstd --rm x.jsonl",
        ),
        (
            "pairs2shards --model BASE pairs.jsonl -o x.jsonl".into(),
            "the output format is .safetensors\nhint: name it x.safetensors",
        ),
        ("mine-negatives --queries q --corpus c --texts t -o x.parquet".into(), "to_parquet(\"x.parquet\")"),
    ] {
        let refusal = folder.run(&command).refusal();
        assert!(refusal.contains(expected), "{command}: {refusal}");
    }
    for (name, begins) in [("x.JSONL", "{"), ("x.tmp --format jsonl", "{"), ("x.json --format jsonl", "{")] {
        folder.run(&format!("{embed} -o {name}")).done();
        let file = name.split(' ').next().unwrap();
        assert!(folder.read(file).starts_with(begins), "{name}");
    }
    let script = format!("{embed} -o >(cat > got.safetensors); while ! [ -s got.safetensors ]; do sleep 0.05; done");
    folder.shell(&script).done();
}
