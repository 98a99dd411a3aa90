//! The random number generator. This test has its own process, because other tests draw random numbers too.

use embtune_torch::tch::{Device, Kind, Tensor};
use embtune_torch::{generator_state, seed, set_generator_state};

const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);

#[test]
fn a_generator_returns_to_its_state() {
    seed(4);
    let state = generator_state(Device::Cpu).unwrap();
    let first = Tensor::randn([100], CPU);
    assert_ne!(first, Tensor::randn([100], CPU));
    set_generator_state(Device::Cpu, &state).unwrap();
    assert_eq!(first, Tensor::randn([100], CPU));
    assert!(set_generator_state(Device::Cpu, &first).is_err(), "a state is bytes");
}
