//! Losses and gradients, compared with those of sentence-transformers.
//!
//! The reference values and the script that created them are in `tests/fixtures/parity/losses`.

use std::path::Path;

use embtune_torch::tch::{Kind, Tensor};
use serde_json::Value;

use super::{FalseNegatives, Guide, LossArgs, Objective, Targets};

/// Relative to the length of the gradient: the reference is float64, ours f32.
const TOLERANCE: f64 = 1e-5;

struct Figures(Value);

/// A case with its vectors; anchors and documents are leaves.
struct Case<'a> {
    name: String,
    expected: &'a Value,
    objective: Objective,
    anchors: Tensor,
    documents: Tensor,
    targets: Targets,
}

impl Figures {
    fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/parity/losses/losses.json");
        Self(serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
    }

    fn cases(&self) -> impl Iterator<Item = Case<'_>> {
        let cases = self.0["cases"].as_array().unwrap();
        assert!(!cases.is_empty());
        cases.iter().map(|case| self.case(case))
    }

    fn case<'a>(&self, expected: &'a Value) -> Case<'a> {
        let flags: Vec<_> = expected["flags"].as_array().unwrap().iter().map(|flag| flag.as_str().unwrap()).collect();
        let flags = flags.join(" ");
        let negatives: Vec<_> =
            expected["negatives"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap() as usize).collect();
        let pairs = negatives.len();
        let own = negatives.iter().enumerate().flat_map(|(pair, count)| std::iter::repeat_n(pair, *count));
        let owners: Vec<usize> = (0..pairs).chain(own).collect();
        let documents = |name: &str| rows(&self.0[name]).narrow(0, 0, owners.len() as i64);
        let scores = floats(&self.0["score"]);
        let scores = scores[..owners.len()].iter().map(|score| *score as f32).collect();
        let anchors = rows(&self.0["anchors"]);
        let objective = LossArgs::parse(&flags).unwrap().objective(anchors.size()[1] as usize).unwrap();
        Case {
            name: format!("{flags} with {negatives:?} negatives"),
            expected,
            documents: documents("documents").set_requires_grad(true),
            targets: Targets {
                pairs,
                false_negatives: FalseNegatives::default(),
                scores: expected["scores"].as_bool().unwrap().then_some(scores),
                guide: objective
                    .loss
                    .needs()
                    .guide
                    .then(|| Guide::new(&rows(&self.0["guide_anchors"]), &documents("guide_documents")).unwrap()),
                owners,
            },
            anchors: anchors.set_requires_grad(true),
            objective,
        }
    }
}

impl Case<'_> {
    fn check(&self, chunk: usize) {
        let Self { anchors, documents, name, .. } = self;
        let loss = self.objective.backward_by(chunk, anchors, documents, &self.targets).unwrap().double_value(&[]);
        let expected = self.expected["loss"].as_f64().unwrap();
        assert!((loss - expected).abs() <= TOLERANCE * expected, "{name}: loss {loss}, expected {expected}");
        for (side, leaf) in [("anchors", anchors), ("documents", documents)] {
            let expected = rows(&self.expected[side]);
            let error = (leaf.grad() - &expected).norm().double_value(&[]) / expected.norm().double_value(&[]);
            assert!(error <= TOLERANCE, "{name}: gradient of the {side} is off by {error:e}");
        }
    }
}

fn rows(value: &Value) -> Tensor {
    let rows: Vec<_> = value.as_array().unwrap().iter().map(|row| Tensor::from_slice(&floats(row))).collect();
    Tensor::stack(&rows, 0).to_kind(Kind::Float)
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

#[test]
fn losses_and_gradients_agree_with_the_reference() {
    let figures = Figures::read();
    assert!(figures.cases().count() >= 45);
    for case in figures.cases() {
        case.check(case.targets.pairs);
    }
}

#[test]
fn chunks_make_no_difference() {
    let figures = Figures::read();
    for chunk in [1, 2, 3] {
        figures.cases().for_each(|case| case.check(chunk));
    }
}

#[test]
fn nan_and_infinity_reach_the_loss() {
    let figures = Figures::read();
    for case in figures.cases() {
        for spoilt in [f64::NAN, f64::INFINITY] {
            let documents = case.documents.detach().copy();
            // A positive, which every loss uses.
            let _ = documents.get(3).fill_(spoilt);
            let documents = documents.set_requires_grad(true);
            let loss = case.objective.backward(&case.anchors, &documents, &case.targets).unwrap();
            assert!(!loss.double_value(&[]).is_finite(), "{}: {spoilt} gives {loss:?}", case.name);
        }
    }
}
