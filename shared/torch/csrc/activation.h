// The functions between the matrices of feed-forward blocks.
#pragma once
#include <ATen/ops/gelu.h>
#include <ATen/ops/gelu_backward.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/silu_backward.h>
#include <ATen/ops/threshold_backward.h>

namespace embtune {

enum Activation : int64_t { kGelu = 0, kGeluTanh = 1, kRelu = 2, kSilu = 3 };

inline at::Tensor activate(const at::Tensor& x, int64_t activation) {
  if (activation == kRelu) return at::relu(x);
  if (activation == kSilu) return at::silu(x);
  return at::gelu(x, activation == kGelu ? "none" : "tanh");
}

inline at::Tensor activate_backward(const at::Tensor& grad, const at::Tensor& x, int64_t activation) {
  if (activation == kRelu) return at::threshold_backward(grad, x, 0);
  if (activation == kSilu) return at::silu_backward(grad, x);
  return at::gelu_backward(grad, x, activation == kGelu ? "none" : "tanh");
}

}  // namespace embtune
