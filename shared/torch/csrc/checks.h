// Checks of what kernels on raw pointers rely on, made where Rust passes tensors: its callers are safe code, which may pass
// any tensor.
#pragma once
#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

namespace embtune {

// A strided tensor in CPU memory: not a sparse one, and not one in a library's own layout.
inline bool is_plain(const at::Tensor& x) { return x.defined() && x.is_cpu() && x.layout() == at::kStrided; }

// No two elements share memory, as they do in an expanded tensor, so all of them can be written.
inline bool is_dense(const at::Tensor& x) { return x.is_non_overlapping_and_dense(); }

inline void check_floats(const char* who, const at::Tensor& x) {
  TORCH_CHECK(is_plain(x), who, ": expected a dense tensor on the CPU");
  TORCH_CHECK(x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16,
              who, ": expected float or bfloat16, got ", x.scalar_type());
}

// f32 [width], contiguous.
inline at::Tensor checked_weights(const char* who, const at::Tensor& x, int64_t width) {
  TORCH_CHECK(is_plain(x) && x.scalar_type() == at::kFloat && x.dim() == 1 && x.numel() == width,
              who, ": expected a weight of ", width, " floats on the CPU");
  return x.contiguous();
}

// i64 [count], contiguous.
inline at::Tensor checked_numbers(const char* who, const char* what, const at::Tensor& x, int64_t count) {
  TORCH_CHECK(is_plain(x) && x.scalar_type() == at::kLong, who, ": expected ", what, " of type Long on the CPU");
  TORCH_CHECK(x.dim() == 1 && x.numel() == count, who, ": ", x.sizes(), " ", what, " for ", count);
  return x.contiguous();
}

inline void check_share(const char* who, double p) {
  // False for NaN too.
  TORCH_CHECK(p >= 0 && p < 1, who, ": a dropout of ", p, " is not in [0, 1)");
}

// The keys of dropout, one per token; without dropout they are not used.
inline at::Tensor checked_keys(const char* who, const at::Tensor& keys, int64_t tokens, double p) {
  check_share(who, p);
  return p > 0 ? checked_numbers(who, "keys", keys, tokens) : at::Tensor();
}

// The size of a head, from [tokens, 3 · heads · size].
inline int64_t checked_head_size(const char* who, const at::Tensor& qkv, int64_t heads) {
  TORCH_CHECK(qkv.defined() && qkv.dim() == 2, who, ": expected a matrix of queries, keys and values");
  const int64_t columns = qkv.size(1);
  TORCH_CHECK(heads > 0 && columns > 0 && columns % 3 == 0 && columns / 3 % heads == 0,
              who, ": ", columns, " columns are not queries, keys and values of ", heads, " heads");
  return columns / 3 / heads;
}

}  // namespace embtune
