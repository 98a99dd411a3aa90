// Stands in for gloo's own header, which libtorch does not ship: what ProcessGroupGloo.hpp names of it.
#pragma once
#include <memory>

namespace gloo::transport {
class Device;
struct UnboundBuffer {
  virtual ~UnboundBuffer();
};
}  // namespace gloo::transport
