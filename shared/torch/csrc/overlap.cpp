// Gradients that are added up over all processes while the backward pass computes others.
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <exception>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "group.h"
#include "guard.h"

namespace embtune {

class Overlap {
 public:
  explicit Overlap(std::shared_ptr<Group> group) : group_(std::move(group)) {}

  // Gives the bucket's number.
  size_t add(at::Tensor grads, int64_t leaves) {
    const std::lock_guard<std::mutex> lock(mutex_);
    buckets_.push_back({std::move(grads), leaves, leaves});
    return buckets_.size() - 1;
  }

  void arm() {
    const std::lock_guard<std::mutex> lock(mutex_);
    TORCH_CHECK(started_.empty() && !error_, "overlap: armed again before its sums are finished");
    for (Bucket& bucket : buckets_) bucket.missing = bucket.leaves;
    armed_ = true;
  }

  // A leaf of a bucket has its gradient. Buckets are started in their order, which is the same in all processes: one
  // that is complete too early waits for those before it.
  void arrived(size_t bucket) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!armed_) return;
    try {
      TORCH_CHECK(buckets_[bucket].missing > 0, "overlap: a gradient has changed after its sum had begun");
      buckets_[bucket].missing -= 1;
      while (started_.size() < buckets_.size() && buckets_[started_.size()].missing == 0) start_next();
    } catch (...) {
      // It is `finish` that knows what to say of a lost process, not the backward pass.
      error_ = std::current_exception();
      armed_ = false;
    }
  }

  void finish() {
    const std::lock_guard<std::mutex> lock(mutex_);
    armed_ = false;
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

  // The leaves may live longer, and their hooks with them.
  void leave() {
    const std::lock_guard<std::mutex> lock(mutex_);
    armed_ = false;
    started_.clear();
  }

 private:
  struct Bucket {
    at::Tensor grads;
    int64_t leaves;
    int64_t missing;
  };

  void start_next() { started_.push_back(start_sum(*group_, buckets_[started_.size()].grads)); }

  // A share: whoever forgets an overlap that is armed leaves hooks behind that start sums in it.
  std::shared_ptr<Group> group_;
  std::vector<Bucket> buckets_;
  std::vector<std::unique_ptr<Pending>> started_;
  bool armed_ = false;
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

struct Arrival final : torch::autograd::PostAccumulateGradHook {
  Arrival(std::shared_ptr<Overlap> overlap, size_t bucket) : overlap(std::move(overlap)), bucket(bucket) {}
  void operator()(const torch::autograd::Variable&) override { overlap->arrived(bucket); }

  std::shared_ptr<Overlap> overlap;
  size_t bucket;
};

}  // namespace embtune

extern "C" {

int embtune_overlap_new(const std::shared_ptr<embtune::Group>* group, std::shared_ptr<embtune::Overlap>** out) {
  return embtune::guard([&] { *out = new std::shared_ptr(std::make_shared<embtune::Overlap>(*group)); });
}

void embtune_overlap_drop(std::shared_ptr<embtune::Overlap>* overlap) {
  embtune::guard([&] { (*overlap)->leave(); });
  delete overlap;
}

// Adds the next bucket: the leaves whose gradients are parts of `grads`.
int embtune_overlap_add(std::shared_ptr<embtune::Overlap>* overlap, embtune::Handle grads,
                        const embtune::Handle* leaves, size_t count) {
  return embtune::guard([&] {
    TORCH_CHECK(grads->is_contiguous(), "overlap: a gradient in pieces");
    for (size_t i = 0; i < count; ++i) {
      TORCH_CHECK(embtune::accumulates_in(*leaves[i], *grads), "overlap: a leaf whose gradient is not in its bucket");
    }
    const size_t bucket = (*overlap)->add(*grads, static_cast<int64_t>(count));
    for (size_t i = 0; i < count; ++i) {
      torch::autograd::impl::set_post_acc_grad_hooks(*leaves[i], std::make_unique<embtune::Arrival>(*overlap, bucket));
    }
  });
}

int embtune_overlap_arm(std::shared_ptr<embtune::Overlap>* overlap) {
  return embtune::guard([&] { (*overlap)->arm(); });
}

int embtune_overlap_started(std::shared_ptr<embtune::Overlap>* overlap, size_t* out) {
  return embtune::guard([&] { *out = (*overlap)->started(); });
}

int embtune_overlap_finish(std::shared_ptr<embtune::Overlap>* overlap) {
  return embtune::guard([&] { (*overlap)->finish(); });
}
}
