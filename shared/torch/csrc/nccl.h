// NCCL, which exchanges tensors between GPUs. The library that libtorch has loaded is called through its plain C
// functions, so that building needs neither its headers nor CUDA's.
#pragma once
#include <ATen/core/Tensor.h>
#include <c10/core/Stream.h>

#include <chrono>
#include <memory>
#include <optional>

#include "communicator.h"

namespace embtune {

// ncclUniqueId, which names a communicator. One process creates it and sends it to the others.
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
  // Joins the other processes, each of which has a separate device.
  void join(const UniqueId& id, int rank, int size, c10::Device device, std::chrono::milliseconds timeout);

  bool handles(const at::Tensor& tensor) const { return tensor.device() == device_; }
  std::unique_ptr<Work> all_reduce(const at::Tensor& tensor);
  std::unique_ptr<Work> all_gather(const at::Tensor& out, const at::Tensor& tensor);
  std::unique_ptr<Work> broadcast(const at::Tensor& tensor);

 private:
  friend struct NcclWork;

  // The functions of nccl.h that are used; all of them exist since 2.4.
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
  std::unique_ptr<Work> start(at::TensorList tensors, Launch launch);

  Functions functions_{};
  void* communicator_ = nullptr;
  c10::Device device_{c10::kMeta};  // no tensor has it before join()
  // A separate stream, so that transfers run in parallel with torch's kernels; on the CPU, in tests, there is none.
  std::optional<c10::Stream> stream_;
  std::chrono::milliseconds timeout_{};
};

}  // namespace embtune
