// LayerNorm(residual + dropout(x)) in one pass on the CPU.
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "checks.h"
#include "guard.h"
#include "vector.h"

namespace embtune {

// The row of a token: its width, its dropout key, and whether there is dropout.
struct Line {
  int64_t width;
  uint64_t key;
  Mask mask;
  bool drops;
};

template <class T>
EMBTUNE_INLINE void forward_line_of(T* out, T* sum, float* buffer, const T* residual, const T* x, const float* gamma,
                                    const float* beta, float eps, Line line, float* mean_out, float* rstd_out) {
  float total = 0;
  if (line.drops) {
    for (int64_t i = 0; i < line.width; i++) {
      buffer[i] = load(residual + i) + load(x + i) * factor(line.mask, line.key, static_cast<uint32_t>(i));
    }
  } else {
    for (int64_t i = 0; i < line.width; i++) buffer[i] = load(residual + i) + load(x + i);
  }
  for (int64_t i = 0; i < line.width; i++) total += buffer[i];
  const float mean = total / static_cast<float>(line.width);
  float squares = 0;
  for (int64_t i = 0; i < line.width; i++) squares += (buffer[i] - mean) * (buffer[i] - mean);
  const float rstd = 1.0f / std::sqrt(squares / static_cast<float>(line.width) + eps);
  for (int64_t i = 0; i < line.width; i++) {
    store(sum + i, buffer[i]);
    store(out + i, (buffer[i] - mean) * rstd * gamma[i] + (beta == nullptr ? 0.0f : beta[i]));
  }
  *mean_out = mean;
  *rstd_out = rstd;
}
EMBTUNE_VECTORIZED static void forward_line(float* out, float* sum, float* buffer, const float* residual,
                                            const float* x, const float* gamma, const float* beta, float eps,
                                            Line line, float* mean, float* rstd) {
  forward_line_of(out, sum, buffer, residual, x, gamma, beta, eps, line, mean, rstd);
}
EMBTUNE_VECTORIZED static void forward_line(c10::BFloat16* out, c10::BFloat16* sum, float* buffer,
                                            const c10::BFloat16* residual, const c10::BFloat16* x, const float* gamma,
                                            const float* beta, float eps, Line line, float* mean, float* rstd) {
  forward_line_of(out, sum, buffer, residual, x, gamma, beta, eps, line, mean, rstd);
}

template <class T>
EMBTUNE_INLINE void backward_line_of(T* grad_residual, T* grad_x, float* grad_gamma, float* grad_beta, const T* grad,
                                     const T* sum, const float* gamma, float mean, float rstd, Line line) {
  float first = 0, second = 0;
  for (int64_t i = 0; i < line.width; i++) {
    const float dy = load(grad + i), normal = (load(sum + i) - mean) * rstd;
    grad_gamma[i] += dy * normal;
    grad_beta[i] += dy;
    first += dy * gamma[i];
    second += dy * gamma[i] * normal;
  }
  first /= static_cast<float>(line.width);
  second /= static_cast<float>(line.width);
  for (int64_t i = 0; i < line.width; i++) {
    const float normal = (load(sum + i) - mean) * rstd;
    const float d = rstd * (load(grad + i) * gamma[i] - first - normal * second);
    store(grad_residual + i, d);
    if (line.drops) store(grad_x + i, d * factor(line.mask, line.key, static_cast<uint32_t>(i)));
  }
}
EMBTUNE_VECTORIZED static void backward_line(float* grad_residual, float* grad_x, float* grad_gamma, float* grad_beta,
                                             const float* grad, const float* sum, const float* gamma, float mean,
                                             float rstd, Line line) {
  backward_line_of(grad_residual, grad_x, grad_gamma, grad_beta, grad, sum, gamma, mean, rstd, line);
}
EMBTUNE_VECTORIZED static void backward_line(c10::BFloat16* grad_residual, c10::BFloat16* grad_x, float* grad_gamma,
                                             float* grad_beta, const c10::BFloat16* grad, const c10::BFloat16* sum,
                                             const float* gamma, float mean, float rstd, Line line) {
  backward_line_of(grad_residual, grad_x, grad_gamma, grad_beta, grad, sum, gamma, mean, rstd, line);
}

// Tokens whose gradients of gamma and beta are summed by one thread, so that the sums do not depend on the number of
// threads.
constexpr int64_t kChunk = 128;

struct AddNorm : torch::autograd::Function<AddNorm> {
  template <class T>
  static std::vector<at::Tensor> run_forward(const at::Tensor& residual, const at::Tensor& x, const at::Tensor& gamma,
                                             const float* beta, double eps, const at::Tensor& keys, int64_t site,
                                             double p) {
    const int64_t tokens = x.size(0), width = x.size(1);
    at::Tensor out = at::empty_like(x), sum = at::empty_like(x);
    at::Tensor statistics = at::empty({2, tokens}, x.options().dtype(at::kFloat));
    float* means = statistics.mutable_data_ptr<float>();
    const int64_t* token_keys = p > 0 ? keys.const_data_ptr<int64_t>() : nullptr;
    const Mask mask(p);
    at::parallel_for(0, tokens, 32, [&](int64_t begin, int64_t end) {
      std::vector<float> buffer(static_cast<size_t>(width));
      for (int64_t token = begin; token < end; token++) {
        const int64_t at = token * width;
        const uint64_t key = p > 0 ? line_key(token_keys[token], static_cast<uint64_t>(site) << 16) : 0;
        forward_line(out.mutable_data_ptr<T>() + at, sum.mutable_data_ptr<T>() + at, buffer.data(),
                     residual.const_data_ptr<T>() + at, x.const_data_ptr<T>() + at, gamma.const_data_ptr<float>(),
                     beta, static_cast<float>(eps), Line{width, key, mask, p > 0},
                     means + token, means + tokens + token);
      }
    });
    return {out, sum, statistics};
  }

  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& residual, const at::Tensor& x,
                            const at::Tensor& weight, const std::optional<at::Tensor>& bias, double eps, const at::Tensor& token_keys,
                            int64_t site, double p) {
    check_floats("add_norm", x);
    check_floats("add_norm", residual);
    TORCH_CHECK(x.dim() == 2 && x.sizes() == residual.sizes() && x.scalar_type() == residual.scalar_type(),
                "add_norm: ", x.sizes(), " of ", x.scalar_type(), " and ", residual.sizes(), " of ",
                residual.scalar_type());
    const at::Tensor gamma = checked_weights("add_norm", weight, x.size(1));
    const at::Tensor summand = bias ? checked_weights("add_norm", *bias, x.size(1)) : at::Tensor();
    const float* beta = bias ? summand.const_data_ptr<float>() : nullptr;
    const at::Tensor keys = checked_keys("add_norm", token_keys, x.size(0), p);
    const at::Tensor r = residual.contiguous(), y = x.contiguous();
    auto made = x.scalar_type() == at::kFloat ? run_forward<float>(r, y, gamma, beta, eps, keys, site, p)
                                              : run_forward<c10::BFloat16>(r, y, gamma, beta, eps, keys, site, p);
    context->save_for_backward({made[1], made[2], gamma, keys});
    context->saved_data["has_bias"] = bias.has_value();
    context->saved_data["site"] = site;
    context->saved_data["p"] = p;
    return made[0];
  }

