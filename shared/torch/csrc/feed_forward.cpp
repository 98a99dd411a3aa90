// The feed-forward block act(x W1ᵀ + b1) W2ᵀ + b2. It keeps the activation's input and computes the activation again in
// the backward pass, because it is the widest tensor of a layer and cheap to compute.
#include "activation.h"
#include "guard.h"
#include "linear.h"

namespace embtune {

using Maybe = std::optional<at::Tensor>;

struct FeedForward : torch::autograd::Function<FeedForward> {
  static constexpr size_t kFirst = 1, kSecond = kFirst + Layer::kTensors, kInner = kSecond + Layer::kTensors;

  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const Maybe&, const Maybe&,
                            const Maybe&, const Maybe&, const Maybe&, const Maybe&, const Maybe&, const Maybe&,
                            const Layer* first, const Layer* second, int64_t activation) {
    const at::Tensor inner = first->forward(x);
    torch::autograd::variable_list saved{x};
    first->save(saved);
    second->save(saved);
    saved.push_back(inner);
    context->save_for_backward(std::move(saved));
    context->saved_data["first_included"] = first->included;
    context->saved_data["second_included"] = second->included;
    context->saved_data["activation"] = activation;
    return second->forward(activate(inner, activation));
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list given) {
    const auto saved = context->get_saved_variables();
    const Wanted wanted{context, saved};
    const Layer first(saved, kFirst, context->saved_data["first_included"].toBool());
    const Layer second(saved, kSecond, context->saved_data["second_included"].toBool());
    const int64_t activation = context->saved_data["activation"].toInt();
    const at::Tensor &inner = saved[kInner], &grad = given[0];
    torch::autograd::variable_list grads(kInner + 3);
    at::Tensor activated;
    if (wanted.needs_input(kSecond)) activated = activate(inner, activation);
    layer_grads(wanted, second, kSecond, grad, activated, grads);
    const at::Tensor grad_inner = activate_backward(second.grad_input(grad), inner, activation);
    layer_grads(wanted, first, kFirst, grad_inner, saved[0], grads);
    if (wanted(0)) grads[0] = first.grad_input(grad_inner);
    return grads;
  }
};

}  // namespace embtune

extern "C" int embtune_feed_forward(embtune::Handle x, const EmbtuneLinear* first, const EmbtuneLinear* second,
                                    int64_t activation, embtune::Handle* out) {
  return embtune::guard([&] {
    embtune::check_linear(*x, *second, embtune::check_linear(*x, *first));
    const embtune::Layer one(*first), two(*second);
    *out = embtune::give(embtune::FeedForward::apply(*x, one.weight, one.bias, one.a, one.b, two.weight, two.bias, two.a,
                                                     two.b, &one, &two, activation));
  });
}
