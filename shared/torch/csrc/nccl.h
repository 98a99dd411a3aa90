// NCCL, from GPU to GPU: the library that CUDA's libtorch has loaded, through its plain C functions, so that neither its
// headers nor CUDA's are needed to build.
#pragma once
#include <ATen/core/Tensor.h>
#include <c10/core/Stream.h>

#include <chrono>
#include <memory>
#include <optional>

#include "group.h"

namespace embtune {

// ncclUniqueId: which communicator is meant. One process makes it and tells the others.
struct UniqueId {
  char bytes[128];
};

class Nccl : public std::enable_shared_from_this<Nccl> {
 public:
  explicit Nccl(const char* library);
  Nccl(const Nccl&) = delete;
  Nccl& operator=(const Nccl&) = delete;
  ~Nccl();

  UniqueId new_id() const;
  // Meets the other processes, each of which has a device of its own.
  void join(const UniqueId& id, int rank, int size, c10::Device device, std::chrono::milliseconds timeout);

  bool takes(const at::Tensor& tensor) const { return tensor.device() == device_; }
  std::unique_ptr<Pending> sum(const at::Tensor& tensor);
  std::unique_ptr<Pending> gather(const at::Tensor& out, const at::Tensor& tensor);
  std::unique_ptr<Pending> broadcast(const at::Tensor& tensor);

 private:
  friend struct NcclOperation;

  // The functions of nccl.h that are used, all there since 2.4.
  struct Functions {
    const char* (*error_string)(int);
    int (*new_id)(UniqueId*);
    int (*join)(void**, int, UniqueId, int);
    int (*all_reduce)(const void*, void*, size_t, int, int, void*, void*);
    int (*all_gather)(const void*, void*, size_t, int, void*, void*);
    int (*broadcast)(const void*, void*, size_t, int, int, void*, void*);
    int (*async_error)(void*, int*);
    int (*abort)(void*);

    void check(int result) const;
  };

  template <class Launch>
  std::unique_ptr<Pending> start(at::TensorList tensors, Launch launch);

  Functions functions_{};
  void* communicator_ = nullptr;
  c10::Device device_{c10::kMeta};  // of no tensor, before the others are met
  // Of its own, so that what it carries runs beside torch's kernels; the CPU, in tests, has none.
  std::optional<c10::Stream> stream_;
  std::chrono::milliseconds timeout_{};
};

}  // namespace embtune
