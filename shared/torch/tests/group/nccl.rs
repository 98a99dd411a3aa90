//! NCCL, replaced by a library that does on the CPU what NCCL does on GPUs.

use std::path::{Path, PathBuf};
use std::process::Command;

use embtune_torch::tch::{Device, Kind, Tensor};
use embtune_torch::{Bucket, NCCL, Reducer, leaf};

use super::{all, values};

fn compile(name: &str, flags: &[&str]) -> PathBuf {
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/group/fake_nccl.cpp");
    let mut compiler = Command::new("c++");
    compiler.args(["-std=c++17", "-O1", "-shared", "-fPIC", "-o"]).arg(&library).args(flags).arg(source);
    assert!(compiler.status().unwrap().success());
    library
}

#[test]
fn nccl_computes_what_gloo_computes() {
    let library = compile("libfake_nccl.so", &[]);
    for size in [2, 4] {
        let found = all(size, |group| {
            assert_eq!(group.use_nccl(library.to_str().unwrap(), Device::Cpu).unwrap(), None);
            let rank = group.rank() as i64;
            let floats = Tensor::arange(1003, (Kind::Float, Device::Cpu)) * (rank + 1);
            let numbers = Tensor::arange(1003, (Kind::Int64, Device::Cpu)) * (rank + 1);
            let doubles = Tensor::full([7], rank as f64 + 0.5, (Kind::Double, Device::Cpu));
            for tensor in [&floats, &numbers, &doubles] {
                group.all_reduce(tensor).unwrap();
            }
            let rows = group.all_gather(&Tensor::full([2, 3], rank, (Kind::Float, Device::Cpu))).unwrap();
            let copy = Tensor::full([5], rank + 3, (Kind::Float, Device::Cpu));
            group.broadcast(&copy).unwrap();
            assert!(
                group.all_reduce(&Tensor::zeros([8], (Kind::Float, Device::Cpu)).view([4, 2]).tr()).is_err(),
                "not contiguous"
            );
            assert!(group.all_reduce(&Tensor::zeros([8], (Kind::Int8, Device::Cpu))).is_err(), "another type");
            let numbers = values(&numbers.to_kind(Kind::Float));
            (values(&floats), numbers, values(&doubles.to_kind(Kind::Float)), rows.size(), values(&rows), values(&copy))
        });
        let factor = (size * (size + 1) / 2) as f32;
        let sums: Vec<f32> = (0..1003_u16).map(|n| f32::from(n) * factor).collect();
        let rows: Vec<f32> = (0..size).flat_map(|rank| [rank as f32; 6]).collect();
        let doubles = vec![(size * size) as f32 / 2.0; 7];
        for seen in found {
            assert_eq!(
                seen,
                (sums.clone(), sums.clone(), doubles.clone(), vec![2 * size as i64, 3], rows.clone(), vec![3.0; 5])
            );
        }
    }
}

/// A pending sum keeps the NCCL alive that computes it.
#[test]
fn nccl_can_be_replaced_while_sums_are_pending() {
    let library = compile("libfake_nccl_again.so", &[]);
    let library = library.to_str().unwrap();
    let sums = all(2, |group| {
        assert_eq!(group.use_nccl(library, Device::Cpu).unwrap(), None);
        let grads = Tensor::zeros([4], (Kind::Float, Device::Cpu));
        let weight = leaf(&Tensor::full([4], group.rank() as i64 + 2, (Kind::Float, Device::Cpu)), &grads).unwrap();
        let reducer = Reducer::new(&group, &grads, &[Bucket { range: 0..4, leaves: vec![&weight] }]).unwrap();
        reducer.prepare_for_backward().unwrap();
        (&weight * &weight).sum(Kind::Float).backward();
        assert_eq!(reducer.started().unwrap(), 1);
        assert_eq!(group.use_nccl(library, Device::Cpu).unwrap(), None);
        reducer.finish().unwrap();
        values(&grads)
    });
    assert_eq!(sums, [[10.0; 4]; 2]);
}

#[test]
fn where_nccl_does_not_run_all_stay_with_gloo() {
    let library = compile("libfake_nccl_3.so", &[]);
    let renamed = compile("libhalf_nccl.so", &["-DncclAllGather=other"]);
    for (name, size, expected) in [
        ("/nowhere/libnccl.so.2", 2, "/nowhere/libnccl.so.2: cannot open shared object file"),
        (renamed.to_str().unwrap(), 2, "undefined symbol: ncclAllGather"),
        // The error of two processes on one GPU.
        (library.to_str().unwrap(), 3, "NCCL: invalid usage"),
    ] {
        let reasons = all(size, |group| {
            // One process that cannot is enough.
            let name = if group.rank() == 0 || size == 3 { name } else { library.to_str().unwrap() };
            let reason = group.use_nccl(name, Device::Cpu).unwrap().unwrap();
            assert_eq!(group.all_gather_number(1).unwrap(), vec![1; size]);
            reason
        });
        assert!(reasons[0].contains(expected), "{reasons:?}");
        assert!(size == 3 || reasons[1] == "it does not run in rank 0", "{reasons:?}");
    }
    // The library that CUDA's libtorch brings along is missing here, or this machine has no such GPU.
    assert!(all(2, |group| group.use_nccl(NCCL, Device::Cuda(127)).unwrap().is_some()).iter().all(|failed| *failed));
}
