//! Gradients that are summed during the backward pass.

use embtune_torch::tch::{Device, Kind, Tensor};
use embtune_torch::{Bucket, Communicator, Reducer, leaf};

use super::{all, values};

/// Four layers of 200 by 200 in one flat buffer, and rows as their input.
struct Network {
    grads: Tensor,
    layers: Vec<Tensor>,
    rows: Tensor,
}

const LAYERS: i64 = 4;
const WIDTH: i64 = 200;
const SIZE: i64 = WIDTH * WIDTH;

impl Network {
    fn new(rank: usize) -> Self {
        let random = |seed: i64, n: i64| (Tensor::arange(n, (Kind::Float, Device::Cpu)) * (seed + 1)).sin() / 10.0;
        let (flat, grads) = (random(0, LAYERS * SIZE), Tensor::zeros([LAYERS * SIZE], (Kind::Float, Device::Cpu)));
        let part = |buffer: &Tensor, layer| buffer.narrow(0, layer * SIZE, SIZE).view([WIDTH, WIDTH]);
        let layers = (0..LAYERS).map(|layer| leaf(&part(&flat, layer), &part(&grads, layer)).unwrap()).collect();
        Self { grads, layers, rows: random(rank as i64 + 1, 5 * WIDTH).view([5, WIDTH]) }
    }

    /// Accumulates the gradient of the rows through the layers from `first` on.
    fn backward(&self, first: usize) {
        let output =
            self.layers[first..].iter().fold(self.rows.shallow_clone(), |rows, layer| rows.matmul(layer).tanh());
        output.sum(Kind::Float).backward();
    }

    /// Buckets of two layers each, the last layers first.
    fn buckets(&self) -> Vec<Bucket<'_>> {
        let bucket = |first: usize| Bucket {
            range: first as i64 * SIZE..(first as i64 + 2) * SIZE,
            leaves: self.layers[first..first + 2].iter().collect(),
        };
        vec![bucket(2), bucket(0)]
    }
}

/// The sum of all gradients of two passes, without a reducer.
fn plain(group: &Communicator) -> Vec<f32> {
    let network = Network::new(group.rank());
    network.backward(0);
    network.backward(0);
    for Bucket { range, .. } in network.buckets() {
        group.all_reduce(&network.grads.narrow(0, range.start, range.end - range.start)).unwrap();
    }
    values(&network.grads)
}

#[test]
fn sums_have_the_bits_of_plain_all_reduces() {
    for size in [2, 4] {
        let found = all(size, |group| {
            let network = Network::new(group.rank());
            let reducer = Reducer::new(&group, &network.grads, &network.buckets()).unwrap();
            let mut sums = Vec::new();
            for _ in 0..2 {
                network.backward(0);
                assert_eq!(reducer.started().unwrap(), 0, "not before the last pass");
                reducer.prepare_for_backward().unwrap();
                network.backward(0);
                assert_eq!(reducer.started().unwrap(), 2, "both before the end of the last pass");
                reducer.finish().unwrap();
                assert_eq!(reducer.started().unwrap(), 0);
                sums.push(values(&network.grads));
                let _ = network.grads.shallow_clone().zero_();
            }
            // In a ring each process sends 2 (N - 1) / N of the bytes, here for three sums.
            let bytes = 3 * 2 * (size as u64 - 1) * (LAYERS * SIZE) as u64 * 4 / size as u64;
            sums.push(plain(&group));
            assert_eq!(group.bytes_sent(), bytes);
            sums
        });
        let bits = |sum: &Vec<f32>| sum.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        let expected = bits(&found[0][2]);
        assert!(found.iter().flatten().all(|sum| bits(sum) == expected), "{size} processes");
    }
}

#[test]
fn buckets_start_in_their_order_whichever_is_complete_first() {
    let sums = all(2, |group| {
        let network = Network::new(group.rank());
        let mut buckets = network.buckets();
        buckets.reverse();
        let reducer = Reducer::new(&group, &network.grads, &buckets).unwrap();
        reducer.prepare_for_backward().unwrap();
        // The second bucket gets complete, the first one never does.
        network.backward(2);
        assert_eq!(reducer.started().unwrap(), 0);
        reducer.finish().unwrap();
        // The other process has no rows at all, and still takes part.
        if group.rank() == 0 {
            reducer.prepare_for_backward().unwrap();
            network.backward(0);
            assert_eq!(reducer.started().unwrap(), 2);
        }
        reducer.finish().unwrap();
        drop(reducer);
        network.backward(0);
        group.all_reduce(&network.grads).unwrap();
        values(&network.grads)
    });
    assert!(sums[0] == sums[1] && sums[0].iter().all(|x| x.is_finite()));
}

