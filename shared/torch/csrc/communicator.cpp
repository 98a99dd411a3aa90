// The key-value store and the collective operations of several processes: Gloo's on the CPU, NCCL's on GPUs.
#define USE_DISTRIBUTED
#define USE_C10D_GLOO
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <c10/util/Logging.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "communicator.h"
#include "guard.h"
#include "nccl.h"

namespace embtune {

struct Store {
  c10::intrusive_ptr<c10d::Store> inner;
};

struct GlooWork final : Work {
  GlooWork(c10::intrusive_ptr<c10d::Work> work, std::chrono::milliseconds timeout)
      : work(std::move(work)), timeout(timeout) {}
  void wait() override { work->wait(timeout); }

  c10::intrusive_ptr<c10d::Work> work;
  std::chrono::milliseconds timeout;
};

// An operation that runs only when it is waited for.
struct DeferredWork final : Work {
  explicit DeferredWork(std::function<void()> act) : act(std::move(act)) {}
  void wait() override { act(); }

  std::function<void()> act;
};

struct Communicator {
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo;
  std::chrono::milliseconds timeout;
  // For tensors on a GPU, if every process has a GPU to itself; pending operations hold the pointer too.
  std::shared_ptr<Nccl> nccl = nullptr;

  bool uses_nccl_for(const at::Tensor& tensor) const { return nccl && nccl->handles(tensor); }

  template <class Options, class Start>
  std::unique_ptr<Work> start(Start start) {
    at::NoGradGuard no_grad;
    Options options;
    options.timeout = timeout;
    return std::make_unique<GlooWork>(start(options), timeout);
  }
};

// Gloo and NCCL are given the address of the first element and the number of elements.
static void check_contiguous(const at::Tensor& tensor) {
  TORCH_CHECK(tensor.defined() && tensor.layout() == at::kStrided && tensor.is_contiguous(), "the tensor is not contiguous");
}

// Gloo works on the CPU: tensors on a GPU are copied there and back.
template <class Act>
static void on_cpu(const at::Tensor& tensor, Act act) {
  if (tensor.is_cpu()) return act(tensor);
  at::NoGradGuard no_grad;
  const at::Tensor copy = tensor.cpu();
  act(copy);
  tensor.copy_(copy);
}

std::unique_ptr<Work> start_all_reduce(Communicator& group, const at::Tensor& tensor) {
  check_contiguous(tensor);
  if (group.uses_nccl_for(tensor)) return group.nccl->all_reduce(tensor);
  if (tensor.is_cpu()) {
    std::vector<at::Tensor> tensors{tensor};
    return group.start<c10d::AllreduceOptions>([&](auto& options) { return group.gloo->allreduce(tensors, options); });
  }
  return std::make_unique<DeferredWork>([&group, tensor] {
    on_cpu(tensor, [&](const at::Tensor& copy) { start_all_reduce(group, copy)->wait(); });
  });
}

}  // namespace embtune

