//! Scores and refusals of a dev set. The end-to-end tests compare its scores with those of `embed` and `ir-eval`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;

use embtune_metrics::{Ties, mean};
use embtune_model::ModelDir;
use embtune_records::{JudgedQuery, Judgments, shortest_decimal};
use embtune_torch::normalize;
use embtune_torch::tch::Tensor;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::{DevSet, Encoding, Files, TextFile, Texts};

const DIM: usize = 64;
const BATCH_TOKENS: usize = 500;

fn model() -> ModelDir {
    ModelDir::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/parity/tiny-bert")).unwrap()
}

/// A vector derived from the last tokens, so that texts with the same ending match. Its length is a power of two and
/// its elements are whole numbers: products, sums and normalised vectors are exact in any order, so that ties stay
/// ties.
fn vector(tokens: &[u32]) -> Vec<f32> {
    let seed = tokens
        .iter()
        .rev()
        .take(4)
        .fold(7_u64, |hash, token| (hash ^ u64::from(*token)).wrapping_mul(0x0100_0000_01b3));
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    let (ones, size) = if generator.random() { (16, 1.0) } else { (4, 2.0) };
    let mut vector = vec![0.0; DIM];
    vector[..ones].fill(size);
    vector.iter_mut().for_each(|x| *x *= if generator.random() { 1.0 } else { -1.0 });
    vector.shuffle(&mut generator);
    vector
}

fn encode(rows: &[Vec<u32>]) -> anyhow::Result<Tensor> {
    let tokens: usize = rows.iter().map(Vec::len).sum();
    assert!(tokens <= BATCH_TOKENS || rows.len() == 1, "{tokens} tokens at once");
    let vectors: Vec<f32> = rows.iter().flat_map(|row| vector(row)).collect();
    Ok(Tensor::from_slice(&vectors).view([rows.len() as i64, DIM as i64]))
}

fn text(generator: &mut ChaCha8Rng) -> String {
    let words = ["lift", "cells", "ballast", "sand", "hail", "roof", "mice", "seam"];
    (0..generator.random_range(2..6))
        .map(|_| words[generator.random_range(0..words.len())])
        .collect::<Vec<_>>()
        .join(" ")
}

fn record(id: &str, text: &str) -> String {
    format!("{}\n", serde_json::json!({"_id": id, "title": "T", "text": text}))
}

/// Documents in more than one block, many of them with the same text, and queries in more than one block.
fn texts() -> [String; 3] {
    let mut generator = ChaCha8Rng::seed_from_u64(3);
    let corpus = (0..17_000).map(|n| record(&format!("d{}", n * 7 % 17_000), &text(&mut generator))).collect();
    let queries = (0..530).map(|n| record(&format!("q{n}"), &text(&mut generator))).collect();
    let mut qrels = String::from("gone\td1\t1\nirrelevant\td1\t0\nq1\tnowhere\t1\n");
    for n in 0..520 {
        for m in 0..generator.random_range(1..30) {
            let relevance = generator.random_range(0..3);
            qrels += &format!("q{n}\td{}\t{relevance}\n", (n * 31 + m * 577) % 17_000);
        }
    }
    [queries, corpus, qrels]
}

fn open(texts: &[String; 3], metric: &str, cosine: bool) -> Result<(DevSet, Vec<String>), String> {
    let [queries, corpus, qrels] = texts;
    let file = |name: &str, text: &'static str| TextFile { name: name.to_owned(), reader: text.as_bytes() };
    let leak = |text: &String| &*text.clone().leak();
    let files = Files {
        queries: file("queries", leak(queries)),
        corpus: file("corpus", leak(corpus)),
        qrels: file("qrels", leak(qrels)),
    };
    let warnings = RefCell::new(Vec::new());
    let encoding = Encoding { cosine, batch_tokens: BATCH_TOKENS, threads: 2 };
    let set = DevSet::read(files, &model(), metric.parse().unwrap(), encoding, |what| warnings.borrow_mut().push(what));
    set.map(|set| (set, warnings.into_inner())).map_err(|error| format!("{error:#}"))
}

