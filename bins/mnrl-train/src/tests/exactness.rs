//! The engine's promises about its own arithmetic, on a real network with dropout: neither micro-batches nor memory
//! change what is computed.

use std::path::Path;

use embtune_model::ModelDir;
use embtune_torch::tch::{Device, Kind, Tensor};

use crate::network::{Network, Pass, Row, trained};
use crate::training::grad_cache::{Budget, GradCache};
use crate::training::keys::{batch_key, row_key};
use crate::weights::groups::{Options, specs};
use crate::weights::parameters::Parameters;

const DROPOUT: Pass = Pass { kind: Kind::Float, hidden_dropout: 0.1, attention_dropout: 0.1 };

struct Fixture {
    model: ModelDir,
    parameters: Parameters,
    network: Network,
    rows: Vec<Vec<u32>>,
}

impl Fixture {
    fn open(name: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/parity").join(name);
        let model = ModelDir::open(&root).unwrap();
        let options = Options { weight_decay: 0.0, layer_decay: 1.0, freeze: None, lora: None, seed: 0 };
        let specs = specs(&model, options).unwrap();
        let parameters = Parameters::load(specs, &model.weights().unwrap(), Device::Cpu).unwrap();
        let network = Network::new(&model, trained(&model).unwrap(), &parameters, None).unwrap();
        let most = model.config().max_length().min(40);
        // Lengths from 1 to the longest, in no order.
        let rows: Vec<Vec<u32>> = (0..24)
            .map(|row| (0..1 + (row * 17) % most).map(|place| (3 + (row * 31 + place * 7) % 60) as u32).collect())
            .collect();
        Self { model, parameters, network, rows }
    }

    /// Vectors, and the gradient of a loss that depends on all of them together.
    fn gradient(&self, pass: Pass, batch_tokens: usize, live_tokens: usize) -> (Tensor, Tensor) {
        let key = batch_key(1, 2);
        let rows: Vec<_> = (0..).zip(&self.rows).map(|(row, tokens)| Row { tokens, key: row_key(key, row) }).collect();
        let cache = GradCache {
            network: &self.network,
            config: trained(&self.model).unwrap(),
            device: Device::Cpu,
            pass,
            budget: Budget { batch_tokens, live_tokens },
            overlap: None,
        };
        let _ = self.parameters.grads.shallow_clone().zero_();
        let forward = cache.forward(&rows).unwrap();
        let vectors = forward.vectors().unwrap().set_requires_grad(true);
        let scores = vectors.matmul(&vectors.transpose(0, 1)).log_softmax(-1, Kind::Float);
        scores.diag(0).sum(Kind::Float).backward();
        cache.backward(&rows, forward, &vectors.grad()).unwrap();
        let vectors = vectors.detach();
        (vectors, self.parameters.grads.copy())
    }
}

fn distance(a: &Tensor, b: &Tensor) -> f64 {
    ((a - b).norm() / b.norm()).double_value(&[])
}

#[test]
fn what_is_computed_twice_is_the_same_to_the_bit() {
    for name in ["tiny-bert", "tiny-xlmr", "tiny-mpnet", "tiny-distilbert"] {
        for kind in [Kind::Float, Kind::BFloat16] {
            let fixture = Fixture::open(name);
            let pass = Pass { kind, ..DROPOUT };
            let (vectors, kept) = fixture.gradient(pass, 64, usize::MAX);
            for live in [0, 150, 300] {
                let (again, cached) = fixture.gradient(pass, 64, live);
                assert_eq!(again, vectors, "{name}, {live} live tokens");
                assert_eq!(cached, kept, "{name}, {live} live tokens");
            }
        }
    }
}

#[test]
fn micro_batches_change_nothing_but_the_rounding() {
    for name in ["tiny-bert", "tiny-xlmr", "tiny-mpnet", "tiny-distilbert"] {
        let fixture = Fixture::open(name);
        let (whole_vectors, whole) = fixture.gradient(DROPOUT, usize::MAX, usize::MAX);
        for batch_tokens in [1, 64, 100] {
            let (vectors, cut) = fixture.gradient(DROPOUT, batch_tokens, 0);
            assert!(distance(&vectors, &whole_vectors) < 1e-5, "{name}, {batch_tokens} tokens");
            assert!(distance(&cut, &whole) < 1e-5, "{name}, {batch_tokens} tokens: {}", distance(&cut, &whole));
        }
        let (_, without) = fixture.gradient(DROPOUT.without_dropout(), usize::MAX, usize::MAX);
        assert!(distance(&without, &whole) > 1e-2, "dropout is at work");
    }
}

#[test]
fn bfloat16_follows_fp32() {
    let fixture = Fixture::open("tiny-bert");
    let (vectors, grads) = fixture.gradient(DROPOUT, usize::MAX, usize::MAX);
    let (rounded_vectors, rounded) = fixture.gradient(Pass { kind: Kind::BFloat16, ..DROPOUT }, usize::MAX, usize::MAX);
    assert!(distance(&rounded_vectors, &vectors) < 0.02, "{}", distance(&rounded_vectors, &vectors));
    assert!(distance(&rounded, &grads) < 0.05, "{}", distance(&rounded, &grads));
}