extern "C" {

// Connects to the store at host:port, or serves it there if `serves` is set. Every key gets the prefix.
int embtune_store_open(const char* host, uint16_t port, bool serves, const char* prefix, int64_t timeout_ms,
                       embtune::Store** out) {
  return embtune::guard([&] {
    // The caller reports a lost process; c10d would print pages of C++ frames on stderr as well.
    FLAGS_caffe2_log_level = c10::GLOG_ERROR;
    c10d::TCPStoreOptions options;
    options.port = port;
    options.isServer = serves;
    options.waitWorkers = false;
    options.timeout = std::chrono::milliseconds(timeout_ms);
    auto store = c10::make_intrusive<c10d::TCPStore>(std::string(host), options);
    *out = new embtune::Store{c10::make_intrusive<c10d::PrefixStore>(std::string(prefix), std::move(store))};
  });
}

void embtune_store_close(embtune::Store* store) {
  embtune::guard([&] { delete store; });
}

int embtune_store_set(embtune::Store* store, const char* key, const uint8_t* value, size_t length) {
  return embtune::guard([&] { store->inner->set(key, std::vector<uint8_t>(value, value + length)); });
}

// The key's value as bytes; leaves `out` unchanged if the key has no value.
int embtune_store_get(embtune::Store* store, const char* key, embtune::Handle* out) {
  return embtune::guard([&] {
    if (!store->inner->check({std::string(key)})) return;
    const std::vector<uint8_t> value = store->inner->get(key);
    at::Tensor bytes = at::empty({static_cast<int64_t>(value.size())}, at::TensorOptions(at::kByte));
    std::copy(value.begin(), value.end(), bytes.mutable_data_ptr<uint8_t>());
    *out = embtune::give(std::move(bytes));
  });
}

// Joins the other processes of the group; an empty `interface` means the one that the host's name resolves to.
int embtune_communicator_join(embtune::Store* store, int rank, int size, const char* interface, int64_t timeout_ms,
                       std::shared_ptr<embtune::Communicator>** out) {
  return embtune::guard([&] {
    using Gloo = c10d::ProcessGroupGloo;
    const std::chrono::milliseconds timeout(timeout_ms);
    auto options = Gloo::Options::create(timeout);
    options->devices.push_back(interface[0] ? Gloo::createDeviceForInterface(interface) : Gloo::createDefaultDevice());
    options->threads = 1;
    auto gloo = c10::make_intrusive<Gloo>(store->inner, rank, size, options);
    *out = new std::shared_ptr(std::make_shared<embtune::Communicator>(embtune::Communicator{std::move(gloo), timeout}));
  });
}

void embtune_communicator_leave(std::shared_ptr<embtune::Communicator>* group) {
  embtune::guard([&] { delete group; });
}

// Uses NCCL for tensors on its device, replacing an NCCL that was set before.
int embtune_communicator_use_nccl(std::shared_ptr<embtune::Communicator>* group, std::shared_ptr<embtune::Nccl>* nccl) {
  return embtune::guard([&] { (*group)->nccl = *nccl; });
}

// Sums a tensor over all processes, in place.
int embtune_communicator_all_reduce(std::shared_ptr<embtune::Communicator>* group, embtune::Handle tensor) {
  return embtune::guard([&] { embtune::start_all_reduce(**group, *tensor)->wait(); });
}

// The rows of all processes, ordered by rank: [processes · rows, width] from [rows, width].
int embtune_communicator_all_gather(std::shared_ptr<embtune::Communicator>* shared, embtune::Handle tensor, embtune::Handle* out) {
  return embtune::guard([&] {
    at::NoGradGuard no_grad;
    TORCH_CHECK(tensor->defined() && tensor->dim() == 2 && tensor->layout() == at::kStrided, "all_gather: expected a matrix");
    embtune::Communicator* group = shared->get();
    const bool uses_nccl = group->uses_nccl_for(*tensor);
    at::Tensor own = (uses_nccl ? *tensor : tensor->cpu()).contiguous();
    at::Tensor all = at::empty({group->gloo->getSize() * own.size(0), own.size(1)}, own.options());
    if (uses_nccl) {
      group->nccl->all_gather(all, own)->wait();
    } else {
      group->start<c10d::AllgatherOptions>([&](auto& options) {
        return group->gloo->_allgather_base(all, own, options);
      })->wait();
    }
    *out = embtune::give(all.to(tensor->device()));
  });
}

// Copies the tensor of process 0 over those of the others.
int embtune_communicator_broadcast(std::shared_ptr<embtune::Communicator>* shared, embtune::Handle tensor) {
  return embtune::guard([&] {
    embtune::check_contiguous(*tensor);
    embtune::Communicator* group = shared->get();
    if (group->uses_nccl_for(*tensor)) {
      group->nccl->broadcast(*tensor)->wait();
    } else {
      embtune::on_cpu(*tensor, [&](const at::Tensor& copy) {
        std::vector<at::Tensor> tensors{copy};
        group->start<c10d::BroadcastOptions>([&](auto& options) {
          return group->gloo->broadcast(tensors, options);
        })->wait();
      });
    }
    tensor->unsafeGetTensorImpl()->bump_version();
  });
}
}
