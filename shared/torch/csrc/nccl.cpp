#include "nccl.h"

#include <ATen/ops/empty.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <dlfcn.h>

#include <algorithm>
#include <future>
#include <string>
#include <thread>
#include <utility>

#include "checks.h"
#include "guard.h"

namespace embtune {

namespace {

// ncclResult_t, ncclRedOp_t.
constexpr int kSuccess = 0;
constexpr int kSum = 0;
// Time between two polls of a pending operation.
constexpr std::chrono::microseconds kPollInterval{100};

// ncclDataType_t.
int data_type(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kByte: return 1;
    case at::kLong: return 4;
    case at::kHalf: return 6;
    case at::kFloat: return 7;
    case at::kDouble: return 8;
    case at::kBFloat16: return 9;
    default: TORCH_CHECK(false, "NCCL: tensors of ", tensor.scalar_type(), " cannot be exchanged");
  }
}

// Why the last call of the dynamic linker failed.
std::string reason() {
  const char* error = dlerror();
  return error == nullptr ? "no such symbol" : error;
}

template <class Function>
void find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  TORCH_CHECK(function != nullptr, reason());
}

}  // namespace

void Nccl::Functions::check(int result) const { TORCH_CHECK(result == kSuccess, "NCCL: ", error_string(result)); }

// An operation on the stream. It holds its NCCL, because the group may switch to another one before the wait.
struct NcclWork final : Work {
  NcclWork(std::shared_ptr<const Nccl> nccl, std::optional<c10::Event> done)
      : nccl(std::move(nccl)), done(std::move(done)) {}

  void wait() override {
    const auto began = std::chrono::steady_clock::now();
    while (done && !done->query()) {
      // A kernel that waits for a lost process waits forever, so a lost process shows as an error here or as a timeout.
      int error = kSuccess;
      nccl->functions_.check(nccl->functions_.async_error(nccl->communicator_, &error));
      nccl->functions_.check(error);
      TORCH_CHECK(std::chrono::steady_clock::now() - began < nccl->timeout_, "NCCL: Operation timed out!");
      std::this_thread::sleep_for(kPollInterval);
    }
  }

  std::shared_ptr<const Nccl> nccl;
  std::optional<c10::Event> done;
};

Nccl::Nccl(const char* library) {
  // The library stays loaded for the life of the process.
  void* loaded = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  TORCH_CHECK(loaded != nullptr, reason());
  find(loaded, "ncclGetErrorString", functions_.error_string);
  find(loaded, "ncclGetUniqueId", functions_.new_id);
  find(loaded, "ncclCommInitRank", functions_.join);
  find(loaded, "ncclAllReduce", functions_.all_reduce);
  find(loaded, "ncclAllGather", functions_.all_gather);
  find(loaded, "ncclBroadcast", functions_.broadcast);
  find(loaded, "ncclCommGetAsyncError", functions_.async_error);
  find(loaded, "ncclCommAbort", functions_.abort);
}

// Aborting does not wait for other processes, which may be gone.
Nccl::~Nccl() {
  if (communicator_ != nullptr) functions_.abort(communicator_);
}

UniqueId Nccl::new_id() const {
  UniqueId id{};
  functions_.check(functions_.new_id(&id));
  return id;
}

void Nccl::join(const UniqueId& id, int rank, int size, c10::Device device, std::chrono::milliseconds timeout) {
  // NCCL itself would wait forever, so a thread waits for it.
  auto promise = std::make_shared<std::promise<void*>>();
  std::future<void*> joined = promise->get_future();
  std::thread thread([=, functions = functions_] {
    try {
      const c10::DeviceGuard guard(device);
      void* communicator = nullptr;
      functions.check(functions.join(&communicator, size, id, rank));
      promise->set_value(communicator);
    } catch (...) {
      promise->set_exception(std::current_exception());
    }
  });
  const bool in_time = joined.wait_for(timeout) == std::future_status::ready;
  in_time ? thread.join() : thread.detach();
  TORCH_CHECK(in_time, "NCCL: the other processes have not joined in time");
  communicator_ = joined.get();
  if (!device.is_cpu()) stream_ = c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device);
  device_ = device;
  timeout_ = timeout;
}