#[test]
fn buckets_cover_the_gradient_and_hold_the_gradients_of_their_leaves() {
    let refused = all(1, |group| {
        let network = Network::new(0);
        let layers: Vec<_> = network.layers.iter().collect();
        let [first, second] = [0..2 * SIZE, 2 * SIZE..4 * SIZE];
        let refusal = |buckets: &[(std::ops::Range<i64>, &[&Tensor])], grads: &Tensor| {
            let bucket = |(range, leaves): &(_, &[_])| Bucket { range: Clone::clone(range), leaves: leaves.to_vec() };
            let buckets: Vec<_> = buckets.iter().map(bucket).collect();
            Reducer::new(&group, grads, &buckets).err().map(|error| error.to_string())
        };
        let grads = &network.grads;
        let one = "libtorch: reducer: the buckets do not cover each element of the gradient once";
        for buckets in [
            vec![(first.clone(), &layers[..2])],
            vec![(second.clone(), &layers[2..])],
            vec![(first.clone(), &layers[..2]), (first.clone(), &layers[..2])],
            vec![(first.clone(), &layers[..2]), (SIZE..4 * SIZE, &layers[2..])],
            vec![(first.clone(), &layers[..2]), (2 * SIZE..5 * SIZE, &layers[2..])],
            vec![],
        ] {
            assert_eq!(refusal(&buckets, grads).as_deref(), Some(one));
        }
        let inside = "libtorch: reducer: a leaf whose gradient is not in its bucket";
        let other = Tensor::zeros([WIDTH], (Kind::Float, Device::Cpu));
        let no_leaf = &network.layers[0] * 2.0;
        for leaves in [&layers[1..3], &[&other], &[&no_leaf]] {
            assert_eq!(refusal(&[(first.clone(), leaves), (second.clone(), &[])], grads).as_deref(), Some(inside));
        }
        // Also if the buckets belong to another gradient tensor.
        let others = grads.copy();
        assert_eq!(refusal(&[(first, &layers[..2]), (second, &layers[2..])], &others).as_deref(), Some(inside));
        true
    });
    assert_eq!(refused, [true]);
}

#[test]
fn gradients_must_not_change_while_they_are_summed() {
    let ends = all(2, |group| {
        let network = Network::new(group.rank());
        let reducer = Reducer::new(&group, &network.grads, &network.buckets()).unwrap();
        reducer.prepare_for_backward().unwrap();
        network.backward(0);
        let again = reducer.prepare_for_backward().unwrap_err().to_string();
        network.backward(0);
        (again, reducer.finish().unwrap_err().to_string())
    });
    for (again, changed) in ends {
        assert_eq!(again, "libtorch: reducer: prepared again before its sums are finished");
        assert_eq!(changed, "libtorch: reducer: a gradient has changed after its sum had started");
    }
}

/// If a reducer is never dropped, the leaves' hooks still start sums in its group.
#[test]
fn a_forgotten_reducer_keeps_its_group_alive() {
    let sums = all(2, |group| {
        let network = Network::new(group.rank());
        let reducer = Reducer::new(&group, &network.grads, &network.buckets()).unwrap();
        reducer.prepare_for_backward().unwrap();
        std::mem::forget(reducer);
        drop(group);
        network.backward(0);
        values(&network.layers[0].grad()).len()
    });
    assert_eq!(sums, [SIZE as usize; 2]);
}

#[test]
fn a_lost_process_is_an_error_of_finish() {
    let ends = all(2, |group| {
        if group.rank() == 1 {
            return None;
        }
        let network = Network::new(0);
        let reducer = Reducer::new(&group, &network.grads, &network.buckets()).unwrap();
        reducer.prepare_for_backward().unwrap();
        network.backward(0);
        Some(reducer.finish().is_err())
    });
    assert_eq!(ends, [Some(true), None]);
}
