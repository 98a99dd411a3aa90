//! Sums that run during the backward pass.

use embtune_torch::tch::{Device, Kind, Tensor};
use embtune_torch::{Bucket, Group, Overlap, leaf};

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
fn plain(group: &Group) -> Vec<f32> {
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
