//! Safe functions accept any tensor: one that the kernels cannot read or write within bounds must be an error, never an
//! access to foreign memory. `make check-asan` runs these tests under the address sanitizer.

use std::fmt::Debug;

use embtune_torch::tch::{Device, Kind, Tensor};
use embtune_torch::{
    Activation, AdamW, Adapter, Attention, Dropout, Linear, Norm, NormKind, ParamGroup, Sequences, TorchError,
    add_norm, attention, clip, cuda_memory, feed_forward, generator_state, leaf, set_generator_state,
};

const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);
const NUMBERS: (Kind, Device) = (Kind::Int64, Device::Cpu);
const NO_SHARES: [f64; 5] = [f64::NAN, f64::INFINITY, -0.1, 1.0, 1.5];

fn zeros(shape: &[i64]) -> Tensor {
    Tensor::zeros(shape, CPU)
}

#[track_caller]
fn assert_refused<T: Debug>(result: Result<T, TorchError>, expected: &str) {
    let message = result.expect_err("it is accepted").to_string();
    assert!(message.contains(expected) && !message.contains('\n'), "{message}");
}

/// Attention over tokens of 12 elements: queries, keys and values of two heads.
fn attend(qkv: &Tensor, heads: i64, keys: &Tensor, p: f64) -> Result<Tensor, TorchError> {
    let sequences = Sequences::new(&[1, 3], Device::Cpu)?;
    attention(qkv, &sequences, Attention::new(heads, 2), Dropout { keys, site: 1, p })
}

#[test]
fn attention_takes_heads_that_divide_its_columns() {
    let keys = Tensor::arange(4, NUMBERS);
    for heads in [0, -1, -2, 3, 5, 8, 12, i64::MAX / 3, i64::MAX, i64::MIN] {
        assert_refused(attend(&zeros(&[4, 12]), heads, &keys, 0.0), "are not queries, keys and values of");
    }
    assert_refused(attend(&zeros(&[4, 0]), 2, &keys, 0.0), "attention: 0 columns");
    assert_refused(attend(&zeros(&[4, 11]), 2, &keys, 0.0), "attention: 11 columns");
    assert_refused(attend(&zeros(&[4, 12, 1]), 2, &keys, 0.0), "expected a matrix");
    assert!(attend(&zeros(&[4, 12]), 2, &keys, 0.0).is_ok());
}

#[test]
fn attention_takes_sequences_of_its_tokens() {
    let keys = Tensor::arange(4, NUMBERS);
    for tokens in [0, 3, 5] {
        assert_refused(attend(&zeros(&[tokens, 12]), 2, &keys, 0.0), "attention: sequences of 4 tokens for");
    }
    assert_refused(Sequences::new(&[usize::MAX], Device::Cpu), "tokens in one pass");
    assert_refused(Sequences::new(&[i64::MAX as usize, 1], Device::Cpu), "tokens in one pass");
    assert_refused(Sequences::new(&[i32::MAX as usize, 1], Device::Cuda(0)), "more than 2147483647 tokens");
    // No sequences, and sequences without tokens.
    let none = Sequences::new(&[], Device::Cpu).unwrap();
    let empty = Sequences::new(&[0, 0], Device::Cpu).unwrap();
    for sequences in [none, empty] {
        let dropout = Dropout { keys: &zeros(&[0]).to_kind(Kind::Int64), site: 1, p: 0.1 };
        let qkv = zeros(&[0, 12]).set_requires_grad(true);
        let found = attention(&qkv, &sequences, Attention::new(2, 2), dropout).unwrap();
        assert_eq!(found.size(), [0, 4]);
        found.sum(Kind::Float).backward();
    }
}

#[test]
fn sequence_offsets_cannot_be_changed_from_outside() {
    let sequences = Sequences::new(&[2, 5, 1], Device::Cpu).unwrap();
    let mut first = sequences.first_tokens().unwrap();
    assert_eq!(Vec::<i64>::try_from(&first).unwrap(), [0, 2, 7]);
    let _ = first.fill_(1 << 40);
    assert_eq!(Vec::<i64>::try_from(&sequences.first_tokens().unwrap()).unwrap(), [0, 2, 7]);
}

