// Several processes as one: a store of keys over TCP, and Gloo's collective operations over tensors of the CPU.
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
#include <memory>
#include <string>
#include <vector>

#include "guard.h"

namespace embtune {

struct Store {
  c10::intrusive_ptr<c10d::Store> inner;
};

struct Group {
  c10::intrusive_ptr<c10d::ProcessGroupGloo> inner;
  std::chrono::milliseconds timeout;

  // Runs a collective operation to its end.
  template <class Options, class Start>
  void run(Start start) {
    at::NoGradGuard no_grad;
    Options options;
    options.timeout = timeout;
    start(options)->wait(timeout);
  }
};

}  // namespace embtune

extern "C" {

// Connects to the store at host:port, which this process serves itself with `serves`. All keys begin with `prefix`.
int embtune_store_open(const char* host, uint16_t port, bool serves, const char* prefix, int64_t timeout_ms,
                       embtune::Store** out) {
  return embtune::guard([&] {
    // A process that is gone is an error here; c10d would add pages of C++ frames on stderr.
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

// The key's value as bytes; leaves `out` alone when the key is not there.
int embtune_store_get(embtune::Store* store, const char* key, embtune::Handle* out) {
  return embtune::guard([&] {
    if (!store->inner->check({std::string(key)})) return;
    const std::vector<uint8_t> value = store->inner->get(key);
    at::Tensor bytes = at::empty({static_cast<int64_t>(value.size())}, at::TensorOptions(at::kByte));
    std::copy(value.begin(), value.end(), bytes.mutable_data_ptr<uint8_t>());
    *out = embtune::give(std::move(bytes));
  });
}

// Meets the other processes of the group; an empty `interface` is the one that the host's name belongs to.
int embtune_group_join(embtune::Store* store, int rank, int size, const char* interface, int64_t timeout_ms,
                       embtune::Group** out) {
  return embtune::guard([&] {
    using Gloo = c10d::ProcessGroupGloo;
    const std::chrono::milliseconds timeout(timeout_ms);
    auto options = Gloo::Options::create(timeout);
    options->devices.push_back(interface[0] ? Gloo::createDeviceForInterface(interface) : Gloo::createDefaultDevice());
    options->threads = 1;
    *out = new embtune::Group{c10::make_intrusive<Gloo>(store->inner, rank, size, options), timeout};
  });
}

void embtune_group_leave(embtune::Group* group) {
  embtune::guard([&] { delete group; });
}

// Adds a tensor up over all processes, in place.
int embtune_group_sum(embtune::Group* group, embtune::Handle tensor) {
  return embtune::guard([&] {
    std::vector<at::Tensor> tensors{*tensor};
    group->run<c10d::AllreduceOptions>([&](auto& options) { return group->inner->allreduce(tensors, options); });
  });
}

// `out` holds the tensors of all processes, by rank.
int embtune_group_gather(embtune::Group* group, embtune::Handle out, embtune::Handle tensor) {
  return embtune::guard([&] {
    group->run<c10d::AllgatherOptions>(
        [&](auto& options) { return group->inner->_allgather_base(*out, *tensor, options); });
  });
}

// Copies the first process's tensor over those of the others.
int embtune_group_broadcast(embtune::Group* group, embtune::Handle tensor) {
  return embtune::guard([&] {
    std::vector<at::Tensor> tensors{*tensor};
    group->run<c10d::BroadcastOptions>([&](auto& options) { return group->inner->broadcast(tensors, options); });
  });
}
}
