//! Exactness of the engine on a real network with dropout: neither micro-batches nor the memory limit change the
//! result.

use std::path::Path;

use embtune_model::ModelDir;
use embtune_torch::tch::{Device, Kind, Tensor, no_grad};

use crate::network::{Network, Pass, Row, batch_key, row_key};
use crate::training::grad_cache::GradCache;
use crate::training::memory::Budget;
use crate::weights::lora::Lora;
use crate::weights::param_groups::{ParamArgs, specs};
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
        Self::with(name, None)
    }

    fn with(name: &str, lora: Option<&Lora>) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/parity").join(name);
        let model = ModelDir::open(&root).unwrap();
        let args = ParamArgs { lora: lora.cloned(), ..ParamArgs::default() };
        let specs = specs(&model, &args, 0).unwrap();
        let parameters = Parameters::load(specs, &model.weights().unwrap(), Device::Cpu).unwrap();
        let network = Network::new(&model, &parameters, lora).unwrap();
        let most = model.config().max_length.min(40);
        // Lengths from 1 to the longest, unsorted.
        let rows: Vec<Vec<u32>> = (0..24)
            .map(|row| (0..1 + (row * 17) % most).map(|place| (3 + (row * 31 + place * 7) % 60) as u32).collect())
            .collect();
        Self { model, parameters, network, rows }
    }

    /// The vectors, and the gradient of a loss that depends on all of them.
    fn gradient(&self, pass: Pass, batch_tokens: usize, live_tokens: usize) -> (Tensor, Tensor) {
        let key = batch_key(1, 2);
        let rows: Vec<_> = (0..).zip(&self.rows).map(|(row, tokens)| Row { tokens, key: row_key(key, row) }).collect();
        let cache = GradCache {
            network: &self.network,
            device: Device::Cpu,
            pass,
            budget: Budget { batch_tokens, live_tokens },
            reducer: None,
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
fn a_second_pass_repeats_the_first_bit_for_bit() {
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

/// Adds noise of this size to every trained value.
fn perturb(fixture: &Fixture, step: f64) {
    let values = &fixture.parameters.values;
    let noise = (Tensor::arange(values.numel() as i64, (Kind::Float, Device::Cpu)) * 3.0).sin() * step;
    let _ = no_grad(|| values.shallow_clone().g_add_(&noise));
}

#[test]
fn casts_are_renewed_when_the_weights_change() {
    let lora: Lora = "r=3,targets=query,value,intermediate.dense,output.dense".parse().unwrap();
    for kind in [Kind::Float, Kind::BFloat16] {
        for lora in [None, Some(&lora)] {
            let pass = Pass { kind, ..DROPOUT };
            let (used, new) = (Fixture::with("tiny-bert", lora), Fixture::with("tiny-bert", lora));
            let (before, _) = used.gradient(pass, 64, 100);
            perturb(&used, 0.05);
            perturb(&new, 0.05);
            let (vectors, grads) = used.gradient(pass, 64, 100);
            assert!(distance(&vectors, &before) > 1e-3, "the change has an effect");
            assert_eq!((vectors, grads), new.gradient(pass, 64, 100), "{kind:?}, {lora:?}");
        }
    }
}

#[test]
fn adapters_get_the_gradient_of_the_weights_they_change() {
    let lora: Lora = "r=3,targets=query,value,intermediate.dense,output.dense".parse().unwrap();
    let adapted = Fixture::with("tiny-bert", Some(&lora));
    perturb(&adapted, 0.05);
    let whole = Fixture::open("tiny-bert");
    let (merged, _) = lora.merge(adapted.parameters.to_weights().unwrap(), &whole.model.parameters());
    for (name, values) in &merged {
        let leaf = whole.parameters.leaf(std::slice::from_ref(name), &[values.len() as i64]).unwrap();
        no_grad(|| leaf.shallow_clone().copy_(&Tensor::from_slice(values)));
    }
    let (expected_vectors, _) = whole.gradient(DROPOUT, 64, 100);
    let (vectors, _) = adapted.gradient(DROPOUT, 64, 100);
    assert!(distance(&vectors, &expected_vectors) < 1e-5);
    let weights = adapted.parameters.to_weights().unwrap();
    let mut compared = 0;
    for parameter in whole.model.parameters() {
        let Some(stem) = parameter.name.strip_suffix(".weight").filter(|stem| lora.adapts(stem)) else { continue };
        let shape = [&parameter.shape[..], &[lora.rank]].concat().into_iter().map(|n| n as i64).collect::<Vec<_>>();
        let [output, input, rank] = shape[..] else { panic!("{shape:?}") };
        let grad = whole.parameters.grad(&parameter.name).unwrap().view([output, input]) * lora.scale();
        let [a, b] = Lora::names(stem);
        let value = |name: &str, shape: [i64; 2]| Tensor::from_slice(&weights[name]).view(shape);
        let of_a = value(&b, [output, rank]).tr().matmul(&grad);
        let of_b = grad.matmul(&value(&a, [rank, input]).tr());
        for (name, expected) in [(&a, of_a), (&b, of_b)] {
            let found = adapted.parameters.grad(name).unwrap();
            assert!(distance(&found, &expected.flatten(0, -1)) < 1e-4, "{name}");
        }
        compared += 1;
    }
    assert!(compared >= 10, "{compared}");
}
