//! Values and gradients of the kernels, compared with the same formulas in plain libtorch operations.

use embtune_torch::tch::{Device, Kind, Tensor};
use embtune_torch::{
    Activation, Adapter, Attention, Dropout, Linear, Norm, NormKind, Sequences, add_norm, attention, feed_forward, seed,
};

const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);

fn keys(count: i64) -> Tensor {
    Tensor::arange(count, (Kind::Int64, Device::Cpu)) * 7919 + 13
}

fn leaf(shape: &[i64]) -> Tensor {
    Tensor::randn(shape, CPU).set_requires_grad(true)
}

/// Largest difference, relative to the largest element.
fn distance(a: &Tensor, b: &Tensor) -> f64 {
    let (a, b) = (a.to_kind(Kind::Double), b.to_kind(Kind::Double));
    (&a - &b).abs().max().double_value(&[]) / b.abs().max().double_value(&[]).max(1e-12)
}

/// Gradients of `leaves` for a fixed weighting of the output.
fn gradients(output: &Tensor, leaves: &[&Tensor]) -> Vec<Tensor> {
    let weights = Tensor::linspace(-1.0, 1.0, output.numel() as i64, CPU).view_as(output).cos();
    Tensor::run_backward(&[(output.to_kind(Kind::Float) * weights).sum(Kind::Float)], leaves, false, false)
}

/// Plain attention, one sequence at a time, with the dropout mask of the same keys.
fn plain_attention(qkv: &Tensor, lengths: &[i64], heads: i64, dropout: Dropout<'_>) -> Tensor {
    let size = qkv.size()[1] / 3 / heads;
    let mut start = 0;
    let outputs: Vec<_> = lengths
        .iter()
        .map(|length| {
            let parts = qkv.narrow(0, start, *length).view([*length, 3, heads, size]).permute([1, 2, 0, 3]);
            let (q, k, v) = (parts.get(0), parts.get(1), parts.get(2));
            let p = (q.matmul(&k.transpose(-2, -1)) / (size as f64).sqrt()).softmax(-1, Kind::Float);
            let keys = dropout.keys.narrow(0, start, *length);
            let mask = Dropout { keys: &keys, ..dropout }.apply(&Tensor::ones([1, heads, *length, *length], CPU));
            start += length;
            (p * mask.unwrap().squeeze_dim(0)).matmul(&v).transpose(0, 1).reshape([*length, heads * size])
        })
        .collect();
    Tensor::cat(&outputs, 0)
}

#[test]
fn attention_agrees_with_plain_operations() {
    seed(1);
    // One token, odd lengths, and more queries than a block holds.
    let lengths = [1, 5, 37, 130, 300];
    let tokens = lengths.iter().sum();
    let keys = keys(tokens);
    let sequences = Sequences::new(&lengths.map(|length| length as usize), Device::Cpu).unwrap();
    // Heads narrower than a vector register, and of two registers and a half.
    for (p, size) in [(0.0, 8), (0.25, 8), (0.25, 40)] {
        let dropout = Dropout { keys: &keys, site: 5, p };
        let qkv = leaf(&[tokens, 3 * 4 * size]);
        let expected = plain_attention(&qkv, &lengths, 4, dropout);
        let expected_grad = gradients(&expected, &[&qkv]);
        let found = attention(&qkv, &sequences, Attention::new(4, size), dropout).unwrap();
        assert!(distance(&found, &expected) < 1e-5, "p {p}: {}", distance(&found, &expected));
        let grad = gradients(&found, &[&qkv]);
        assert!(distance(&grad[0], &expected_grad[0]) < 1e-5, "p {p}: {}", distance(&grad[0], &expected_grad[0]));

        let half = qkv.detach().to_kind(Kind::BFloat16).set_requires_grad(true);
        let found = attention(&half, &sequences, Attention::new(4, size), dropout).unwrap();
        assert!(distance(&found, &expected) < 2e-2, "bf16, p {p}: {}", distance(&found, &expected));
        let grad = gradients(&found, &[&half]);
        assert!(distance(&grad[0], &expected_grad[0]) < 2e-2, "bf16, p {p}");
    }
}

