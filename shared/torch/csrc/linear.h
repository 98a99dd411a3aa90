// The products of a linear layer.
#pragma once
#include <ATen/core/Tensor.h>

#include <optional>

#include "guard.h"

namespace embtune {

// x Wᵀ + b; x is [tokens, in], W [out, in], b [out].
at::Tensor affine(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias);

// The gradient of x: grad W.
at::Tensor affine_grad_input(const at::Tensor& grad, const at::Tensor& weight);

// The gradient of W: gradᵀ x.
at::Tensor affine_grad_weight(const at::Tensor& grad, const at::Tensor& x);

// The gradients of A [rank, in] and B [out, rank] where W includes B A: Bᵀ (gradᵀ x) and (gradᵀ x) Aᵀ, without computing
// gradᵀ x, which is as large as W. Undefined tensors without A and B.
struct AdapterGrads {
  at::Tensor a, b;
};
AdapterGrads adapter_grads(const at::Tensor& grad, const at::Tensor& x, const at::Tensor& a, const at::Tensor& b);

}  // namespace embtune

// A linear layer, as Rust passes it.
struct EmbtuneLinear {
  embtune::Handle weight, bias;
  // The factors of the change that the weight includes, or null.
  embtune::Handle a, b;
};

namespace embtune {

// Refuses tensors that do not match, which oneDNN need not check. `x` is the input, [tokens, in], or, for the layer after
// one with `in` outputs, that layer's input. Returns `out`.
int64_t check_linear(const at::Tensor& x, const EmbtuneLinear& linear, std::optional<int64_t> in = std::nullopt);

}  // namespace embtune