#[test]
fn kernels_take_floats_in_cpu_memory() {
    let keys = Tensor::arange(4, NUMBERS);
    let dropout = Dropout { keys: &keys, site: 1, p: 0.5 };
    let (weight, bias) = (zeros(&[12]), zeros(&[12]));
    let norm = Norm { weight: &weight, bias: Some(&bias), eps: 1e-5, kind: NormKind::Layer };
    let x = zeros(&[4, 12]);
    for kind in [Kind::Double, Kind::Half, Kind::Int64, Kind::Bool, Kind::ComplexFloat] {
        let other = x.to_kind(kind);
        assert_refused(attend(&other, 2, &keys, 0.5), "attention: expected float or bfloat16");
        assert_refused(dropout.apply(&other), "dropout: expected float or bfloat16");
        assert_refused(add_norm(&other, &other, norm, dropout), "add_norm: expected float or bfloat16");
        assert_refused(add_norm(&other, &x, norm, dropout), "add_norm: ");
        assert_refused(add_norm(&x, &other, norm, dropout), "add_norm: ");
    }
    assert_refused(add_norm(&x, &x.to_kind(Kind::BFloat16), norm, dropout), "add_norm: ");
    let sparse = x.to_sparse(None, None::<&[i64]>, None);
    assert_refused(attend(&sparse, 2, &keys, 0.5), "attention: expected a dense tensor");
    assert_refused(dropout.apply(&sparse), "dropout: expected a dense tensor");
    assert_refused(add_norm(&sparse, &x, norm, dropout), "add_norm: expected a dense tensor");
}

#[test]
fn dropout_is_a_share_below_1() {
    let keys = Tensor::arange(4, NUMBERS);
    let (weight, bias) = (zeros(&[12]), zeros(&[12]));
    let norm = Norm { weight: &weight, bias: Some(&bias), eps: 1e-5, kind: NormKind::Layer };
    let x = zeros(&[4, 12]);
    for p in NO_SHARES {
        let dropout = Dropout { keys: &keys, site: 1, p };
        assert_refused(dropout.apply(&x), "is not in [0, 1)");
        assert_refused(add_norm(&x, &x, norm, dropout), "is not in [0, 1)");
        assert_refused(attend(&x, 2, &keys, p), "is not in [0, 1)");
    }
}

#[test]
fn there_is_a_key_for_each_token() {
    let (weight, bias) = (zeros(&[12]), zeros(&[12]));
    let norm = Norm { weight: &weight, bias: Some(&bias), eps: 1e-5, kind: NormKind::Layer };
    let x = zeros(&[4, 12]);
    let wrong = [
        (Tensor::arange(3, NUMBERS), "keys for 4"),
        (Tensor::arange(5, NUMBERS), "keys for 4"),
        (Tensor::arange(4, NUMBERS).view([2, 2]), "keys for 4"),
        (zeros(&[0]).to_kind(Kind::Int64), "keys for 4"),
        (Tensor::arange(4, (Kind::Int, Device::Cpu)), "expected keys of type Long"),
        (zeros(&[4]), "expected keys of type Long"),
    ];
    for (keys, expected) in &wrong {
        let dropout = Dropout { keys, site: 1, p: 0.5 };
        assert_refused(dropout.apply(&x), expected);
        assert_refused(dropout.apply(&zeros(&[1, 2, 4, 4])), expected);
        assert_refused(add_norm(&x, &x, norm, dropout), expected);
        assert_refused(attend(&x, 2, keys, 0.5), expected);
    }
    let keys = Tensor::arange(4, NUMBERS);
    let dropout = Dropout { keys: &keys, site: 1, p: 0.5 };
    assert_refused(dropout.apply(&zeros(&[5, 12])), "keys for 5");
    assert_refused(dropout.apply(&zeros(&[4])), "expected 2 or 4 dimensions");
    assert_refused(dropout.apply(&zeros(&[2, 2, 12])), "expected 2 or 4 dimensions");
}

/// Elements that are strided or expanded must be read where they are.
#[test]
fn keys_and_weights_are_read_where_they_are() {
    let scattered = |x: &Tensor| Tensor::stack(&[x, &(x + 1)], 1).select(1, 0);
    let expanded = |x: f64, count: i64| Tensor::full([1], x, CPU).expand([count], false);
    let x = Tensor::randn([4, 12], CPU);
    let (weight, bias) = (expanded(1.5, 12), expanded(0.5, 12));
    for keys in [scattered(&Tensor::arange(4, NUMBERS)), Tensor::full([1], 7, NUMBERS).expand([4], false)] {
        let run = |keys: &Tensor, weight: &Tensor, bias: &Tensor| {
            let dropout = Dropout { keys, site: 1, p: 0.5 };
            let (leaf, weight, bias) = [&x, weight, bias].map(|x| x.detach().set_requires_grad(true)).into();
            let norm = Norm { weight: &weight, bias: Some(&bias), eps: 1e-5, kind: NormKind::Layer };
            let found = add_norm(&leaf, &dropout.apply(&leaf).unwrap(), norm, dropout).unwrap();
            let found = attend(&found, 2, keys, 0.5).unwrap();
            (&found * &found).sum(Kind::Float).backward();
            (found.detach(), leaf.grad(), weight.grad(), bias.grad())
        };
        let expected = run(&keys.contiguous(), &weight.contiguous(), &bias.contiguous());
        assert_eq!(run(&keys, &weight, &bias), expected);
        assert_eq!(run(&keys, &scattered(&weight), &scattered(&bias)), expected);
    }
}

