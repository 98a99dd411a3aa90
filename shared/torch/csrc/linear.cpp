// A linear layer. ATen multiplies floats with MKL, which uses only half of the vector width on processors of other
// vendors than Intel; oneDNN, which libtorch contains too, uses all of it.
#include "linear.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/List.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <torch/csrc/autograd/custom_function.h>

#include <string_view>

#include "checks.h"
#include "guard.h"

namespace embtune {

int64_t check_linear(const at::Tensor& x, const EmbtuneLinear& linear, std::optional<int64_t> in) {
  const auto fits = [&](const at::Tensor& part, at::IntArrayRef sizes) {
    TORCH_CHECK(part.defined() && part.layout() == at::kStrided && part.device() == x.device() &&
                    part.scalar_type() == x.scalar_type(),
                "linear: expected weights of ", x.scalar_type(), " on ", x.device());
    TORCH_CHECK(part.sizes() == sizes, "linear: a weight of ", part.sizes(), " where ", sizes, " fits");
  };
  TORCH_CHECK(x.defined() && x.dim() == 2 && x.layout() == at::kStrided && at::isFloatingType(x.scalar_type()),
              "linear: expected a matrix of floats");
  const at::Tensor &weight = *linear.weight, &bias = *linear.bias;
  TORCH_CHECK(weight.defined() && weight.dim() == 2, "linear: expected a matrix of weights");
  const int64_t out = weight.size(0), width = in.value_or(x.size(1));
  fits(weight, {out, width});
  fits(bias, {out});
  if (linear.a == nullptr) return out;
  TORCH_CHECK(linear.a->defined() && linear.a->dim() == 2, "linear: expected a matrix of weights");
  fits(*linear.a, {linear.a->size(0), width});
  fits(*linear.b, {out, linear.a->size(0)});
  return out;
}

using LinearPointwise = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&,
                                   std::string_view, c10::List<std::optional<at::Scalar>>,
                                   std::optional<std::string_view>);

// The operator of oneDNN, if this libtorch has it.
static const c10::TypedOperatorHandle<LinearPointwise>* one_dnn() {
  static const auto found = [] {
    const auto schema = c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""});
    return schema ? std::make_optional(schema->typed<LinearPointwise>()) : std::nullopt;
  }();
  return found ? &*found : nullptr;
}

static bool takes(const at::Tensor& x) {
  return x.is_cpu() && x.scalar_type() == at::kFloat && x.numel() > 0 && one_dnn() != nullptr;
}

// oneDNN does not support elements that share memory, such as those of an expanded tensor.
static at::Tensor dense(const at::Tensor& x) { return is_dense(x) ? x : x.contiguous(); }

at::Tensor affine(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias) {
  if (!takes(x)) return at::linear(x, weight, bias);
  at::AutoDispatchBelowADInplaceOrView below_autograd;
  const auto summand = bias ? std::make_optional(dense(*bias)) : std::nullopt;
  return one_dnn()->call(dense(x), dense(weight), summand, "none", c10::List<std::optional<at::Scalar>>(), "");
}

at::Tensor affine_grad_input(const at::Tensor& grad, const at::Tensor& weight) {
  return takes(grad) ? affine(grad, weight.t(), std::nullopt) : at::matmul(grad, weight);
}

at::Tensor affine_grad_weight(const at::Tensor& grad, const at::Tensor& x) {
  if (!takes(grad)) return at::matmul(grad.t(), x);
  // oneDNN copies a transposed left factor, so the narrower matrix is the left one.
  if (grad.size(1) > x.size(1)) return affine(x.t(), grad.t(), std::nullopt).t();
  return affine(grad.t(), x.t(), std::nullopt);
}

AdapterGrads adapter_grads(const at::Tensor& grad, const at::Tensor& x, const at::Tensor& a, const at::Tensor& b) {
  if (!a.defined()) return {};
  return {affine_grad_weight(affine_grad_input(grad, b), x), affine_grad_weight(grad, affine(x, a, std::nullopt))};
}

struct Linear : torch::autograd::Function<Linear> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& bias, const std::optional<at::Tensor>& a,
                            const std::optional<at::Tensor>& b) {
    context->save_for_backward({x, weight, a.value_or(at::Tensor()), b.value_or(at::Tensor())});
    return affine(x, weight, bias);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const at::Tensor& grad = grads[0];
    at::Tensor grad_x, grad_weight, grad_bias;
    if (context->needs_input_grad(0)) grad_x = affine_grad_input(grad, saved[1]);
    if (context->needs_input_grad(1)) grad_weight = affine_grad_weight(grad, saved[0]);
    if (context->needs_input_grad(2)) grad_bias = grad.sum(0);
    const AdapterGrads adapter = adapter_grads(grad, saved[0], saved[2], saved[3]);
    return {grad_x, grad_weight, grad_bias, adapter.a, adapter.b};
  }
};

}  // namespace embtune

extern "C" int embtune_linear(embtune::Handle x, const EmbtuneLinear* linear, embtune::Handle* out) {
  return embtune::guard([&] {
    embtune::check_linear(*x, *linear);
    *out = embtune::give(embtune::Linear::apply(*x, *linear->weight, *linear->bias, embtune::optional(linear->a),
                                                embtune::optional(linear->b)));
  });
}
