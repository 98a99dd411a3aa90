//! The shim's operations, compared with plain formulas in tch.

use embtune_torch::tch::{Device, Kind, Tensor};
use embtune_torch::{AdamW, ParamGroup, clip, leaf};

fn randn(size: &[i64]) -> Tensor {
    Tensor::randn(size, (Kind::Float, Device::Cpu))
}

fn distance(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

#[test]
fn a_leaf_shares_data_and_gradient() {
    let (flat, grad) = (randn(&[12]), Tensor::zeros([12], (Kind::Float, Device::Cpu)));
    let weight = leaf(&flat.narrow(0, 2, 6).view([2, 3]), &grad.narrow(0, 2, 6).view([2, 3])).unwrap();
    for times in 1..=2 {
        (&weight * &weight).sum(Kind::Float).backward();
        let expected = flat.narrow(0, 2, 6) * (2.0 * f64::from(times));
        assert!(distance(&grad.narrow(0, 2, 6), &expected) < 1e-6);
    }
    assert_eq!(grad.narrow(0, 0, 2).abs().sum(Kind::Float).double_value(&[]), 0.0);
    assert!(leaf(&flat, &grad.narrow(0, 0, 3)).is_err(), "another shape is refused");
}

#[test]
fn the_norm_is_exact_over_millions_of_elements() {
    let grad = randn(&[5_000_001]);
    let exact = grad.to_kind(Kind::Double).norm().double_value(&[]);
    let (norm, divisor) = clip(&grad, 1.0).unwrap();
    assert!((norm.double_value(&[]) / exact - 1.0).abs() < 1e-6);
    assert!((divisor.double_value(&[]) / exact - 1.0).abs() < 1e-6);
    assert_eq!(clip(&grad, 1e9).unwrap().1.double_value(&[]), 1.0, "a small gradient is left alone");
}

#[test]
fn adamw_follows_its_formula() {
    let (rate, decay, n) = (1e-2, 0.1, 40);
    let parameters = randn(&[n]);
    let groups = vec![
        ParamGroup { range: 0..25, lr_scale: 1.0, weight_decay: decay },
        ParamGroup { range: 25..n, lr_scale: 0.5, weight_decay: 0.0 },
    ];
    let mut optimizer = AdamW::new(&parameters, groups).unwrap();
    let mut expected = parameters.to_kind(Kind::Double);
    let (mut m, mut v) = (expected.zeros_like(), expected.zeros_like());
    let first_group = Tensor::arange(n, (Kind::Int64, Device::Cpu)).lt(25).to_kind(Kind::Double);
    let (decays, rates) = (&first_group * (rate * decay), (&first_group + 1.0) * (rate / 2.0));
    for t in 1..=5 {
        let grad = randn(&[n]) * 3.0;
        let (_, divisor) = clip(&grad, 1.0).unwrap();
        let g = grad.to_kind(Kind::Double) / &divisor;
        m = m * 0.9 + &g * 0.1;
        v = v * 0.999 + &g * &g * 0.001;
        let (first, second) = (1.0 - 0.9_f64.powi(t), 1.0 - 0.999_f64.powi(t));
        expected = &expected * (1.0 - &decays) - &m * &rates / first / ((&v / second).sqrt() + 1e-8);
        optimizer.step(&parameters, &grad, rate, &divisor).unwrap();
    }
    assert!(distance(&parameters.to_kind(Kind::Double), &expected) < 1e-6);
}

/// Code that caches what it computed from the parameters checks their version, possibly through a view of them.
#[test]
fn adamw_raises_the_version_of_what_it_writes() {
    let (parameters, grad) = (randn(&[20]), randn(&[20]));
    let view = leaf(&parameters.narrow(0, 5, 6).view([2, 3]), &grad.narrow(0, 5, 6).view([2, 3])).unwrap();
    let groups = vec![ParamGroup { range: 0..20, lr_scale: 1.0, weight_decay: 0.0 }];
    let mut optimizer = AdamW::new(&parameters, groups).unwrap();
    let versions = |optimizer: &AdamW| {
        let tensors = [&parameters, &view, &grad, &optimizer.moment1, &optimizer.moment2];
        tensors.map(|tensor| tensor.f_internal_version().unwrap())
    };
    for _ in 0..3 {
        let before = versions(&optimizer);
        let (_, divisor) = clip(&grad, 1.0).unwrap();
        optimizer.step(&parameters, &grad, 1e-3, &divisor).unwrap();
        let after = versions(&optimizer);
        assert!(before.iter().zip(&after).all(|(before, after)| before < after), "{before:?}, then {after:?}");
    }
}

#[test]
fn a_device_that_is_not_there_is_an_error() {
    // No machine has 128 GPUs.
    let error = embtune_torch::open_device("cuda:127".parse().unwrap()).unwrap_err().to_string();
    assert!(error.contains("device cuda:127 cannot run") && error.contains("hint: "), "{error}");
    // A fallback is worth a message only where there is a driver, and so perhaps a GPU.
    let opened = embtune_torch::open_device(embtune_cli::Device::Auto).unwrap();
    let is_plain_cpu = (opened.device, opened.fallback) == (Device::Cpu, None);
    assert_eq!(is_plain_cpu, !embtune_cli::Device::has_nvidia_driver());
}
