//! Processes as one, each a thread here: what a group computes, and what it says when one of them does not come.

mod nccl;
mod overlap;

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use embtune_torch::tch::{Device, Kind, Tensor};
use embtune_torch::{Communicator, Store, StoreAddress, TorchError};

const TIMEOUT: Duration = Duration::from_secs(60);

/// A port for one test alone, below those that Linux gives to connections: two groups at one port would meet each other.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Not where another run has just been: its ports are not free for a while.
    let begin = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_micros();
    let mut ports = (0..1000).map(|_| 10_000 + (begin + NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000);
    ports.find_map(|port| Some(TcpListener::bind(("127.0.0.1", port as u16)).ok()?.local_addr().ok()?.port())).unwrap()
}

fn store(port: u16, rank: usize) -> Arc<Store> {
    let address = StoreAddress { host: "127.0.0.1", port, serves: rank == 0, prefix: "test" };
    Arc::new(Store::open(address, TIMEOUT).unwrap())
}

/// What each of so many processes says.
fn all<T: Send>(size: usize, act: impl Fn(Communicator) -> T + Sync) -> Vec<T> {
    let (port, act) = (free_port(), &act);
    let join = move |rank| act(Communicator::join(&store(port, rank), rank, size, None, TIMEOUT).unwrap());
    thread::scope(|scope| {
        let processes: Vec<_> = (0..size).map(|rank| scope.spawn(move || join(rank))).collect();
        processes.into_iter().map(|process| process.join().unwrap()).collect()
    })
}

fn values(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.flatten(0, -1)).unwrap()
}

#[test]
fn sums_rows_and_copies_are_those_of_all() {
    for size in [2, 4] {
        let found = all(size, |group| {
            assert_eq!(group.size(), size);
            let rank = group.rank() as f64;
            // Long enough for Gloo to cut it, and no multiple of the size.
            let sum = Tensor::arange(100_003, (Kind::Float, Device::Cpu)) * (rank + 1.0) / 7.0;
            group.sum(&sum).unwrap();
            let rows = group.gather(&Tensor::full([2, 3], rank, (Kind::Float, Device::Cpu))).unwrap();
            let copy = Tensor::full([5], rank + 3.0, (Kind::Float, Device::Cpu));
            group.broadcast(&copy).unwrap();
            (values(&sum), values(&rows), values(&copy), group.all(-(rank as i64)).unwrap())
        });
        let factor = (size * (size + 1) / 2) as f32 / 7.0;
        let (sum, ..) = &found[0];
        assert!((0..).zip(sum).all(|(n, x)| (x - n as f32 * factor).abs() <= 1e-5 * x.abs()));
        for (rank, (other, rows, copy, numbers)) in found.iter().enumerate() {
            assert!(other.iter().zip(sum).all(|(a, b)| a.to_bits() == b.to_bits()), "rank {rank} has other bits");
            let by_rank: Vec<f32> = (0..size).flat_map(|rank| [rank as f32; 6]).collect();
            assert_eq!(*rows, by_rank);
            assert_eq!(*copy, [3.0; 5]);
            assert_eq!(*numbers, (0..size as i64).map(|rank| -rank).collect::<Vec<_>>());
        }
    }
}

#[test]
fn tensors_in_pieces_are_not_exchanged() {
    let refused = all(2, |group| {
        let whole = Tensor::ones([4, 6], (Kind::Float, Device::Cpu));
        // One element that stands for a thousand, and elements that lie apart.
        for pieces in
            [Tensor::ones([1], (Kind::Float, Device::Cpu)).expand([1000], false), whole.tr(), whole.select(1, 0)]
        {
            assert_eq!(group.sum(&pieces).unwrap_err().to_string(), "libtorch: a tensor in pieces");
            assert_eq!(group.broadcast(&pieces).unwrap_err().to_string(), "libtorch: a tensor in pieces");
        }
        for shape in [vec![], vec![4], vec![2, 2, 2]] {
            assert!(group.gather(&Tensor::ones(&shape[..], (Kind::Float, Device::Cpu))).is_err());
        }
        // Rows are copied, wherever they are.
        values(&group.gather(&Tensor::ones([1, 1], (Kind::Float, Device::Cpu)).expand([2, 3], false)).unwrap())
    });
    assert_eq!(refused, [vec![1.0; 12], vec![1.0; 12]]);
}

#[test]
fn numbers_of_processes_that_cannot_be_are_refused() {
    let store = store(free_port(), 0);
    for (rank, size) in [(0, 0), (1, 1), (5, 2), (0, 1 << 40), (1 << 32, 1)] {
        assert!(Communicator::join(&store, rank, size, None, Duration::from_millis(300)).is_err(), "{rank} of {size}");
    }
}

#[test]
fn a_time_without_end_is_a_long_time() {
    let store = store(free_port(), 0);
    let group = Communicator::join(&store, 0, 1, None, Duration::MAX).unwrap();
    assert_eq!(group.all(7).unwrap(), [7]);
}

#[test]
fn a_store_holds_bytes() {
    let store = store(free_port(), 0);
    assert_eq!(store.get("key").unwrap(), None);
    store.set("key", b"\0\xFFvalue").unwrap();
    assert_eq!(store.get("key").unwrap().unwrap(), b"\0\xFFvalue");
    store.set("key", b"").unwrap();
    assert_eq!(store.get("key").unwrap().unwrap(), b"");
}

#[test]
fn who_does_not_come_is_not_waited_for_forever() {
    let alone = Communicator::join(&store(free_port(), 0), 0, 2, None, Duration::from_millis(300));
    let message = alone.err().unwrap().to_string();
    assert!(message.starts_with("libtorch: ") && !message.contains('\n'), "{message}");
    // The other is there, and leaves.
    let sums = all(2, |group| {
        let sum = Tensor::ones([1000], (Kind::Float, Device::Cpu));
        if group.rank() == 1 { Ok(()) } else { group.sum(&sum) }
    });
    assert!(matches!(sums[0], Err(TorchError { .. })), "{sums:?}");
}
