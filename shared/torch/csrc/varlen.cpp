// Attention of packed sequences on CUDA with libtorch's kernels: FlashAttention for 16-bit floats, the memory-efficient
// kernel for 32-bit floats. Both draw dropout from the device's random number generator.
#include <ATen/ops/_efficient_attention_forward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/constant_pad_nd.h>

#include <cmath>

#include "checks.h"
#include "guard.h"

namespace embtune {

constexpr int64_t kAlignment = 8;  // number of elements of a head that the kernels read together

}  // namespace embtune

// qkv is [tokens, 3 · hidden], starts an int32 [sequences + 1] on the device; the output is [tokens, hidden]. The kernels
// trust `starts` and `longest`, which only the device could check: embtune_torch::Sequences computes both from lengths.
extern "C" int embtune_varlen_attention(embtune::Handle qkv, embtune::Handle starts, int64_t longest, int64_t heads,
                                        double p, embtune::Handle* out) {
  return embtune::guard([&] {
    const int64_t size = embtune::checked_head_size("attention", *qkv, heads);
    const int64_t tokens = qkv->size(0), hidden = heads * size;
    embtune::check_share("attention", p);
    TORCH_CHECK(starts->defined() && starts->device() == qkv->device() && starts->scalar_type() == at::kInt &&
                    starts->dim() == 1 && starts->is_contiguous(),
                "attention: expected starts of type Int on ", qkv->device());
    const double scale = 1.0 / std::sqrt(static_cast<double>(size));
    // Appending zeros to a head does not change products; the scale is that of the unpadded size.
    const int64_t padding = (embtune::kAlignment - size % embtune::kAlignment) % embtune::kAlignment;
    at::Tensor split = qkv->view({tokens, 3, heads, size});
    if (padding > 0) split = at::constant_pad_nd(split, {0, padding});
    const auto parts = split.unbind(1);
    at::Tensor result;
    if (qkv->scalar_type() == at::kFloat) {
      // The backward pass needs log_sumexp.
      result = std::get<0>(at::_efficient_attention_forward(
                               parts[0].unsqueeze(0), parts[1].unsqueeze(0), parts[2].unsqueeze(0), std::nullopt, *starts,
                               *starts, longest, longest, p, /*custom_mask_type=*/0, /*compute_log_sumexp=*/true, scale))
                   .squeeze(0);
    } else {
      result = std::get<0>(at::_flash_attention_forward(parts[0], parts[1], parts[2], *starts, *starts, longest, longest,
                                                        p, /*is_causal=*/false, /*return_debug_mask=*/false, scale));
    }
    *out = embtune::give(result.narrow(-1, 0, size).reshape({tokens, hidden}));
  });
}
