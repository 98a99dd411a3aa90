// A linear layer. ATen multiplies floats with MKL, which uses only half of the vector width on processors of other
// vendors than Intel; oneDNN, which libtorch contains too, uses all of it.
#include "linear.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/List.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>

#include <algorithm>
#include <string_view>

#include "checks.h"
#include "guard.h"

namespace embtune {

int64_t check_linear(const at::Tensor& x, const EmbtuneLinear& linear, std::optional<int64_t> in) {
  const auto is_here = [&](const at::Tensor& part) {
    return part.defined() && part.layout() == at::kStrided && part.device() == x.device();
  };
  const auto fits = [&](const at::Tensor& part, at::IntArrayRef sizes) {
    TORCH_CHECK(is_here(part) && part.scalar_type() == x.scalar_type(), "linear: expected weights of ", x.scalar_type(),
                " on ", x.device());
    TORCH_CHECK(part.sizes() == sizes, "linear: a weight of ", part.sizes(), " where ", sizes, " fits");
  };
  TORCH_CHECK(x.defined() && x.dim() == 2 && x.layout() == at::kStrided && at::isFloatingType(x.scalar_type()),
              "linear: expected a matrix of floats");
  const at::Tensor& weight = *linear.weight;
  TORCH_CHECK(is_here(weight) && weight.dim() == 2, "linear: expected a matrix of weights on ", x.device());
  const int64_t out = weight.size(0), width = in.value_or(x.size(1));
  TORCH_CHECK(weight.size(1) == width, "linear: a weight of ", weight.sizes(), " for ", width, " columns");
  if (weight.scalar_type() != x.scalar_type()) {
    const auto is_stored = [](at::ScalarType type) {
      return type == at::kFloat || type == at::kBFloat16 || type == at::kHalf;
    };
    TORCH_CHECK(is_stored(weight.scalar_type()) && is_stored(x.scalar_type()) && !weight.requires_grad(),
                "linear: a weight of ", weight.scalar_type(), " in a pass of ", x.scalar_type());
  }
  if (linear.bias != nullptr) fits(*linear.bias, {out});
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

static at::Tensor product(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias) {
  if (!takes(x)) return at::linear(x, weight, bias);
  at::AutoDispatchBelowADInplaceOrView below_autograd;
  const auto summand = bias ? std::make_optional(dense(*bias)) : std::nullopt;
  return one_dnn()->call(dense(x), dense(weight), summand, "none", c10::List<std::optional<at::Scalar>>(), "");
}

at::Tensor affine(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias) {
  return product(x, weight.to(x.scalar_type()), bias);
}

at::Tensor affine_grad_input(const at::Tensor& grad, const at::Tensor& stored) {
  const at::Tensor weight = stored.to(grad.scalar_type());
  return takes(grad) ? product(grad, weight.t(), std::nullopt) : at::matmul(grad, weight);
}

at::Tensor affine_grad_weight(const at::Tensor& grad, const at::Tensor& x) {
  if (!takes(grad)) return at::matmul(grad.t(), x);
  // oneDNN copies a transposed left factor, so the narrower matrix is the left one.
  if (grad.size(1) > x.size(1)) return product(x.t(), grad.t(), std::nullopt).t();
  return product(grad.t(), x.t(), std::nullopt);
}

Layer::Layer(const torch::autograd::variable_list& saved, size_t first, bool included) : included(included) {
  const auto at = [&](size_t place) {
    return saved[place].defined() ? std::make_optional(saved[place]) : std::nullopt;
  };
  weight = at(first), bias = at(first + 1), a = at(first + 2), b = at(first + 3);
}

void Layer::save(torch::autograd::variable_list& to) const {
  for (const auto* part : {&weight, &bias, &a, &b}) to.push_back(part->value_or(at::Tensor()));
}

at::Tensor Layer::forward(const at::Tensor& x) const {
  at::Tensor y = affine(x, *weight, bias);
  return a && !included ? y.add_(affine(affine(x, *a, std::nullopt), *b, std::nullopt)) : y;
}

at::Tensor Layer::grad_input(const at::Tensor& grad) const {
  at::Tensor grad_x = affine_grad_input(grad, *weight);
  return a && !included ? grad_x.add_(affine_grad_input(affine_grad_input(grad, *b), *a)) : grad_x;
}

bool Wanted::operator()(size_t place) const {
  const auto edge = std::count_if(saved.begin(), saved.begin() + static_cast<std::ptrdiff_t>(place),
                                  [](const at::Tensor& x) { return x.defined(); });
  return saved[place].defined() && context->needs_input_grad(static_cast<size_t>(edge));
}

void layer_grads(const Wanted& wanted, const Layer& layer, size_t first, const at::Tensor& grad, const at::Tensor& x,
                 torch::autograd::variable_list& grads) {
  if (wanted(first)) grads[first] = affine_grad_weight(grad, x);
  if (wanted(first + 1)) grads[first + 1] = grad.sum(0);
  // Bᵀ (gradᵀ x) and (gradᵀ x) Aᵀ, without computing gradᵀ x, which is as large as W.
  if (wanted(first + 2)) grads[first + 2] = affine_grad_weight(affine_grad_input(grad, *layer.b), x);
  if (wanted(first + 3)) grads[first + 3] = affine_grad_weight(grad, affine(x, *layer.a, std::nullopt));
}

using Maybe = std::optional<at::Tensor>;

struct Linear : torch::autograd::Function<Linear> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const Maybe&, const Maybe&,
                            const Maybe&, const Maybe&, const Layer* layer) {
    torch::autograd::variable_list saved{x};
    layer->save(saved);
    context->save_for_backward(std::move(saved));
    context->saved_data["included"] = layer->included;
    return layer->forward(x);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list given) {
    const auto saved = context->get_saved_variables();
    const Wanted wanted{context, saved};
    const Layer layer(saved, 1, context->saved_data["included"].toBool());
    torch::autograd::variable_list grads(2 + Layer::kTensors);
    if (wanted(0)) grads[0] = layer.grad_input(given[0]);
    layer_grads(wanted, layer, 1, given[0], saved[0], grads);
    return grads;
  }
};

}  // namespace embtune

extern "C" int embtune_linear(embtune::Handle x, const EmbtuneLinear* linear, embtune::Handle* out) {
  return embtune::guard([&] {
    embtune::check_linear(*x, *linear);
    const embtune::Layer layer(*linear);
    *out = embtune::give(embtune::Linear::apply(*x, layer.weight, layer.bias, layer.a, layer.b, &layer));
  });
}
