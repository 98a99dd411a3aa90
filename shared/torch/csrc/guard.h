// The boundary to Rust: tensors are at::Tensor pointers, as in tch, and exceptions become messages.
#pragma once
#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <exception>
#include <optional>
#include <string>

namespace embtune {

using Handle = at::Tensor*;

// Message of the last failure on this thread.
extern thread_local std::string last_error;

// Runs `body`; returns 0, or -1 if it threw.
template <class Body>
int guard(Body&& body) noexcept {
  try {
    body();
    return 0;
  } catch (const c10::Error& error) {
    last_error = error.what_without_backtrace();
  } catch (const std::exception& error) {
    last_error = error.what();
  } catch (...) {
    last_error = "unknown C++ exception";
  }
  return -1;
}

// Passes a tensor to Rust, where dropping tch's Tensor deletes it.
inline Handle give(at::Tensor tensor) { return new at::Tensor(std::move(tensor)); }

// A tensor that may be missing.
inline std::optional<at::Tensor> optional(Handle tensor) {
  return tensor == nullptr ? std::nullopt : std::optional<at::Tensor>(*tensor);
}

}  // namespace embtune
