// Operations of a group of processes that are started now and waited for later. A group is shared by all that may still
// start operations in it.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>

namespace embtune {

struct Group;

struct Pending {
  virtual ~Pending() = default;
  // Returns when the operation is done; throws when another process is gone or does not come in time.
  virtual void wait() = 0;
};

// Starts to add a tensor up over all processes, in place. All processes start the same operations in the same order.
std::unique_ptr<Pending> start_sum(Group& group, const at::Tensor& tensor);

}  // namespace embtune
