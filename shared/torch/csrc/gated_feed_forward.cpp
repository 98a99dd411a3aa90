// The gated feed-forward block (act(gate x) · up x) W2ᵀ + b2. It keeps the outputs of gate and up only, and computes the
// activation and the product again in the backward pass.
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>

#include "activation.h"
#include "guard.h"
#include "linear.h"

namespace embtune {

using Maybe = std::optional<at::Tensor>;

static at::Tensor gated(const at::Tensor& gate, const at::Tensor& up, int64_t activation) {
  return activate(gate, activation).mul_(up);
}

struct GatedFeedForward : torch::autograd::Function<GatedFeedForward> {
  // A layer `first` with outputs for both, or `first` for the gate and `second` for up.
  static constexpr size_t kFirst = 1, kSecond = kFirst + Layer::kTensors, kDown = kSecond + Layer::kTensors;
  static constexpr size_t kOne = kDown + Layer::kTensors, kOther = kOne + 1;

  // Gate and up, from the output of both or the outputs of either.
  static std::pair<at::Tensor, at::Tensor> split(const at::Tensor& one, const at::Tensor& other, bool gate_first) {
    if (other.defined()) return {one, other};
    const auto halves = one.chunk(2, 1);
    return {halves[gate_first ? 0 : 1], halves[gate_first ? 1 : 0]};
  }

  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const Maybe&, const Maybe&,
                            const Maybe&, const Maybe&, const Maybe&, const Maybe&, const Maybe&, const Maybe&,
                            const Maybe&, const Maybe&, const Maybe&, const Maybe&, const Layer* first,
                            const Layer* second, const Layer* down, bool gate_first, int64_t activation) {
    const at::Tensor one = first->forward(x), other = second == nullptr ? at::Tensor() : second->forward(x);
    torch::autograd::variable_list saved{x};
    first->save(saved);
    if (second == nullptr) {
      saved.resize(saved.size() + Layer::kTensors);
    } else {
      second->save(saved);
    }
    down->save(saved);
    saved.push_back(one);
    saved.push_back(other);
    context->save_for_backward(std::move(saved));
    context->saved_data["first_included"] = first->included;
    context->saved_data["second_included"] = second != nullptr && second->included;
    context->saved_data["down_included"] = down->included;
    context->saved_data["gate_first"] = gate_first;
    context->saved_data["activation"] = activation;
    const auto [gate, up] = split(one, other, gate_first);
    return down->forward(gated(gate, up, activation));
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list given) {
    const auto saved = context->get_saved_variables();
    const Wanted wanted{context, saved};
    const Layer first(saved, kFirst, context->saved_data["first_included"].toBool());
    const Layer second(saved, kSecond, context->saved_data["second_included"].toBool());
    const Layer down(saved, kDown, context->saved_data["down_included"].toBool());
    const bool gate_first = context->saved_data["gate_first"].toBool();
    const int64_t activation = context->saved_data["activation"].toInt();
    const auto [gate, up] = split(saved[kOne], saved[kOther], gate_first);
    const at::Tensor &x = saved[0], &grad = given[0];
    torch::autograd::variable_list grads(kOne + 5);

    const at::Tensor activated = activate(gate, activation);
    at::Tensor product;
    if (wanted.needs_input(kDown)) product = activated * up;
    layer_grads(wanted, down, kDown, grad, product, grads);
    const at::Tensor grad_product = down.grad_input(grad);
    const at::Tensor grad_up = grad_product * activated;
    const at::Tensor grad_gate = activate_backward(grad_product * up, gate, activation);
    if (second.weight) {
      layer_grads(wanted, first, kFirst, grad_gate, x, grads);
      layer_grads(wanted, second, kSecond, grad_up, x, grads);
      if (wanted(0)) grads[0] = first.grad_input(grad_gate).add_(second.grad_input(grad_up));
    } else {
      const at::Tensor both = gate_first ? at::cat({grad_gate, grad_up}, 1) : at::cat({grad_up, grad_gate}, 1);
      layer_grads(wanted, first, kFirst, both, x, grads);
      if (wanted(0)) grads[0] = first.grad_input(both);
    }
    return grads;
  }
};

}  // namespace embtune

// `second` is null if `first` has the outputs of both.
extern "C" int embtune_gated_feed_forward(embtune::Handle x, const EmbtuneLinear* first, const EmbtuneLinear* second,
                                          bool gate_first, const EmbtuneLinear* down, int64_t activation,
                                          embtune::Handle* out) {
  return embtune::guard([&] {
    const int64_t width = embtune::check_linear(*x, *first);
    if (second == nullptr) {
      TORCH_CHECK(width % 2 == 0, "gated feed forward: ", width, " outputs are not those of two layers");
    } else {
      const int64_t other = embtune::check_linear(*x, *second);
      TORCH_CHECK(other == width, "gated feed forward: ", width, " and ", other, " outputs");
    }
    embtune::check_linear(*x, *down, second == nullptr ? width / 2 : width);
    const embtune::Layer one(*first), last(*down);
    const auto other = second == nullptr ? std::nullopt : std::make_optional(embtune::Layer(*second));
    const embtune::Maybe none;
    *out = embtune::give(embtune::GatedFeedForward::apply(
        *x, one.weight, one.bias, one.a, one.b, other ? other->weight : none, other ? other->bias : none,
        other ? other->a : none, other ? other->b : none, last.weight, last.bias, last.a, last.b, &one,
        other ? &*other : nullptr, &last, gate_first, activation));
  });
}
