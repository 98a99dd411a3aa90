//! Dropout, in a process of its own: libtorch's generator is one for all threads.

use embtune_torch::tch::{Device, Kind, Tensor};
use embtune_torch::{dropout, seed};

fn distance(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

#[test]
fn dropout_keeps_the_mean_and_its_gradient_the_mask() {
    seed(7);
    let x = Tensor::ones([1_000_000], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let y = dropout(&x, 0.1).unwrap();
    let kept = y.gt(0.0).to_kind(Kind::Double).mean(Kind::Double).double_value(&[]);
    assert!((kept - 0.9).abs() < 0.002, "{kept}"); // 6 standard deviations
    y.sum(Kind::Float).backward();
    assert_eq!(distance(&x.grad(), &y), 0.0);
    let again = dropout(&x, 0.1).unwrap();
    assert!(distance(&again, &y) > 0.0, "another call, another mask");
    seed(7);
    assert_eq!(distance(&dropout(&x, 0.1).unwrap(), &y), 0.0, "the same seed, the same mask");
    assert_eq!(distance(&dropout(&x, 0.0).unwrap(), &x), 0.0);
}
