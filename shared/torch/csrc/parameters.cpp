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

// A single fp32 sum over tens of millions of floats has a relative error of 1e-3. Summing rows of this many elements
// first, and then their norms in double, has 3e-9, and gives the same result for any number of threads.
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

// f32 and contiguous.
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
    // Autograd ensures this for a gradient that it creates itself, but accepts the one below without a check.
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

// The L2 norm of a flat gradient, and the divisor that reduces the norm to at most `max_norm`.
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

// One AdamW step over a range of the flat buffers; the gradient is divided by `divisor` first.
//
// The fused kernel writes to tensors without raising their versions (seen in torch 2.11). Code that caches what it computed
// from the parameters checks the version, so it is raised here, as by every other operation in place.
int embtune_adamw(embtune::Handle parameter, embtune::Handle grad, embtune::Handle moment1, embtune::Handle moment2,
                  embtune::Handle step, const EmbtuneAdamW* options, embtune::Handle divisor) {
  return embtune::guard([&] {
    at::NoGradGuard no_grad;
    // The kernel checks nothing, and uses the first tensor's number of elements for all of them.
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
