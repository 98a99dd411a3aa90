// Parameters and gradients as views of flat buffers, and the optimizer over those buffers.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linalg_vector_norm.h>

#include <vector>

#include "checks.h"
#include "guard.h"

namespace embtune {

thread_local std::string last_error;

// A norm over tens of millions of floats in one fp32 sum has a relative error of 1e-3. Rows of this
// many elements are summed first, their norms then in double: 3e-9, the same for any thread count.
constexpr int64_t kRow = 4096;

static at::Tensor flat_norm(const at::Tensor& flat) {
  const int64_t whole = flat.numel() / kRow * kRow;
  std::vector<at::Tensor> norms;
  norms.push_back(at::linalg_vector_norm(flat.narrow(0, 0, whole).view({-1, kRow}), 2, 1));
  if (whole < flat.numel()) {
    norms.push_back(at::linalg_vector_norm(flat.narrow(0, whole, flat.numel() - whole), 2).view({1}));
  }
  return at::linalg_vector_norm(at::cat(norms).to(at::kDouble), 2).to(at::kFloat);
}

// f32, one element behind the other.
static bool is_flat(const at::Tensor& x) {
  return x.defined() && x.layout() == at::kStrided && x.scalar_type() == at::kFloat && x.is_contiguous();
}

}  // namespace embtune

extern "C" {

const char* embtune_last_error() { return embtune::last_error.c_str(); }

// A leaf that shares the storage of `data` and accumulates its gradient in `grad`.
int embtune_leaf(embtune::Handle data, embtune::Handle grad, embtune::Handle* out) {
  return embtune::guard([&] {
    TORCH_CHECK(data->defined() && grad->defined(), "leaf: no data or no gradient");
    TORCH_CHECK(data->sizes() == grad->sizes(), "leaf: gradient of ", grad->sizes(), " for data of ", data->sizes());
    // Autograd asks this of a gradient that it sets itself, and takes the one below as it is.
    TORCH_CHECK(data->scalar_type() == grad->scalar_type() && data->device() == grad->device(),
                "leaf: gradient of ", grad->scalar_type(), " on ", grad->device(), " for data of ", data->scalar_type(),
                " on ", data->device());
    TORCH_CHECK(data->layout() == at::kStrided && grad->layout() == at::kStrided && embtune::is_dense(*grad),
                "leaf: a gradient whose elements share memory");
    TORCH_CHECK(!grad->requires_grad(), "leaf: a gradient that requires a gradient");
    at::Tensor leaf = data->detach();
    leaf.set_requires_grad(true);
    leaf.mutable_grad() = *grad;
    *out = embtune::give(leaf);
  });
}

// The L2 norm of a flat gradient, and what the gradient has to be divided by so that the norm is at most `max_norm`.
int embtune_clip(embtune::Handle grad, double max_norm, embtune::Handle* norm, embtune::Handle* divisor) {
  return embtune::guard([&] {
    at::NoGradGuard no_grad;
    TORCH_CHECK(embtune::is_flat(*grad), "clip: expected a contiguous gradient of floats");
    TORCH_CHECK(max_norm >= 0, "clip: a norm of at most ", max_norm);
    at::Tensor total = embtune::flat_norm(grad->view({-1}));
    at::Tensor by = total.add(1e-6).div_(max_norm).clamp_min_(1.0);
    *divisor = embtune::give(std::move(by));
    *norm = embtune::give(std::move(total));
  });
}

struct EmbtuneAdamW {
  double learning_rate, beta1, beta2, weight_decay, epsilon;
};

// One AdamW step over a segment of the flat buffers; the gradient is divided by `divisor` on the way.
//
// The fused kernel writes to the lists it is given without raising the version of a single tensor in them (seen in torch
// 2.11). Whoever keeps something that was computed from the parameters asks the version whether it still holds, so it is
// raised here, as every other operation in place does.
int embtune_adamw(embtune::Handle parameter, embtune::Handle grad, embtune::Handle moment1, embtune::Handle moment2,
                  embtune::Handle step, const EmbtuneAdamW* options, embtune::Handle divisor) {
  return embtune::guard([&] {
    at::NoGradGuard no_grad;
    // The kernel asks nothing: it takes the number of elements of the first for that of all.
    for (const at::Tensor* part : {parameter, grad, moment1, moment2}) {
      TORCH_CHECK(embtune::is_flat(*part) && part->sizes() == parameter->sizes() && part->device() == parameter->device(),
                  "adamw: parameters, gradient and moments are not contiguous floats of one shape on one device");
    }
    for (const at::Tensor* number : {step, divisor}) {
      TORCH_CHECK(embtune::is_flat(*number) && number->numel() == 1 && number->device() == parameter->device(),
                  "adamw: expected one float on ", parameter->device());
    }
    std::vector<at::Tensor> p{*parameter}, g{*grad}, m{*moment1}, v{*moment2}, s{*step};
    at::_fused_adamw_(p, g, m, v, {}, s, options->learning_rate, options->beta1, options->beta2, options->weight_decay,
                      options->epsilon, /*amsgrad=*/false, /*maximize=*/false, *divisor, std::nullopt);
    for (at::Tensor* written : {&p[0], &g[0], &m[0], &v[0]}) written->unsafeGetTensorImpl()->bump_version();
  });
}
}
