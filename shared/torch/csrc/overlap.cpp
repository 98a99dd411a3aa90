// Gradients that are added up over all processes while the backward pass computes others.
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <exception>
#include <memory>
#include <mutex>
#include <vector>

#include "group.h"
#include "guard.h"

namespace embtune {

class Overlap {
 public:
  explicit Overlap(Group& group) : group_(&group) {}

  void add(at::Tensor grads, int64_t leaves) { buckets_.push_back({std::move(grads), leaves, leaves}); }

  void arm() {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (Bucket& bucket : buckets_) bucket.missing = bucket.leaves;
    armed_ = true;
  }

  // A leaf of a bucket has its gradient. Buckets are started in their order, which is the same in all processes: one
  // that is complete too early waits for those before it.
  void arrived(size_t bucket) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!armed_) return;
    buckets_[bucket].missing -= 1;
    try {
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
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
    while (started_.size() < buckets_.size()) start_next();
    const auto started = std::exchange(started_, {});
    for (const auto& pending : started) pending->wait();
  }

  size_t started() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return started_.size();
  }

  // The leaves may live longer than the group.
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

  Group* group_;
  std::vector<Bucket> buckets_;
  std::vector<std::unique_ptr<Pending>> started_;
  bool armed_ = false;
  std::exception_ptr error_;
  std::mutex mutex_;
};

struct Arrival final : torch::autograd::PostAccumulateGradHook {
  Arrival(std::shared_ptr<Overlap> overlap, size_t bucket) : overlap(std::move(overlap)), bucket(bucket) {}
  void operator()(const torch::autograd::Variable&) override { overlap->arrived(bucket); }

  std::shared_ptr<Overlap> overlap;
  size_t bucket;
};

}  // namespace embtune

extern "C" {

int embtune_overlap_new(embtune::Group* group, std::shared_ptr<embtune::Overlap>** out) {
  return embtune::guard([&] { *out = new std::shared_ptr(std::make_shared<embtune::Overlap>(*group)); });
}

void embtune_overlap_drop(std::shared_ptr<embtune::Overlap>* overlap) {
  embtune::guard([&] { (*overlap)->leave(); });
  delete overlap;
}

// Adds the next bucket: the leaves whose gradients are parts of `grads`.
int embtune_overlap_add(std::shared_ptr<embtune::Overlap>* overlap, size_t bucket, embtune::Handle grads,
                        const embtune::Handle* leaves, size_t count) {
  return embtune::guard([&] {
    (*overlap)->add(*grads, static_cast<int64_t>(count));
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