#[test]
fn add_norm_takes_weights_of_its_width() {
    let keys = zeros(&[0]);
    let dropout = Dropout { keys: &keys, site: 0, p: 0.0 };
    let (x, good) = (zeros(&[4, 12]), zeros(&[12]));
    for wrong in [zeros(&[11]), zeros(&[13]), zeros(&[]), zeros(&[1, 12]), good.to_kind(Kind::Double)] {
        for (weight, bias) in [(&wrong, &good), (&good, &wrong)] {
            let norm = Norm { weight, bias: Some(bias), eps: 1e-5, kind: NormKind::Layer };
            assert_refused(add_norm(&x, &x, norm, dropout), "add_norm: expected a weight of 12 floats");
        }
    }
    let norm = Norm { weight: &good, bias: Some(&good), eps: 1e-5, kind: NormKind::Layer };
    assert_refused(add_norm(&x, &zeros(&[4, 11]), norm, dropout), "add_norm: ");
    assert_refused(add_norm(&zeros(&[3, 12]), &x, norm, dropout), "add_norm: ");
    assert_refused(add_norm(&good, &good, norm, dropout), "add_norm: ");
}

#[test]
fn linear_layers_take_what_fits_together() {
    let (x, weight, bias) = (zeros(&[5, 8]), zeros(&[3, 8]), zeros(&[3]));
    let (weight_back, bias_back) = (zeros(&[8, 3]), zeros(&[8]));
    let back = Linear { weight: &weight_back, bias: Some(&bias_back), adapter: None };
    let assert_refused = |x: &Tensor, layer: Linear<'_>| {
        assert_refused(layer.apply(x), "linear: ");
        assert_refused(feed_forward(x, layer, Activation::Relu, back), "linear: ");
    };
    let plain = Linear { weight: &weight, bias: Some(&bias), adapter: None };
    for other in
        [zeros(&[5, 7]), zeros(&[5, 8, 1]), zeros(&[8]), zeros(&[]), x.to_kind(Kind::Double), x.to_kind(Kind::Int)]
    {
        assert_refused(&other, plain);
    }
    for weight in [zeros(&[3, 7]), zeros(&[4, 8]), zeros(&[24]), weight.to_kind(Kind::Double)] {
        assert_refused(&x, Linear { weight: &weight, ..plain });
    }
    for bias in [zeros(&[2]), zeros(&[4]), zeros(&[3, 1]), zeros(&[]), bias.to_kind(Kind::BFloat16)] {
        assert_refused(&x, Linear { bias: Some(&bias), ..plain });
    }
    for (a, b) in [([2, 7], [3, 2]), ([2, 8], [3, 1]), ([2, 8], [4, 2])] {
        let (a, b) = (zeros(&a), zeros(&b));
        assert_refused(&x, Linear { adapter: Some(Adapter { a: &a, b: &b, included: true }), ..plain });
    }
    // The second layer of a block.
    assert!(feed_forward(&x, plain, Activation::Relu, back).is_ok());
    assert!(feed_forward(&x, plain, Activation::Relu, plain).is_err());
}

#[test]
fn linear_layers_read_elements_where_they_are() {
    let x = Tensor::randn([1, 8], CPU).expand([5, 8], false);
    let (weight, bias) =
        (Tensor::randn([3, 1], CPU).expand([3, 8], false), Tensor::full([1], 0.5, CPU).expand([3], false));
    let run = |x: &Tensor, weight: &Tensor, bias: &Tensor| {
        let leaves = [x, weight, bias].map(|x| x.detach().set_requires_grad(true));
        let [x, weight, bias] = &leaves;
        let found = Linear { weight, bias: Some(bias), adapter: None }.apply(x).unwrap();
        // The gradient of a sum is one expanded number.
        let grads = Tensor::run_backward(&[found.sum(Kind::Float)], &[x, weight, bias], false, false);
        (found.detach(), grads)
    };
    assert_eq!(run(&x, &weight, &bias), run(&x.contiguous(), &weight.contiguous(), &bias.contiguous()));
}