// Starts an operation that runs after the kernels which torch has queued on this thread's stream.
template <class Launch>
std::unique_ptr<Work> Nccl::start(at::TensorList tensors, Launch launch) {
  for (const at::Tensor& tensor : tensors) TORCH_CHECK(tensor.is_contiguous(), "NCCL: the tensor is not contiguous");
  if (!stream_) {
    functions_.check(launch(nullptr));
    return std::make_unique<NcclWork>(shared_from_this(), std::nullopt);
  }
  const c10::DeviceGuard guard(device_);
  c10::Event before(device_.type()), done(device_.type());
  before.record(c10::impl::VirtualGuardImpl(device_.type()).getStream(device_));
  before.block(*stream_);
  functions_.check(launch(stream_->native_handle()));
  done.record(*stream_);
  // A tensor may be dropped before the operation ends: without this, the allocator would then reuse its memory.
  for (const at::Tensor& tensor : tensors) {
    c10::impl::VirtualGuardImpl(device_.type()).recordDataPtrOnStream(tensor.storage().data_ptr(), *stream_);
  }
  return std::make_unique<NcclWork>(shared_from_this(), std::move(done));
}

std::unique_ptr<Work> Nccl::all_reduce(const at::Tensor& tensor) {
  return start({tensor}, [&](void* stream) {
    void* data = tensor.data_ptr();
    return functions_.all_reduce(data, data, tensor.numel(), data_type(tensor), kSum, communicator_, stream);
  });
}

std::unique_ptr<Work> Nccl::all_gather(const at::Tensor& out, const at::Tensor& tensor) {
  return start({out, tensor}, [&](void* stream) {
    const void* data = tensor.const_data_ptr();
    return functions_.all_gather(data, out.data_ptr(), tensor.numel(), data_type(tensor), communicator_, stream);
  });
}

std::unique_ptr<Work> Nccl::broadcast(const at::Tensor& tensor) {
  return start({tensor}, [&](void* stream) {
    void* data = tensor.data_ptr();
    return functions_.broadcast(data, data, tensor.numel(), data_type(tensor), /*root=*/0, communicator_, stream);
  });
}

}  // namespace embtune

extern "C" {

int embtune_nccl_load(const char* library, std::shared_ptr<embtune::Nccl>** out) {
  return embtune::guard([&] { *out = new std::shared_ptr(std::make_shared<embtune::Nccl>(library)); });
}

void embtune_nccl_drop(std::shared_ptr<embtune::Nccl>* nccl) { delete nccl; }

// A new communicator id, uint8 [128].
int embtune_nccl_id(const std::shared_ptr<embtune::Nccl>* nccl, embtune::Handle* out) {
  return embtune::guard([&] {
    const embtune::UniqueId id = (*nccl)->new_id();
    at::Tensor bytes = at::empty({sizeof id.bytes}, at::TensorOptions(at::kByte));
    std::copy(std::begin(id.bytes), std::end(id.bytes), bytes.mutable_data_ptr<uint8_t>());
    *out = embtune::give(std::move(bytes));
  });
}

// A negative index is the CPU.
int embtune_nccl_join(std::shared_ptr<embtune::Nccl>* nccl, embtune::Handle id, int rank, int size, int64_t index,
                      int64_t timeout_ms) {
  return embtune::guard([&] {
    embtune::UniqueId unique;
    TORCH_CHECK(embtune::is_plain(*id) && id->is_contiguous() && id->numel() == sizeof unique.bytes,
                "NCCL: expected an id of ", sizeof unique.bytes, " bytes");
    std::copy_n(id->const_data_ptr<uint8_t>(), sizeof unique.bytes, unique.bytes);
    const auto type = index < 0 ? at::kCPU : at::kCUDA;
    const c10::Device device(type, static_cast<c10::DeviceIndex>(index));
    (*nccl)->join(unique, rank, size, device, std::chrono::milliseconds(timeout_ms));
  });
}
}