#[test]
fn add_norm_agrees_with_plain_operations() {
    seed(2);
    let (tokens, width) = (301, 48);
    let keys = keys(tokens);
    for p in [0.0, 0.25] {
        let dropout = Dropout { keys: &keys, site: 9, p };
        let (residual, x) = (leaf(&[tokens, width]), leaf(&[tokens, width]));
        let (weight, bias) = (leaf(&[width]), leaf(&[width]));
        let leaves = [&residual, &x, &weight, &bias];
        let norm = Norm { weight: &weight, bias: Some(&bias), eps: 1e-5, kind: NormKind::Layer };
        let expected = norm.apply(&(dropout.apply(&x).unwrap() + &residual)).unwrap();
        let expected_grads = gradients(&expected, &leaves);
        let found = add_norm(&residual, &x, norm, dropout).unwrap();
        assert!(distance(&found, &expected) < 1e-5);
        for (found, expected) in gradients(&found, &leaves).iter().zip(&expected_grads) {
            assert!(distance(found, expected) < 1e-5, "p {p}: {}", distance(found, expected));
        }

        let half = |x: &Tensor| x.detach().to_kind(Kind::BFloat16).set_requires_grad(true);
        let (residual, x) = (half(&residual), half(&x));
        let found = add_norm(&residual, &x, norm, dropout).unwrap();
        assert_eq!(found.kind(), Kind::BFloat16);
        assert!(distance(&found, &expected) < 2e-2);
        for (found, expected) in gradients(&found, &[&residual, &x, &weight, &bias]).iter().zip(&expected_grads) {
            assert!(distance(found, expected) < 3e-2, "bf16, p {p}: {}", distance(found, expected));
        }
    }
}

#[test]
fn linear_layers_agree_with_plain_operations() {
    seed(4);
    // A wider output, a narrower output, a single token.
    for (tokens, input, output) in [(19, 8, 40), (19, 40, 8), (1, 8, 8)] {
        let (x, weight, bias) = (leaf(&[tokens, input]), leaf(&[output, input]), leaf(&[output]));
        let leaves = [&x, &weight, &bias];
        let expected = x.matmul(&weight.tr()) + &bias;
        let found = Linear { weight: &weight, bias: Some(&bias), adapter: None }.apply(&x).unwrap();
        assert!(distance(&found, &expected) < 1e-6);
        for (found, expected) in gradients(&found, &leaves).iter().zip(gradients(&expected, &leaves)) {
            assert!(distance(found, &expected) < 1e-6, "{tokens} {input} {output}");
        }
    }
}

fn linear<'a>(weight: &'a Tensor, bias: &'a Tensor) -> Linear<'a> {
    Linear { weight, bias: Some(bias), adapter: None }
}

#[test]
fn adapters_get_the_gradient_instead_of_the_weight() {
    seed(5);
    let x = leaf(&[19, 8]);
    let [(w1, b1), (w2, b2)] = [[32, 8], [8, 32]].map(|[out, input]| (leaf(&[out, input]).detach(), leaf(&[out])));
    let [(a1, c1), (a2, c2)] = [[32, 8], [8, 32]].map(|[out, input]| (leaf(&[3, input]), leaf(&[out, 3])));
    let (changed1, changed2) = ((&w1 + c1.matmul(&a1)).detach(), (&w2 + c2.matmul(&a2)).detach());
    let first = Linear { adapter: Some(Adapter { a: &a1, b: &c1, included: true }), ..linear(&changed1, &b1) };
    let second = Linear { adapter: Some(Adapter { a: &a2, b: &c2, included: true }), ..linear(&changed2, &b2) };

    let plain = || x.linear(&(&w1 + c1.matmul(&a1)), Some(&b1));
    let plain_block = || plain().gelu("none").linear(&(&w2 + c2.matmul(&a2)), Some(&b2));
    let assert_same = |found: Tensor, expected: Tensor, leaves: &[&Tensor]| {
        assert!(distance(&found, &expected) < 1e-6);
        for (found, expected) in gradients(&found, leaves).iter().zip(gradients(&expected, leaves)) {
            assert!(distance(found, &expected) < 1e-5);
        }
    };
    let block = |first, second| feed_forward(&x, first, Activation::Gelu, second).unwrap();
    assert_same(first.apply(&x).unwrap(), plain(), &[&x, &b1, &a1, &c1]);
    assert_same(block(first, second), plain_block(), &[&x, &b1, &b2, &a1, &c1, &a2, &c2]);
    // An adapter in one of the two layers only.
    assert_same(block(first, linear(&changed2, &b2)), plain_block(), &[&x, &b1, &b2, &a1, &c1]);
    assert_same(block(linear(&changed1, &b1), second), plain_block(), &[&x, &b1, &b2, &a2, &c2]);
}