#[test]
fn a_leaf_takes_a_gradient_of_its_kind() {
    let data = zeros(&[3]);
    assert_refused(leaf(&data, &data.to_kind(Kind::Double)), "leaf: gradient of Double");
    assert_refused(leaf(&data, &data.to_kind(Kind::BFloat16)), "leaf: gradient of BFloat16");
    assert_refused(leaf(&data, &zeros(&[4])), "leaf: gradient of [4] for data of [3]");
    assert_refused(leaf(&data, &zeros(&[1]).expand([3], false)), "share memory");
    assert_refused(leaf(&data, &zeros(&[3]).set_requires_grad(true)), "requires a gradient");
    let sparse = data.to_sparse(None, None::<&[i64]>, None);
    assert_refused(leaf(&data, &sparse), "leaf: ");
    let numbers = data.to_kind(Kind::Int64);
    assert_refused(leaf(&numbers, &numbers), "require");
}

#[test]
fn clipping_takes_contiguous_floats() {
    let grad = Tensor::ones([6, 4], CPU);
    for wrong in [grad.to_kind(Kind::Double), grad.tr(), grad.narrow(1, 0, 2), grad.to_kind(Kind::Int64)] {
        assert_refused(clip(&wrong, 1.0), "clip: expected a contiguous gradient of floats");
    }
    assert_refused(clip(&grad, -1.0), "clip: a norm of at most -1");
    assert_refused(clip(&grad, f64::NAN), "clip: a norm of at most nan");
    assert_eq!(clip(&zeros(&[0]), 1.0).unwrap().0.double_value(&[]), 0.0);
}

#[test]
fn parameter_groups_are_disjoint_ranges_of_the_buffer() {
    let group = |(start, end)| ParamGroup { range: start..end, lr_scale: 1.0, weight_decay: 0.0 };
    let wrong: [&[(i64, i64)]; 6] =
        [&[(0, 11)], &[(-1, 5)], &[(5, 3)], &[(0, 6), (5, 10)], &[(5, 10), (0, 6)], &[(0, 10), (0, 10)]];
    for ranges in wrong {
        let groups: Vec<_> = ranges.iter().copied().map(group).collect();
        assert_refused(AdamW::new(&zeros(&[10]), groups).map(|_| ()), "adamw: parameter group");
    }
    assert!(
        AdamW::new(&zeros(&[10]), vec![group((5, 9)), group((0, 5))]).is_ok(),
        "elements in no group keep their values"
    );
}

#[test]
fn adamw_takes_contiguous_floats() {
    let good = zeros(&[10]);
    let one = Tensor::ones([] as [i64; 0], CPU);
    let every_other = || zeros(&[20]).slice(0, 0, 20, 2);
    let optimizer = || AdamW::new(&good, vec![ParamGroup { range: 0..10, lr_scale: 1.0, weight_decay: 0.1 }]).unwrap();
    let wrong =
        [good.to_kind(Kind::Double), good.to_kind(Kind::BFloat16), every_other(), zeros(&[1]).expand([10], false)];
    for wrong in &wrong {
        assert_refused(optimizer().step(wrong, &good, 0.1, &one), "adamw: ");
        assert_refused(optimizer().step(&good, wrong, 0.1, &one), "adamw: ");
        for which in 0..2 {
            let mut optimizer = optimizer();
            *[&mut optimizer.moment1, &mut optimizer.moment2][which] = wrong.shallow_clone();
            assert_refused(optimizer.step(&good, &good, 0.1, &one), "adamw: ");
        }
    }
    for short in [zeros(&[9]), zeros(&[0])] {
        assert!(optimizer().step(&good, &short, 0.1, &one).is_err());
        assert!(optimizer().step(&short, &good, 0.1, &one).is_err());
    }
    for divisor in [zeros(&[0]), zeros(&[2]), one.to_kind(Kind::Double)] {
        assert_refused(optimizer().step(&good, &good, 0.1, &divisor), "adamw: expected one float");
    }
    assert!(optimizer().step(&good, &good, 0.1, &one).is_ok());
}

#[test]
fn missing_devices_are_refused() {
    for index in [128, 256, 300, usize::MAX >> 1] {
        assert_refused(generator_state(Device::Cuda(index)), "no device has the number");
        assert_refused(cuda_memory(Device::Cuda(index)), "no device has the number");
    }
    assert!(generator_state(Device::Cuda(127)).is_err());
    assert!(cuda_memory(Device::Cuda(127)).is_err());
    let state = generator_state(Device::Cpu).unwrap();
    let scattered = Tensor::stack(&[&state, &state], 1).select(1, 0);
    for wrong in [state.narrow(0, 0, 100), scattered, state.to_kind(Kind::Float), state.zeros_like()] {
        assert!(set_generator_state(Device::Cpu, &wrong).is_err());
    }
}
