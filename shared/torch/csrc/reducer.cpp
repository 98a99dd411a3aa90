// Gradients that are summed over all processes while the backward pass still computes others.
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <exception>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "communicator.h"
#include "guard.h"

namespace embtune {

class Reducer {
 public:
  explicit Reducer(std::shared_ptr<Communicator> group) : group_(std::move(group)) {}

  // Returns the bucket's index.
  size_t add(at::Tensor grads, int64_t leaves) {
    const std::lock_guard<std::mutex> lock(mutex_);
    buckets_.push_back({std::move(grads), leaves, leaves});
    return buckets_.size() - 1;
  }

  void prepare() {
    const std::lock_guard<std::mutex> lock(mutex_);
    TORCH_CHECK(started_.empty() && !error_, "reducer: prepared again before its sums are finished");
    for (Bucket& bucket : buckets_) bucket.missing = bucket.leaves;
    prepared_ = true;
  }

  // Called when a leaf of a bucket has its gradient. Buckets are started in their order, which is the same in all
  // processes: one that is complete early waits for those before it.
  void gradient_is_ready(size_t bucket) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!prepared_) return;
    try {
      TORCH_CHECK(buckets_[bucket].missing > 0, "reducer: a gradient has changed after its sum had started");
      buckets_[bucket].missing -= 1;
      while (started_.size() < buckets_.size() && buckets_[started_.size()].missing == 0) start_next();
    } catch (...) {
      // finish() reports it: the caller of the backward pass cannot explain a lost process.
      error_ = std::current_exception();
      prepared_ = false;
    }
  }

  void finish() {
    const std::lock_guard<std::mutex> lock(mutex_);
    prepared_ = false;
    if (error_) {
      started_.clear();
      std::rethrow_exception(std::exchange(error_, nullptr));
    }
    while (started_.size() < buckets_.size()) start_next();
    const auto started = std::exchange(started_, {});
    for (const auto& pending : started) pending->wait();
  }

  size_t started() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return started_.size();
  }

  // The leaves may outlive the reducer, and so may their hooks: from now on they do nothing.
  void disable() {
    const std::lock_guard<std::mutex> lock(mutex_);
    prepared_ = false;
    started_.clear();
  }

 private:
  struct Bucket {
    at::Tensor grads;
    int64_t leaves;
    int64_t missing;
  };

  void start_next() { started_.push_back(start_all_reduce(*group_, buckets_[started_.size()].grads)); }

  // Shared, because the hooks of a reducer that is never dropped still start sums in the group.
  std::shared_ptr<Communicator> group_;
  std::vector<Bucket> buckets_;
  std::vector<std::unique_ptr<Work>> started_;
  bool prepared_ = false;
  std::exception_ptr error_;
  std::mutex mutex_;
};

// Whether this is a leaf whose gradient is a part of `grads`.
static bool accumulates_in(const at::Tensor& leaf, const at::Tensor& grads) {
  if (!leaf.defined() || !leaf.is_leaf() || !leaf.requires_grad() || !leaf.grad().defined()) return false;
  const at::Tensor& grad = leaf.grad();
  return grad.is_alias_of(grads) && grad.is_contiguous() && grad.storage_offset() >= grads.storage_offset() &&
         grad.storage_offset() + grad.numel() <= grads.storage_offset() + grads.numel();
}

struct GradientHook final : torch::autograd::PostAccumulateGradHook {
  GradientHook(std::shared_ptr<Reducer> reducer, size_t bucket) : reducer(std::move(reducer)), bucket(bucket) {}
  void operator()(const torch::autograd::Variable&) override { reducer->gradient_is_ready(bucket); }

  std::shared_ptr<Reducer> reducer;
  size_t bucket;
};

}  // namespace embtune

extern "C" {

int embtune_reducer_new(const std::shared_ptr<embtune::Communicator>* group, std::shared_ptr<embtune::Reducer>** out) {
  return embtune::guard([&] { *out = new std::shared_ptr(std::make_shared<embtune::Reducer>(*group)); });
}

void embtune_reducer_drop(std::shared_ptr<embtune::Reducer>* reducer) {
  embtune::guard([&] { (*reducer)->disable(); });
  delete reducer;
}

// Adds the next bucket: leaves whose gradients are parts of `grads`.
int embtune_reducer_add(std::shared_ptr<embtune::Reducer>* reducer, embtune::Handle grads,
                        const embtune::Handle* leaves, size_t count) {
  return embtune::guard([&] {
    TORCH_CHECK(grads->is_contiguous(), "reducer: the gradient is not contiguous");
    for (size_t i = 0; i < count; ++i) {
      TORCH_CHECK(embtune::accumulates_in(*leaves[i], *grads), "reducer: a leaf whose gradient is not in its bucket");
    }
    const size_t bucket = (*reducer)->add(*grads, static_cast<int64_t>(count));
    for (size_t i = 0; i < count; ++i) {
      torch::autograd::impl::set_post_acc_grad_hooks(*leaves[i], std::make_unique<embtune::GradientHook>(*reducer, bucket));
    }
  });
}

int embtune_reducer_prepare(std::shared_ptr<embtune::Reducer>* reducer) {
  return embtune::guard([&] { (*reducer)->prepare(); });
}

int embtune_reducer_started(std::shared_ptr<embtune::Reducer>* reducer, size_t* out) {
  return embtune::guard([&] { *out = (*reducer)->started(); });
}

int embtune_reducer_finish(std::shared_ptr<embtune::Reducer>* reducer) {
  return embtune::guard([&] { (*reducer)->finish(); });
}
}
