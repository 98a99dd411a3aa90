//! Process groups, with threads in place of processes: their results, and the errors when a process is missing.

mod nccl;
mod reducer;

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use embtune_torch::tch::{Device, Kind, Tensor};
use embtune_torch::{Communicator, Store, StoreAddress, TorchError};

const TIMEOUT: Duration = Duration::from_secs(60);

/// A port for one test only, below the range that Linux assigns to connections: two groups on one port would mix.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Starts at a different port than the last run, whose ports stay blocked for a while.
    let begin = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_micros();
    let mut ports = (0..1000).map(|_| 10_000 + (begin + NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000);
    ports.find_map(|port| Some(TcpListener::bind(("127.0.0.1", port as u16)).ok()?.local_addr().ok()?.port())).unwrap()
}

fn store(port: u16, rank: usize) -> Arc<Store> {
    let address = StoreAddress { host: "127.0.0.1", port, serves: rank == 0, prefix: "test" };
    Arc::new(Store::open(address, TIMEOUT).unwrap())
}

/// Runs `act` in `size` processes, and returns their results ordered by rank.
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
fn every_operation_sees_all_processes() {
    for size in [2, 4] {
        let found = all(size, |group| {
            assert_eq!(group.world_size(), size);
            let rank = group.rank() as f64;
            // Long enough for Gloo to split it, and no multiple of the number of processes.
            let sum = Tensor::arange(100_003, (Kind::Float, Device::Cpu)) * (rank + 1.0) / 7.0;
            group.all_reduce(&sum).unwrap();
            let rows = group.all_gather(&Tensor::full([2, 3], rank, (Kind::Float, Device::Cpu))).unwrap();
            let copy = Tensor::full([5], rank + 3.0, (Kind::Float, Device::Cpu));
            group.broadcast(&copy).unwrap();
            (values(&sum), values(&rows), values(&copy), group.all_gather_number(-(rank as i64)).unwrap())
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
fn tensors_that_are_not_contiguous_are_refused() {
    let refused = all(2, |group| {
        let whole = Tensor::ones([4, 6], (Kind::Float, Device::Cpu));
        // An expanded element, a transposed matrix, and a column.
        for pieces in
            [Tensor::ones([1], (Kind::Float, Device::Cpu)).expand([1000], false), whole.tr(), whole.select(1, 0)]
        {
            assert_eq!(group.all_reduce(&pieces).unwrap_err().to_string(), "libtorch: the tensor is not contiguous");
            assert_eq!(group.broadcast(&pieces).unwrap_err().to_string(), "libtorch: the tensor is not contiguous");
        }
        for shape in [vec![], vec![4], vec![2, 2, 2]] {
            assert!(group.all_gather(&Tensor::ones(&shape[..], (Kind::Float, Device::Cpu))).is_err());
        }
        // Rows to gather are copied, so they need not be contiguous.
        values(&group.all_gather(&Tensor::ones([1, 1], (Kind::Float, Device::Cpu)).expand([2, 3], false)).unwrap())
    });
    assert_eq!(refused, [vec![1.0; 12], vec![1.0; 12]]);
}

#[test]
fn impossible_ranks_and_sizes_are_refused() {
    let store = store(free_port(), 0);
    for (rank, size) in [(0, 0), (1, 1), (5, 2), (0, 1 << 40), (1 << 32, 1)] {
        assert!(Communicator::join(&store, rank, size, None, Duration::from_millis(300)).is_err(), "{rank} of {size}");
    }
}

#[test]
fn the_longest_timeout_does_not_overflow() {
    let store = store(free_port(), 0);
    let group = Communicator::join(&store, 0, 1, None, Duration::MAX).unwrap();
    assert_eq!(group.all_gather_number(7).unwrap(), [7]);
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
fn a_missing_process_is_an_error_after_the_timeout() {
    let alone = Communicator::join(&store(free_port(), 0), 0, 2, None, Duration::from_millis(300));
    let message = alone.err().unwrap().to_string();
    assert!(message.starts_with("libtorch: ") && !message.contains('\n'), "{message}");
    // The other process joins, then leaves.
    let sums = all(2, |group| {
        let sum = Tensor::ones([1000], (Kind::Float, Device::Cpu));
        if group.rank() == 1 { Ok(()) } else { group.all_reduce(&sum) }
    });
    assert!(matches!(sums[0], Err(TorchError { .. })), "{sums:?}");
}
