//! Masked, small and uneven batches.

use embtune_tensors::Hashes;
use embtune_torch::tch::{Device, Kind, Tensor};

use super::{FalseNegatives, Guide, LossArgs, Objective, Targets};

const SIZE: i64 = 4;
const IN_BATCH: [&str; 4] =
    ["--directions q2d,q2q,d2d", "--loss symmetric", "--loss gist --scale 10", "--matryoshka 4,2"];

fn objective(flags: &str) -> Objective {
    LossArgs::parse(flags).unwrap().objective(SIZE as usize).unwrap()
}

/// Vectors that all differ.
fn vectors(rows: usize, first: f64) -> Tensor {
    let places = Tensor::arange(rows as i64 * SIZE, (Kind::Float, Device::Cpu)) * 1.7 + first;
    places.sin().view([rows as i64, SIZE])
}

/// A batch whose anchors and documents have these texts, with a guide's vectors and descending scores.
fn targets(anchors: &[u64], documents: &[u64], owners: &[usize]) -> Targets {
    let hashes =
        |texts: &[u64]| -> Vec<_> { texts.iter().map(|text| Hashes { text: *text, ..Hashes::default() }).collect() };
    let guide = Guide::new(&vectors(anchors.len(), 0.5), &vectors(documents.len(), 2.5)).unwrap();
    Targets {
        pairs: anchors.len(),
        owners: owners.to_vec(),
        false_negatives: FalseNegatives::find(&hashes(anchors), &hashes(documents)),
        scores: Some((0..documents.len()).map(|document| 1.0 - 0.1 * document as f32).collect()),
        guide: Some(guide),
    }
}

/// The loss and both gradients.
fn backward(objective: &Objective, anchors: &Tensor, documents: &Tensor, targets: &Targets) -> (f64, Tensor, Tensor) {
    let [anchors, documents] = [anchors, documents].map(|x| x.detach().set_requires_grad(true));
    let loss = objective.backward(&anchors, &documents, targets).unwrap().double_value(&[]);
    (loss, anchors.grad(), documents.grad())
}

fn largest(x: &Tensor) -> f64 {
    x.abs().max().double_value(&[])
}

#[test]
fn pairs_with_the_same_document_do_not_push_each_other_apart() {
    let (anchors, documents) = (vectors(2, 0.0), vectors(2, 9.0));
    for flags in IN_BATCH {
        let objective = objective(flags);
        let (targets, others) = (targets(&[1, 2], &[3, 3], &[0, 1]), targets(&[1, 2], &[3, 4], &[0, 1]));
        let (loss, of_anchors, of_documents) = backward(&objective, &anchors, &documents, &targets);
        assert!(loss.abs() < 1e-6, "{flags}: {loss}");
        assert!(largest(&of_anchors) < 1e-6 && largest(&of_documents) < 1e-6, "{flags}: {of_anchors:?}");
        let (loss, ..) = backward(&objective, &anchors, &documents, &others);
        assert!(loss > 1e-3, "{flags} with two documents: {loss}");
        assert_eq!((objective.loss.masked(&targets), objective.loss.masked(&others)), (2, 0), "{flags}");
    }
}

#[test]
fn a_masked_document_has_no_effect() {
    let (anchors, documents) = (vectors(2, 0.0), vectors(4, 9.0));
    // The last document has the text of both positives.
    let with = targets(&[1, 2], &[3, 3, 5, 3], &[0, 1, 0, 1]);
    let without = targets(&[1, 2], &[3, 3, 5], &[0, 1, 0]);
    for flags in IN_BATCH.into_iter().chain(["--loss triplet --margin 3"]) {
        let objective = objective(flags);
        let (loss, of_anchors, of_documents) = backward(&objective, &anchors, &documents, &with);
        let expected = backward(&objective, &anchors, &documents.narrow(0, 0, 3), &without);
        assert!((loss - expected.0).abs() < 1e-5 && loss > 1e-3, "{flags}: {loss}, expected {}", expected.0);
        assert!(largest(&(of_anchors - expected.1)) < 1e-5, "{flags}");
        assert!(largest(&(of_documents.narrow(0, 0, 3) - expected.2)) < 1e-5, "{flags}");
        assert_eq!(largest(&of_documents.get(3)), 0.0, "{flags}");
        assert!(objective.loss.masked(&with) > 0, "{flags}");
    }
}