#[test]
fn feed_forward_agrees_with_plain_operations() {
    seed(3);
    let (x, w1, b1, w2, b2) = (leaf(&[19, 8]), leaf(&[32, 8]), leaf(&[32]), leaf(&[8, 32]), leaf(&[8]));
    let leaves = [&x, &w1, &b1, &w2, &b2];
    for activation in [Activation::Gelu, Activation::GeluTanh, Activation::Relu, Activation::Silu] {
        let inner = x.linear(&w1, Some(&b1));
        let inner = match activation {
            Activation::Gelu => inner.gelu("none"),
            Activation::GeluTanh => inner.gelu("tanh"),
            Activation::Relu => inner.relu(),
            Activation::Silu => inner.silu(),
        };
        let expected = inner.linear(&w2, Some(&b2));
        let (first, second) = (linear(&w1, &b1), linear(&w2, &b2));
        let found = feed_forward(&x, first, activation, second).unwrap();
        assert!(distance(&found, &expected) < 1e-6);
        for (found, expected) in gradients(&found, &leaves).iter().zip(gradients(&expected, &leaves)) {
            assert!(distance(found, &expected) < 1e-5, "{activation:?}");
        }
    }
}

#[test]
fn dropout_keeps_its_share_and_follows_its_key() {
    let keys = keys(1000);
    let ones = Tensor::ones([1000, 384], CPU);
    let drop = |keys: &Tensor, site, x: &Tensor| Dropout { keys, site, p: 0.1 }.apply(x).unwrap();
    let dropped = drop(&keys, 3, &ones);
    let kept = dropped.gt(0.0).to_kind(Kind::Double).mean(Kind::Double).double_value(&[]);
    assert!((kept - 0.9).abs() < 0.002, "{kept}");
    let mean = dropped.mean(Kind::Double).double_value(&[]);
    assert!((mean - 1.0).abs() < 0.002, "{mean}");
    // A token's mask does not depend on its position in the batch, but on the site.
    let alone = drop(&keys.narrow(0, 700, 5), 3, &ones.narrow(0, 0, 5));
    assert_eq!(alone, dropped.narrow(0, 700, 5));
    let other = drop(&keys, 4, &ones);
    let same = other.eq_tensor(&dropped).to_kind(Kind::Double).mean(Kind::Double).double_value(&[]);
    assert!((same - 0.82).abs() < 0.01, "independent masks agree on 0.9² + 0.1²: {same}");
}

/// NaN and infinity must reach the loss, which then shows that the training has diverged.
#[test]
fn attention_passes_nan_on() {
    let keys = keys(20);
    let sequences = Sequences::new(&[20], Device::Cpu).unwrap();
    for value in [f64::NAN, f64::INFINITY, 1e30] {
        let qkv = Tensor::full([20, 12], value, CPU).set_requires_grad(true);
        let found =
            attention(&qkv, &sequences, Attention::new(2, 2), Dropout { keys: &keys, site: 0, p: 0.1 }).unwrap();
        let grad = gradients(&found, &[&qkv]);
        if value.is_finite() {
            continue;
        }
        for values in [&found, &grad[0]] {
            assert_eq!(values.isnan().to_kind(Kind::Int64).sum(Kind::Int64).int64_value(&[]), values.numel() as i64);
        }
    }
}
