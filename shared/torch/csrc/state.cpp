// The state of the random number generator, and the memory of CUDA's allocator.
#include <ATen/Context.h>
#include <ATen/core/Generator.h>
#include <c10/core/CachingDeviceAllocator.h>

#include <limits>
#include <mutex>

#include "guard.h"

namespace embtune {

// A negative index is the CPU.
static c10::Device device(int64_t index) {
  TORCH_CHECK(index <= std::numeric_limits<c10::DeviceIndex>::max(), "no device has the number ", index);
  return index < 0 ? c10::Device(at::kCPU) : c10::Device(at::kCUDA, static_cast<c10::DeviceIndex>(index));
}

}  // namespace embtune

extern "C" {

int embtune_generator_state(int64_t index, embtune::Handle* out) {
  return embtune::guard([&] {
    at::Generator generator = at::globalContext().defaultGenerator(embtune::device(index));
    std::lock_guard<std::mutex> lock(generator.mutex());
    *out = embtune::give(generator.get_state());
  });
}

int embtune_set_generator_state(int64_t index, embtune::Handle state) {
  return embtune::guard([&] {
    at::Generator generator = at::globalContext().defaultGenerator(embtune::device(index));
    std::lock_guard<std::mutex> lock(generator.mutex());
    generator.set_state(*state);
  });
}

// Free bytes of the device (in the driver, and reserved but unused by the allocator), and the most bytes that tensors have
// held at once.
int embtune_cuda_memory(int64_t index, int64_t* free, int64_t* peak) {
  return embtune::guard([&] {
    const c10::DeviceIndex device = embtune::device(index).index();
    c10::DeviceAllocator* allocator = at::getDeviceAllocator(at::kCUDA);
    const auto statistics = allocator->getDeviceStats(device);
    const auto total = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    *peak = statistics.allocated_bytes[total].peak;
    *free = static_cast<int64_t>(allocator->getMemoryInfo(device).first) + statistics.reserved_bytes[total].current -
            statistics.allocated_bytes[total].current;
  });
}
}
