//! Sums that run during the backward pass.

use embtune_torch::tch::{Device, Kind, Tensor};
use embtune_torch::{Bucket, Communicator, Overlap, leaf};

use super::{all, values};

/// Four layers of 200 by 200 behind each other, the first at the beginning of the buffer, and rows to go through them.
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

    /// Adds the gradient of the rows, from a layer on.
    fn backward(&self, first: usize) {
        let output =
            self.layers[first..].iter().fold(self.rows.shallow_clone(), |rows, layer| rows.matmul(layer).tanh());
        output.sum(Kind::Float).backward();
    }

    /// Two layers each, the last first.
    fn buckets(&self) -> Vec<Bucket<'_>> {
        let bucket = |first: usize| Bucket {
            range: first as i64 * SIZE..(first as i64 + 2) * SIZE,
            leaves: self.layers[first..first + 2].iter().collect(),
        };
        vec![bucket(2), bucket(0)]
    }
}

/// The sum of all gradients, of two passes, without an overlap.
fn plain(group: &Communicator) -> Vec<f32> {
    let network = Network::new(group.rank());
    network.backward(0);
    network.backward(0);
    for Bucket { range, .. } in network.buckets() {
        group.sum(&network.grads.narrow(0, range.start, range.end - range.start)).unwrap();
    }
    values(&network.grads)
}

#[test]
fn it_changes_no_bit() {
    for size in [2, 4] {
        let found = all(size, |group| {
            let network = Network::new(group.rank());
            let overlap = Overlap::new(&group, &network.grads, &network.buckets()).unwrap();
            let mut sums = Vec::new();
            for _ in 0..2 {
                network.backward(0);
                assert_eq!(overlap.started().unwrap(), 0, "not before the last pass");
                overlap.arm().unwrap();
                network.backward(0);
                assert_eq!(overlap.started().unwrap(), 2, "both before the end of the last pass");
                overlap.finish().unwrap();
                assert_eq!(overlap.started().unwrap(), 0);
                sums.push(values(&network.grads));
                let _ = network.grads.shallow_clone().zero_();
            }
            // A ring passes on two parts of four, or two of two, for each of the three sums.
            let bytes = 3 * 2 * (size as u64 - 1) * (LAYERS * SIZE) as u64 * 4 / size as u64;
            sums.push(plain(&group));
            assert_eq!(group.sent(), bytes);
            sums
        });
        let bits = |sum: &Vec<f32>| sum.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        let expected = bits(&found[0][2]);
        assert!(found.iter().flatten().all(|sum| bits(sum) == expected), "{size} processes");
    }
}

#[test]
fn buckets_begin_in_their_order_whatever_comes_first() {
    let sums = all(2, |group| {
        let network = Network::new(group.rank());
        let mut buckets = network.buckets();
        buckets.reverse();
        let overlap = Overlap::new(&group, &network.grads, &buckets).unwrap();
        overlap.arm().unwrap();
        // The second bucket is complete, and the first never is.
        network.backward(2);
        assert_eq!(overlap.started().unwrap(), 0);
        overlap.finish().unwrap();
        // One process has no rows at all, and takes part.
        if group.rank() == 0 {
            overlap.arm().unwrap();
            network.backward(0);
            assert_eq!(overlap.started().unwrap(), 2);
        }
        overlap.finish().unwrap();
        drop(overlap);
        network.backward(0);
        group.sum(&network.grads).unwrap();
        values(&network.grads)
    });
    assert!(sums[0] == sums[1] && sums[0].iter().all(|x| x.is_finite()));
}

#[test]
fn buckets_are_the_whole_gradient_and_have_the_gradients_of_their_leaves() {
    let refused = all(1, |group| {
        let network = Network::new(0);
        let layers: Vec<_> = network.layers.iter().collect();
        let [first, second] = [0..2 * SIZE, 2 * SIZE..4 * SIZE];
        let refusal = |buckets: &[(std::ops::Range<i64>, &[&Tensor])], grads: &Tensor| {
            let bucket = |(range, leaves): &(_, &[_])| Bucket { range: Clone::clone(range), leaves: leaves.to_vec() };
            let buckets: Vec<_> = buckets.iter().map(bucket).collect();
            Overlap::new(&group, grads, &buckets).err().map(|error| error.to_string())
        };
        let grads = &network.grads;
        let one = "libtorch: overlap: the buckets are not each element of the gradient once";
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
        let inside = "libtorch: overlap: a leaf whose gradient is not in its bucket";
        let other = Tensor::zeros([WIDTH], (Kind::Float, Device::Cpu));
        let no_leaf = &network.layers[0] * 2.0;
        for leaves in [&layers[1..3], &[&other], &[&no_leaf]] {
            assert_eq!(refusal(&[(first.clone(), leaves), (second.clone(), &[])], grads).as_deref(), Some(inside));
        }
        // Also where each is in a bucket of a gradient of another.
        let others = grads.copy();
        assert_eq!(refusal(&[(first, &layers[..2]), (second, &layers[2..])], &others).as_deref(), Some(inside));
        true
    });
    assert_eq!(refused, [true]);
}

#[test]
fn what_is_being_added_up_must_not_change() {
    let ends = all(2, |group| {
        let network = Network::new(group.rank());
        let overlap = Overlap::new(&group, &network.grads, &network.buckets()).unwrap();
        overlap.arm().unwrap();
        network.backward(0);
        let again = overlap.arm().unwrap_err().to_string();
        network.backward(0);
        (again, overlap.finish().unwrap_err().to_string())
    });
    for (again, changed) in ends {
        assert_eq!(again, "libtorch: overlap: armed again before its sums are finished");
        assert_eq!(changed, "libtorch: overlap: a gradient has changed after its sum had begun");
    }
}

/// The leaves' hooks outlive an overlap that is never dropped, and start sums in its group.
#[test]
fn an_overlap_that_is_forgotten_keeps_its_group() {
    let sums = all(2, |group| {
        let network = Network::new(group.rank());
        let overlap = Overlap::new(&group, &network.grads, &network.buckets()).unwrap();
        overlap.arm().unwrap();
        std::mem::forget(overlap);
        drop(group);
        network.backward(0);
        values(&network.layers[0].grad()).len()
    });
    assert_eq!(sums, [SIZE as usize; 2]);
}

#[test]
fn who_is_gone_is_an_error_at_the_end() {
    let ends = all(2, |group| {
        if group.rank() == 1 {
            return None;
        }
        let network = Network::new(0);
        let overlap = Overlap::new(&group, &network.grads, &network.buckets()).unwrap();
        overlap.arm().unwrap();
        network.backward(0);
        Some(overlap.finish().is_err())
    });
    assert_eq!(ends, [Some(true), None]);
}
