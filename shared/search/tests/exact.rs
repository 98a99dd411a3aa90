//! Search compared with a plain loop.

use std::fs::File;
use std::path::Path;

use embtune_cli::Device;
use embtune_search::{Hit, Ranker, Searcher, Similarity, gather};
use embtune_tensors::{Embeddings, EmbeddingsMeta, EmbeddingsWriter, VectorType, check_same_space};

fn write(directory: &Path, name: &str, rows: &[Vec<f32>]) -> Embeddings {
    let mut writer = EmbeddingsWriter::new(directory, rows[0].len(), VectorType::F32).unwrap();
    for (index, row) in rows.iter().enumerate() {
        writer.push(&format!("{name}{index:05}"), row).unwrap();
    }
    let meta = EmbeddingsMeta { pooling: "mean".into(), ..EmbeddingsMeta::default() };
    let path = directory.join(name);
    writer.finish(meta, &mut File::create(&path).unwrap()).unwrap();
    Embeddings::open(&path).unwrap()
}

/// A simple generator is enough, because the numbers only have to differ.
fn random(rows: usize, dim: usize, mut state: u64) -> Vec<Vec<f32>> {
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..rows).map(|_| (0..dim).map(|_| next()).collect()).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn search(searcher: &mut Searcher, queries: &Embeddings, corpus: &Embeddings, k: usize) -> Vec<Vec<Hit>> {
    let rows = gather(queries, 0..queries.len()).unwrap();
    searcher.top_k(&rows, corpus, k).unwrap()
}

#[test]
fn the_nearest_are_found_over_several_blocks() {
    let directory = tempfile::tempdir().unwrap();
    let (queries, corpus) = (random(7, 16, 1), random(40_000, 16, 2));
    let mut searcher = Searcher::new(Device::Cpu, 2, Similarity::Cosine, None).unwrap();
    let (q, c) = (write(directory.path(), "q", &queries), write(directory.path(), "c", &corpus));
    let found = search(&mut searcher, &q, &c, 10);
    assert_eq!(found.len(), queries.len());
    for (query, hits) in queries.iter().zip(found) {
        let mut expected: Vec<(usize, f32)> = corpus.iter().map(|row| cosine(query, row)).enumerate().collect();
        expected.sort_by(|a, b| b.1.total_cmp(&a.1));
        assert_eq!(hits.len(), 10);
        for (hit, (_, score)) in hits.iter().zip(&expected) {
            assert!((hit.score - score).abs() < 1e-5 && (cosine(query, &corpus[hit.index]) - score).abs() < 1e-5);
        }
    }
}

#[test]
fn ties_are_broken_by_id_even_at_the_last_hit() {
    let directory = tempfile::tempdir().unwrap();
    let corpus = vec![vec![1.0, 0.0]; 300];
    let q = write(directory.path(), "q", &[vec![1.0, 0.0]]);
    let c = write(directory.path(), "c", &corpus);
    let mut searcher = Searcher::new(Device::Cpu, 1, Similarity::Dot, None).unwrap();
    let hits = search(&mut searcher, &q, &c, 3).remove(0);
    assert_eq!(hits.iter().map(|hit| hit.index).collect::<Vec<_>>(), [299, 298, 297]);
    assert_eq!(search(&mut searcher, &q, &c, 1000)[0].len(), 300, "k exceeds the corpus");
}

#[test]
fn incomparable_vectors_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut searcher = Searcher::new(Device::Cpu, 1, Similarity::Cosine, None).unwrap();
    let q = write(directory.path(), "q", &[vec![1.0, 0.0]]);
    let other = write(directory.path(), "c", &[vec![1.0, 0.0, 0.0]]);
    let error = check_same_space(&q, &other).unwrap_err().to_string();
    assert!(error.contains("has vectors of 2 elements") && error.ends_with("of 3"), "{error}");
    let nan = write(directory.path(), "n", &[vec![1.0, 0.0], vec![f32::NAN, 0.0]]);
    let error = searcher.top_k(&[1.0, 0.0], &nan, 1).unwrap_err().to_string();
    assert!(error.ends_with("the vector of \"n00001\" holds NaN or infinity"), "{error}");
}

