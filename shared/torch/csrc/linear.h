// The products of a linear layer.
#pragma once
#include <ATen/core/Tensor.h>

#include <optional>

namespace embtune {

// x Wᵀ + b; x is [tokens, in], W [out, in], b [out].
at::Tensor affine(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias);

// The gradient of x: grad W.
at::Tensor affine_grad_input(const at::Tensor& grad, const at::Tensor& weight);

// The gradient of W: gradᵀ x.
at::Tensor affine_grad_weight(const at::Tensor& grad, const at::Tensor& x);

}  // namespace embtune
