// The feed-forward block act(x W1ᵀ + b1) W2ᵀ + b2. It keeps the activation's input and computes the activation again in
// the backward pass, because it is the widest tensor of a layer and cheap to compute.
#include <ATen/ops/gelu.h>
#include <ATen/ops/gelu_backward.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/threshold_backward.h>
#include <torch/csrc/autograd/custom_function.h>

#include "guard.h"
#include "linear.h"

namespace embtune {

enum Activation : int64_t { kGelu = 0, kGeluTanh = 1, kRelu = 2 };

static at::Tensor activate(const at::Tensor& x, int64_t activation) {
  if (activation == kRelu) return at::relu(x);
  return at::gelu(x, activation == kGelu ? "none" : "tanh");
}

static at::Tensor activate_backward(const at::Tensor& grad, const at::Tensor& x, int64_t activation) {
  if (activation == kRelu) return at::threshold_backward(grad, x, 0);
  return at::gelu_backward(grad, x, activation == kGelu ? "none" : "tanh");
}

using Maybe = std::optional<at::Tensor>;

struct FeedForward : torch::autograd::Function<FeedForward> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& w1,
                            const at::Tensor& b1, const at::Tensor& w2, const at::Tensor& b2, int64_t activation,
                            const Maybe& first_a, const Maybe& first_b, const Maybe& second_a, const Maybe& second_b) {
    const at::Tensor inner = affine(x, w1, b1), none;
    context->save_for_backward({x, inner, w1, w2, first_a.value_or(none), first_b.value_or(none),
                                second_a.value_or(none), second_b.value_or(none)});
    context->saved_data["activation"] = activation;
    return affine(activate(inner, activation), w2, b2);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &inner = saved[1], &w1 = saved[2], &w2 = saved[3], &grad = grads[0];
    const int64_t activation = context->saved_data["activation"].toInt();
    at::Tensor grad_x, grad_w1, grad_b1, grad_w2, grad_b2;
    AdapterGrads second;
    if (context->needs_input_grad(3) || saved[6].defined()) {
      const at::Tensor activated = activate(inner, activation);
      if (context->needs_input_grad(3)) grad_w2 = affine_grad_weight(grad, activated);
      second = adapter_grads(grad, activated, saved[6], saved[7]);
    }
    if (context->needs_input_grad(4)) grad_b2 = grad.sum(0);
    const at::Tensor grad_inner = activate_backward(affine_grad_input(grad, w2), inner, activation);
    if (context->needs_input_grad(1)) grad_w1 = affine_grad_weight(grad_inner, x);
    if (context->needs_input_grad(2)) grad_b1 = grad_inner.sum(0);
    if (context->needs_input_grad(0)) grad_x = affine_grad_input(grad_inner, w1);
    const AdapterGrads first = adapter_grads(grad_inner, x, saved[4], saved[5]);
    return {grad_x, grad_w1, grad_b1, grad_w2, grad_b2, {}, first.a, first.b, second.a, second.b};
  }
};

}  // namespace embtune

extern "C" int embtune_feed_forward(embtune::Handle x, const EmbtuneLinear* first, const EmbtuneLinear* second,
                                    int64_t activation, embtune::Handle* out) {
  return embtune::guard([&] {
    using embtune::optional;
    embtune::check_linear(*x, *second, embtune::check_linear(*x, *first));
    *out = embtune::give(embtune::FeedForward::apply(*x, *first->weight, *first->bias, *second->weight, *second->bias,
                                                     activation, optional(first->a), optional(first->b),
                                                     optional(second->a), optional(second->b)));
  });
}
