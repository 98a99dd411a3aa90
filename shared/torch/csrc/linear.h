// The products of a linear layer.
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/csrc/autograd/custom_function.h>

#include <optional>

#include "guard.h"

// A linear layer, as Rust passes it.
struct EmbtuneLinear {
  // The bias may be null.
  embtune::Handle weight, bias;
  // The factors of a change of the weight, or null, and whether the weight includes that change.
  embtune::Handle a, b;
  bool included;
};

namespace embtune {

// x Wᵀ + b; x is [tokens, in], W [out, in], b [out]. A weight of another type than x is converted for this product.
at::Tensor affine(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias);

// The gradient of x: grad W.
at::Tensor affine_grad_input(const at::Tensor& grad, const at::Tensor& weight);

// The gradient of W: gradᵀ x.
at::Tensor affine_grad_weight(const at::Tensor& grad, const at::Tensor& x);

// A linear layer in the forward and backward pass of an autograd function.
struct Layer {
  // The tensors of a layer, as arguments of an autograd function and among what it saves: weight, bias, A, B, of which all
  // but the weight may be missing.
  static constexpr size_t kTensors = 4;
  std::optional<at::Tensor> weight, bias, a, b;
  bool included;

  explicit Layer(const EmbtuneLinear& layer)
      : weight(*layer.weight), bias(optional(layer.bias)), a(optional(layer.a)), b(optional(layer.b)),
        included(layer.included) {}
  // From the saved tensors at `first` and behind.
  Layer(const torch::autograd::variable_list& saved, size_t first, bool included);

  at::Tensor forward(const at::Tensor& x) const;
  void save(torch::autograd::variable_list& to) const;

  // The gradient of the input.
  at::Tensor grad_input(const at::Tensor& grad) const;
};

// Which gradients a backward pass must compute, by the place of a tensor among the arguments and the saved tensors, which
// are the same here: a missing tensor has no edge in the graph.
struct Wanted {
  const torch::autograd::AutogradContext* context;
  const torch::autograd::variable_list& saved;

  bool operator()(size_t place) const;
  // Of any tensor of the layer whose tensors begin at `first` that needs the layer's input.
  bool needs_input(size_t first) const { return (*this)(first) || (*this)(first + 2) || (*this)(first + 3); }
};

// Writes the gradients of a layer's tensors to `grads`, at the places where they are among the arguments. `x` is the
// layer's input; it is used only if Wanted::needs_input.
void layer_grads(const Wanted& wanted, const Layer& layer, size_t first, const at::Tensor& grad, const at::Tensor& x,
                 torch::autograd::variable_list& grads);

// Refuses tensors that do not match, which oneDNN need not check. `x` is the input, [tokens, in], or, for the layer after
// one with `in` outputs, that layer's input. Returns `out`.
int64_t check_linear(const at::Tensor& x, const EmbtuneLinear& linear, std::optional<int64_t> in = std::nullopt);

}  // namespace embtune