#[test]
fn a_single_pair_has_nothing_to_compare() {
    for flags in IN_BATCH.into_iter().chain(["--loss triplet", "--loss margin-mse", "--loss cosent"]) {
        let targets = targets(&[1], &[2], &[0]);
        let (loss, anchors, documents) = backward(&objective(flags), &vectors(1, 0.0), &vectors(1, 9.0), &targets);
        assert!(loss.abs() < 1e-6, "{flags}: {loss}");
        assert!(largest(&anchors) < 1e-6 && largest(&documents) < 1e-6, "{flags}: {anchors:?} {documents:?}");
    }
}

/// Batches are given by the texts of anchors and documents, and the pairs of the documents.
#[test]
fn a_batch_with_nothing_to_compare_is_recognised() {
    let single = || targets(&[1], &[2], &[0]);
    let masked = || targets(&[1, 2, 3], &[7, 7, 7], &[0, 1, 2]);
    let with_negative = || targets(&[1], &[2, 9], &[0, 0]);
    let with_masked_negative = || targets(&[1], &[2, 2], &[0, 0]);
    let compares = |flags: &str, targets: &Targets| objective(flags).loss.compares(targets).unwrap();
    for flags in IN_BATCH.into_iter().chain(["--loss mnrl", "--directions q2d,d2q"]) {
        assert!(!compares(flags, &single()) && !compares(flags, &masked()), "{flags}");
        assert!(!compares(flags, &with_masked_negative()), "{flags}");
        assert!(compares(flags, &targets(&[1, 2], &[3, 4], &[0, 1])), "{flags}");
        // Two of three pairs share a document, the third is a negative of both.
        assert!(compares(flags, &targets(&[1, 2, 3], &[7, 7, 8], &[0, 1, 2])), "{flags}");
        assert!(flags.contains("gist") || compares(flags, &with_negative()), "{flags}");
    }
    for flags in ["--loss triplet", "--loss margin-mse"] {
        assert!(!compares(flags, &single()) && !compares(flags, &masked()), "{flags}");
        assert!(compares(flags, &with_negative()), "{flags}");
    }
    assert!(!compares("--loss triplet", &with_masked_negative()));
    assert!(compares("--loss contrastive", &single()), "a positive is pulled to its anchor");
    let mut equal = masked();
    equal.scores = Some(vec![0.5; 3]);
    assert!(compares("--loss cosent", &masked()) && !compares("--loss cosent", &equal));
}

/// If the guide excludes every negative, there is nothing to compare.
#[test]
fn a_guide_may_leave_nothing_to_compare() {
    let objective = objective("--loss gist");
    let mut targets = targets(&[1, 2], &[3, 4], &[0, 1]);
    let same = Tensor::from_slice2(&[[1.0_f32, 0.0], [1.0, 0.0]]);
    let other = Tensor::from_slice2(&[[1.0_f32, 0.0], [0.0, 1.0]]);
    // The other document is closer than the positive for one of the anchors, and farther for none.
    targets.guide = Some(Guide::new(&other, &Tensor::from_slice2(&[[0.0_f32, 1.0], [1.0, 0.0]])).unwrap());
    let (loss, ..) = backward(&objective, &vectors(2, 0.0), &vectors(2, 9.0), &targets);
    assert_eq!(loss > 1e-6, objective.loss.compares(&targets).unwrap(), "{loss}");
    targets.guide = Some(Guide::new(&same, &other).unwrap());
    let (loss, ..) = backward(&objective, &vectors(2, 0.0), &vectors(2, 9.0), &targets);
    assert_eq!(loss > 1e-6, objective.loss.compares(&targets).unwrap(), "{loss}");
}
