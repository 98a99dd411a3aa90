// NCCL's functions between threads of one process, for tests without a GPU: types, counts and operations must be those
// of nccl.h, and the id must arrive unchanged. Three processes are refused, as NCCL refuses two processes on one GPU.
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace {

enum { kSuccess = 0, kInvalidArgument = 4, kInvalidUsage = 5 };

struct Id {
  char bytes[128];
};

struct World {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<const void*> sent;
  size_t waiting = 0, round = 0;

  void meet() {
    std::unique_lock<std::mutex> lock(mutex);
    const size_t now = round;
    if (++waiting == sent.size()) {
      waiting = 0;
      ++round;
      changed.notify_all();
    }
    changed.wait(lock, [&] { return round != now; });
  }
};

struct Communicator {
  std::shared_ptr<World> world;
  int rank;
};

std::mutex mutex;
std::map<std::string, std::shared_ptr<World>> worlds;
int made = 0;

template <class T>
void add(const World& world, size_t count, std::vector<char>& out) {
  auto* sum = reinterpret_cast<T*>(out.data());
  for (const void* sent : world.sent) {
    for (size_t i = 0; i < count; ++i) sum[i] += static_cast<const T*>(sent)[i];
  }
}

size_t size_of(int type) { return type == 1 ? 1 : type == 4 || type == 8 ? 8 : type == 7 ? 4 : 0; }

// Shows every process what all have sent, and returns when all have seen it.
template <class Look>
void exchange(Communicator& self, const void* sent, Look look) {
  self.world->sent[self.rank] = sent;
  self.world->meet();
  look(*self.world);
  self.world->meet();
}

}  // namespace

extern "C" {

const char* ncclGetErrorString(int error) { return error == kInvalidUsage ? "invalid usage" : "invalid argument"; }

int ncclGetUniqueId(Id* id) {
  const std::lock_guard<std::mutex> lock(mutex);
  std::memset(id->bytes, 'x', sizeof id->bytes);
  id->bytes[127] = static_cast<char>(++made);
  worlds[std::string(id->bytes, sizeof id->bytes)] = std::make_shared<World>();
  return kSuccess;
}

int ncclCommInitRank(Communicator** out, int size, Id id, int rank) {
  if (size == 3) return kInvalidUsage;
  const std::lock_guard<std::mutex> lock(mutex);
  const auto found = worlds.find(std::string(id.bytes, sizeof id.bytes));
  if (found == worlds.end() || rank < 0 || rank >= size) return kInvalidArgument;
  found->second->sent.resize(size);
  *out = new Communicator{found->second, rank};
  return kSuccess;
}

int ncclAllReduce(const void* in, void* out, size_t count, int type, int operation, Communicator* self, void*) {
  if (operation != 0) return kInvalidArgument;
  std::vector<char> sum(count * size_of(type), 0);
  exchange(*self, in, [&](const World& world) {
    if (type == 7) add<float>(world, count, sum);
    if (type == 8) add<double>(world, count, sum);
    if (type == 4) add<int64_t>(world, count, sum);
  });
  std::memcpy(out, sum.data(), sum.size());
  return sum.empty() ? kInvalidArgument : kSuccess;
}

int ncclAllGather(const void* in, void* out, size_t count, int type, Communicator* self, void*) {
  const size_t bytes = count * size_of(type);
  exchange(*self, in, [&](const World& world) {
    for (size_t rank = 0; rank < world.sent.size(); ++rank) {
      std::memcpy(static_cast<char*>(out) + rank * bytes, world.sent[rank], bytes);
    }
  });
  return bytes == 0 ? kInvalidArgument : kSuccess;
}

int ncclBroadcast(const void* in, void* out, size_t count, int type, int root, Communicator* self, void*) {
  std::vector<char> copy(count * size_of(type));
  exchange(*self, in, [&](const World& world) { std::memcpy(copy.data(), world.sent[root], copy.size()); });
  std::memcpy(out, copy.data(), copy.size());
  return copy.empty() ? kInvalidArgument : kSuccess;
}

int ncclCommGetAsyncError(Communicator*, int* error) {
  *error = kSuccess;
  return kSuccess;
}

int ncclCommAbort(Communicator* self) {
  delete self;
  return kSuccess;
}
}