  template <class T>
  static torch::autograd::variable_list run_backward(const at::Tensor& grad, const at::Tensor& sum,
                                                     const at::Tensor& statistics, const at::Tensor& gamma,
                                                     const at::Tensor& keys, int64_t site, double p) {
    const int64_t tokens = sum.size(0), width = sum.size(1), chunks = (tokens + kChunk - 1) / kChunk;
    at::Tensor grad_residual = at::empty_like(sum);
    at::Tensor grad_x = p > 0 ? at::empty_like(sum) : grad_residual;
    at::Tensor partial = at::zeros({chunks, 2, width}, sum.options().dtype(at::kFloat));
    const float* means = statistics.const_data_ptr<float>();
    const int64_t* token_keys = p > 0 ? keys.const_data_ptr<int64_t>() : nullptr;
    const Mask mask(p);
    at::parallel_for(0, chunks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t chunk = begin; chunk < end; chunk++) {
        float* grad_gamma = partial.mutable_data_ptr<float>() + chunk * 2 * width;
        for (int64_t token = chunk * kChunk; token < std::min((chunk + 1) * kChunk, tokens); token++) {
          const int64_t at = token * width;
          const uint64_t key = p > 0 ? line_key(token_keys[token], static_cast<uint64_t>(site) << 16) : 0;
          backward_line(grad_residual.mutable_data_ptr<T>() + at, grad_x.mutable_data_ptr<T>() + at, grad_gamma,
                        grad_gamma + width, grad.const_data_ptr<T>() + at, sum.const_data_ptr<T>() + at,
                        gamma.const_data_ptr<float>(), means[token], means[tokens + token],
                        Line{width, key, mask, p > 0});
        }
      }
    });
    const at::Tensor both = partial.sum(0);
    return {grad_residual, grad_x, both.select(0, 0), both.select(0, 1), {}, {}, {}, {}};
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list given) {
    const auto saved = context->get_saved_variables();
    const int64_t site = context->saved_data["site"].toInt();
    const double p = context->saved_data["p"].toDouble();
    const at::Tensor grad = given[0].contiguous();
    auto grads = grad.scalar_type() == at::kFloat
                     ? run_backward<float>(grad, saved[0], saved[1], saved[2], saved[3], site, p)
                     : run_backward<c10::BFloat16>(grad, saved[0], saved[1], saved[2], saved[3], site, p);
    if (!context->saved_data["has_bias"].toBool()) grads[3] = at::Tensor();
    return grads;
  }
};

}  // namespace embtune

extern "C" int embtune_add_norm(embtune::Handle residual, embtune::Handle x, embtune::Handle gamma,
                                embtune::Handle beta, double eps, embtune::Handle keys, int64_t site, double p,
                                embtune::Handle* out) {
  return embtune::guard([&] {
    *out = embtune::give(embtune::AddNorm::apply(*residual, *x, *gamma, embtune::optional(beta), eps, *keys, site, p));
  });
}