#[test]
fn ranks_are_positions_in_the_whole_ranking() {
    let directory = tempfile::tempdir().unwrap();
    let mut corpus = random(20_000, 8, 4);
    // Equal documents, among which ids decide.
    let double = corpus[77].clone();
    corpus[19_990..].fill(double);
    let (q, c) = (write(directory.path(), "q", &random(600, 8, 3)), write(directory.path(), "c", &corpus));
    let documents: Vec<usize> = (0..q.len()).map(|query| [77, 19_995, query * 33][query % 3]).collect();
    for similarity in [Similarity::Cosine, Similarity::Dot] {
        let mut searcher = Searcher::new(Device::Cpu, 2, similarity, None).unwrap();
        let vectors = gather(&q, 0..q.len()).unwrap();
        let ranks = Ranker::new(Device::Cpu, 2, similarity, None).unwrap().ranks(&vectors, &c, &documents).unwrap();
        for query in (0..q.len()).step_by(29) {
            let hits = searcher.top_k(&vectors[query * 8..(query + 1) * 8], &c, c.len()).unwrap().remove(0);
            let expected = 1 + hits.iter().position(|hit| hit.index == documents[query]).unwrap();
            assert_eq!(ranks[query], expected, "query {query}, {similarity:?}");
        }
    }
}

#[test]
fn several_files_are_searched_as_one() {
    let directory = tempfile::tempdir().unwrap();
    let (queries, corpus) = (random(5, 16, 3), random(9000, 16, 4));
    let q = write(directory.path(), "q", &queries);
    let whole = write(directory.path(), "d", &corpus);
    // One file is larger than a block, one is empty.
    for (part, rows) in [(0, 0..10), (1, 10..10), (2, 10..7000), (3, 7000..9000)] {
        let mut writer = EmbeddingsWriter::new(directory.path(), 16, VectorType::F32).unwrap();
        for row in rows {
            writer.push(&format!("d{row:05}"), &corpus[row]).unwrap();
        }
        let path = directory.path().join(format!("part-{part}"));
        writer.finish(EmbeddingsMeta::default(), &mut File::create(path).unwrap()).unwrap();
    }
    let parts = Embeddings::open(&directory.path().join("part-*")).unwrap();
    assert_eq!(parts.len(), 9000);
    assert!(parts.ids().eq(whole.ids()));
    assert_eq!(parts.rows_f32(5..8000), whole.rows_f32(5..8000));
    let near = |a: f32, b: f32| (a - b).abs() < 1e-6;
    for similarity in [Similarity::Cosine, Similarity::Euclidean] {
        let mut searcher = Searcher::new(Device::Cpu, 2, similarity, None).unwrap();
        let (a, b) = (search(&mut searcher, &q, &whole, 30), search(&mut searcher, &q, &parts, 30));
        for (a, b) in a.concat().iter().zip(b.concat()) {
            assert!(a.index == b.index && near(a.score, b.score), "{a:?} {b:?}");
        }
    }
    let vectors = gather(&q, 0..5).unwrap();
    let mut ranker = Ranker::new(Device::Cpu, 2, Similarity::Cosine, None).unwrap();
    let mut ranks = |corpus| ranker.ranks(&vectors, corpus, &[0, 12, 6999, 7000, 8999]).unwrap();
    assert_eq!(ranks(&whole), ranks(&parts));
}

#[test]
fn overflowing_vectors_are_refused_by_file() {
    let directory = tempfile::tempdir().unwrap();
    let large = write(directory.path(), "large", &[vec![1.0, 0.0], vec![1e25, 1e25]]);
    for similarity in [Similarity::Cosine, Similarity::Dot, Similarity::Euclidean] {
        let mut searcher = Searcher::new(Device::Cpu, 1, similarity, None).unwrap();
        let error = searcher.top_k(&[1.0, 0.0], &large, 1).unwrap_err().to_string();
        assert!(error.ends_with("large: the sum of the squares of a vector's elements overflows"), "{error}");
    }
}
