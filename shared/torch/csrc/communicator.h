// Collective operations that are started now and waited for later. Everything that may still start operations in a group
// holds a shared pointer to it.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>

namespace embtune {

struct Communicator;

struct Work {
  virtual ~Work() = default;
  // Returns when the operation is done; throws if another process is gone or does not take part in time.
  virtual void wait() = 0;
};

// Starts to sum a tensor over all processes, in place. All processes start the same operations in the same order.
std::unique_ptr<Work> start_all_reduce(Communicator& group, const at::Tensor& tensor);

}  // namespace embtune