/// All queries against all documents in one product, sorted: what blocks and partial rankings must give too.
fn brute_force(set: &DevSet, judgments: &Judgments, cosine: bool) -> Vec<f64> {
    let vectors = |texts: &Texts| {
        let rows: Vec<_> = texts.batches().map(|(_, rows)| encode(rows).unwrap()).collect();
        let all = Tensor::cat(&rows, 0);
        if cosine { normalize(&all).unwrap() } else { all }
    };
    let (queries, documents) = (vectors(&set.queries), vectors(&set.corpus).tr());
    let mut rankings = HashMap::new();
    for (index, id) in (0..).zip(set.queries.ids()) {
        let scores = Vec::<f32>::try_from(queries.get(index).unsqueeze(0).matmul(&documents).view([-1])).unwrap();
        let mut ranking: Vec<_> = scores.into_iter().map(shortest_decimal).zip(set.corpus.ids()).collect();
        ranking.sort_by(|a, b| Ties::GreaterId.order(*a, *b));
        rankings.insert(id, ranking);
    }
    let value = |query: &JudgedQuery| {
        let ranking = rankings.get(&*query.id).map(Vec::as_slice).unwrap_or_default();
        set.metric.value(&judgments.relevances(&query.id, ranking.iter().map(|(_, id)| *id)), &query.ideal)
    };
    judgments.queries().iter().map(value).collect()
}

#[test]
fn blocks_change_no_score() {
    let texts = texts();
    let judgments = Judgments::read("qrels", texts[2].as_bytes(), |_| {}).unwrap();
    for (metric, cosine) in [("ndcg@10", true), ("recall@30", false)] {
        let (set, _) = open(&texts, metric, cosine).unwrap();
        let found = set.evaluate(&mut encode).unwrap();
        let expected = brute_force(&set, &judgments, cosine);
        assert!(found.mean > 0.0 && (found.mean - mean(&expected)).abs() < 1e-9, "{metric}: {}", found.mean);
        assert_eq!(found.per_query, expected, "{metric}");
    }
}

#[test]
fn missing_queries_and_documents_count_as_0_and_are_reported() {
    let [queries, corpus, qrels] = [
        record("q1", "lift cells") + &record("unjudged", "sand"),
        record("d1", "lift") + &record("d2", "mice"),
        "q1\td1\t1\nq1\td9\t1\nq2\td2\t1\n".to_owned(),
    ];
    let (set, warnings) = open(&[queries, corpus, qrels], "recall@2", true).unwrap();
    assert_eq!(
        warnings,
        [
            "dev set: 1 of 3 relevant documents are not in the corpus (first: \"d9\", relevant to query \"q1\")",
            "dev set: 1 judged query is missing (first: \"q2\"); missing queries count as 0"
        ]
    );
    let score = set.evaluate(&mut encode).unwrap();
    assert_eq!((score.per_query, score.mean), (vec![0.5, 0.0], 0.25));
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    let good = [record("q1", "lift"), record("d1", "sand"), "q1\td1\t1\n".to_owned()];
    assert!(open(&good, "ndcg@10", true).is_ok());
    for (file, content, expected) in [
        (0, record("x", "lift"), "queries: contains no query of qrels\nhint: "),
        (1, record("x", "sand"), "corpus: holds none of the 1 relevant documents of the judgments (first: \"d1\""),
        (1, record("d1", "sand").repeat(2), "corpus:2: duplicate id \"d1\""),
        (1, "{\n".to_owned(), "corpus:1: not JSON"),
        (2, "q1\td1\t0\n".to_owned(), "qrels: no query has a relevant document"),
    ] {
        let mut files = good.clone();
        files[file] = content;
        let message = open(&files, "ndcg@10", true).err().unwrap();
        assert!(message.starts_with(expected), "{message}");
    }
}

#[test]
fn a_vector_with_nan_is_named() {
    let files = [record("q1", "lift"), record("d1", "sand") + &record("d2", "sand sand"), "q1\td1\t1\n".to_owned()];
    let (set, _) = open(&files, "ndcg@10", true).unwrap();
    let mut nan = |rows: &[Vec<u32>]| {
        // The only batch of two rows has the documents, the longer one first.
        let vectors = [1.0, 1.0, 1.0, if rows.len() == 2 { f32::NAN } else { 1.0 }];
        Ok(Tensor::from_slice(&vectors[..2 * rows.len()]).view([rows.len() as i64, 2]))
    };
    let message = set.evaluate(&mut nan).unwrap_err().to_string();
    assert!(message.starts_with("corpus: the vector of \"d1\" holds NaN or infinity"), "{message}");
}
