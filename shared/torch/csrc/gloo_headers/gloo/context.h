// Stands in for gloo's own header, which libtorch does not ship: what ProcessGroupGloo.hpp names of it.
#pragma once
#include <chrono>
#include <memory>

namespace gloo {
class Context {
 public:
  void setTimeout(std::chrono::milliseconds timeout);
};
}  // namespace gloo
