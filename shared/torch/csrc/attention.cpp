// Attention of every sequence over its own tokens on the CPU, tokens packed without padding. As in FlashAttention-2 (Dao
// 2023) the probabilities are never kept: the backward pass computes them again from the sums of the softmax.
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "guard.h"
#include "vector.h"

// BLAS, as libtorch carries it.
extern "C" void sgemm_(const char* transpose_a, const char* transpose_b, const int* m, const int* n, const int* k,
                       const float* alpha, const float* a, const int* lda, const float* b, const int* ldb,
                       const float* beta, float* c, const int* ldc);

namespace embtune {

constexpr int64_t kQueries = 128;  // of which the scores are held at a time

// A matrix by rows: `stride` elements from one to the next.
template <class T>
struct Rows {
  T* data;
  int64_t stride;
};

// c = alpha · a · b + beta · c; BLAS counts by columns, so the factors change places.
enum Form { kTimes, kTimesTransposed, kTransposedTimes };
static void multiply(Form form, int64_t rows, int64_t columns, int64_t inner, float alpha, Rows<const float> a,
                     Rows<const float> b, float beta, Rows<float> c) {
  const int m = static_cast<int>(columns), n = static_cast<int>(rows), k = static_cast<int>(inner);
  const int lda = static_cast<int>(b.stride), ldb = static_cast<int>(a.stride), ldc = static_cast<int>(c.stride);
  sgemm_(form == kTimesTransposed ? "T" : "N", form == kTransposedTimes ? "T" : "N", &m, &n, &k, &alpha, b.data, &lda,
         a.data, &ldb, &beta, c.data, &ldc);
}

// e^x for x ≤ 0 within 2 units in the last place: 2^n · e^r with |r| ≤ ln 2 / 2.
EMBTUNE_INLINE float exp_of(float x) {
  x = x < -87.0f ? -87.0f : x;
  const float n = std::nearbyint(x * 1.44269504f);
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float y = 1.9875691500e-4f;
  y = y * r + 1.3981999507e-3f;
  y = y * r + 8.3334519073e-3f;
  y = y * r + 4.1665795894e-2f;
  y = y * r + 1.6666665459e-1f;
  y = y * r + 5.0000001201e-1f;
  y = y * r * r + r + 1.0f;
  const int32_t bits = (static_cast<int32_t>(n) + 127) << 23;
  float power;
  std::memcpy(&power, &bits, 4);
  return y * power;
}

// A maximum of vectors, not of elements, or NaN's place in the order would forbid vectors.
EMBTUNE_INLINE float largest_of(const float* x, int64_t count) {
  constexpr int64_t kLanes = 16;
  float lanes[kLanes];
  for (int64_t lane = 0; lane < kLanes; lane++) lanes[lane] = -INFINITY;
  int64_t j = 0;
  for (; j + kLanes <= count; j += kLanes) {
    for (int64_t lane = 0; lane < kLanes; lane++) lanes[lane] = x[j + lane] > lanes[lane] ? x[j + lane] : lanes[lane];
  }
  for (; j < count; j++) lanes[0] = x[j] > lanes[0] ? x[j] : lanes[0];
  float largest = lanes[0];
  for (int64_t lane = 1; lane < kLanes; lane++) largest = lanes[lane] > largest ? lanes[lane] : largest;
  return largest;
}

// Scores to probabilities with dropout, in place; gives the logarithm of the sum of the scores' exponentials.
EMBTUNE_VECTORIZED static float softmax_line(float* scores, int64_t count, uint64_t key, Mask mask, bool drops) {
  float largest = largest_of(scores, count), total = 0;
  for (int64_t j = 0; j < count; j++) {
    scores[j] = exp_of(scores[j] - largest);
    total += scores[j];
  }
  const float inverse = 1.0f / total;
  if (drops) {
    for (int64_t j = 0; j < count; j++) scores[j] *= inverse * factor(mask, key, static_cast<uint32_t>(j));
  } else {
    for (int64_t j = 0; j < count; j++) scores[j] *= inverse;
  }
  return largest + std::log(total);
}

// Scores to dropped probabilities, and the gradient of those to the gradient of the scores, both in place.
EMBTUNE_VECTORIZED static void backward_line(float* scores, float* grad, int64_t count, float log_sum, float dot,
                                             uint64_t key, Mask mask, bool drops) {
  for (int64_t j = 0; j < count; j++) {
    const float probability = exp_of(scores[j] - log_sum);
    const float keep = drops ? factor(mask, key, static_cast<uint32_t>(j)) : 1.0f;
    grad[j] = probability * (grad[j] * keep - dot);
    scores[j] = probability * keep;
  }
}

EMBTUNE_VECTORIZED static float dot_line(const float* a, const float* b, int64_t count) {
  float total = 0;
  for (int64_t i = 0; i < count; i++) total += a[i] * b[i];
  return total;
}
EMBTUNE_VECTORIZED static void widen(float* to, const c10::BFloat16* from, int64_t count) {
  for (int64_t i = 0; i < count; i++) to[i] = load(from + i);
}
EMBTUNE_VECTORIZED static void narrow(c10::BFloat16* to, const float* from, int64_t count) {
  for (int64_t i = 0; i < count; i++) store(to + i, from[i]);
}

// A sequence's part of a head as floats: in its place, or widened into `buffer`.
static Rows<const float> read(const float* data, int64_t stride, int64_t, int64_t, std::vector<float>&) {
  return {data, stride};
}
static Rows<const float> read(const c10::BFloat16* data, int64_t stride, int64_t length, int64_t size,
                              std::vector<float>& buffer) {
  buffer.resize(static_cast<size_t>(length * size));
  for (int64_t i = 0; i < length; i++) widen(buffer.data() + i * size, data + i * stride, size);
  return {buffer.data(), size};
}
// Where results are computed: in their place, or in `buffer`, from which `finish` narrows them.
static Rows<float> target(float* data, int64_t stride, int64_t, int64_t, std::vector<float>&) { return {data, stride}; }
static Rows<float> target(c10::BFloat16*, int64_t, int64_t length, int64_t size, std::vector<float>& buffer) {
  buffer.resize(static_cast<size_t>(length * size));
  return {buffer.data(), size};
}
static void finish(float*, int64_t, int64_t, int64_t, const Rows<float>&) {}
static void finish(c10::BFloat16* data, int64_t stride, int64_t length, int64_t size, const Rows<float>& from) {
  for (int64_t i = 0; i < length; i++) narrow(data + i * stride, from.data + i * from.stride, size);
}

struct Shape {
  const int64_t* starts;  // [sequences + 1]
  int64_t sequences, heads, size, hidden;
  float scale;
};

struct Dropout {
  const int64_t* keys;  // [tokens]
  uint64_t site;
  double p;

  uint64_t key(int64_t token, int64_t head) const {
    return p > 0 ? line_key(keys[token], site << 16 | static_cast<uint64_t>(head)) : 0;
  }
};

template <class T>
static void attend(const T* qkv, T* out, float* log_sums, const Shape& shape, const Dropout& dropout) {
  const Mask mask(dropout.p);
  at::parallel_for(0, shape.sequences * shape.heads, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> scores, buffers[4];
    for (int64_t unit = begin; unit < end; unit++) {
      const int64_t sequence = unit / shape.heads, head = unit % shape.heads;
      const int64_t start = shape.starts[sequence], length = shape.starts[sequence + 1] - start;
      const T* base = qkv + start * 3 * shape.hidden + head * shape.size;
      const auto part = [&](int64_t index) {
        return read(base + index * shape.hidden, 3 * shape.hidden, length, shape.size, buffers[index]);
      };
      const Rows<const float> query = part(0), key = part(1), value = part(2);
      T* place = out + start * shape.hidden + head * shape.size;
      const Rows<float> result = target(place, shape.hidden, length, shape.size, buffers[3]);
      scores.resize(static_cast<size_t>(std::min(kQueries, length) * length));
      const Rows<float> block{scores.data(), length};
      for (int64_t first = 0; first < length; first += kQueries) {
        const int64_t count = std::min(kQueries, length - first);
        multiply(kTimesTransposed, count, length, shape.size, shape.scale, {query.data + first * query.stride, query.stride},
                 key, 0, block);
        for (int64_t i = 0; i < count; i++) {
          const int64_t token = start + first + i;
          log_sums[token * shape.heads + head] =
              softmax_line(block.data + i * length, length, dropout.key(token, head), mask, dropout.p > 0);
        }
        multiply(kTimes, count, shape.size, length, 1, {block.data, length}, value, 0,
                 {result.data + first * result.stride, result.stride});
      }
      finish(place, shape.hidden, length, shape.size, result);
    }
  });
}

template <class T>
static void attend_backward(const T* qkv, const T* out, const T* grad_out, const float* log_sums, T* grad_qkv,
                            const Shape& shape, const Dropout& dropout) {
  const Mask mask(dropout.p);
  at::parallel_for(0, shape.sequences * shape.heads, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> scores, grads, buffers[8];
    for (int64_t unit = begin; unit < end; unit++) {
      const int64_t sequence = unit / shape.heads, head = unit % shape.heads;
      const int64_t start = shape.starts[sequence], length = shape.starts[sequence + 1] - start;
      const int64_t at = start * 3 * shape.hidden + head * shape.size;
      const auto part = [&](int64_t index) {
        return read(qkv + at + index * shape.hidden, 3 * shape.hidden, length, shape.size, buffers[index]);
      };
      const auto grad_part = [&](int64_t index) {
        return target(grad_qkv + at + index * shape.hidden, 3 * shape.hidden, length, shape.size, buffers[3 + index]);
      };
      const int64_t place = start * shape.hidden + head * shape.size;
      const Rows<const float> query = part(0), key = part(1), value = part(2);
      const Rows<const float> result = read(out + place, shape.hidden, length, shape.size, buffers[6]);
      const Rows<const float> grad = read(grad_out + place, shape.hidden, length, shape.size, buffers[7]);
      const Rows<float> grad_query = grad_part(0), grad_key = grad_part(1), grad_value = grad_part(2);
      const size_t area = static_cast<size_t>(std::min(kQueries, length) * length);
      scores.resize(area), grads.resize(area);
      const Rows<float> block{scores.data(), length}, grad_block{grads.data(), length};
      const auto from = [](Rows<const float> rows, int64_t first) {
        return Rows<const float>{rows.data + first * rows.stride, rows.stride};
      };
      for (int64_t first = 0; first < length; first += kQueries) {
        const int64_t count = std::min(kQueries, length - first);
        multiply(kTimesTransposed, count, length, shape.size, shape.scale, from(query, first), key, 0, block);
        multiply(kTimesTransposed, count, length, shape.size, 1, from(grad, first), value, 0, grad_block);
        for (int64_t i = 0; i < count; i++) {
          const int64_t token = start + first + i;
          const float dot = dot_line(from(grad, first + i).data, from(result, first + i).data, shape.size);
          backward_line(block.data + i * length, grad_block.data + i * length, length,
                        log_sums[token * shape.heads + head], dot, dropout.key(token, head), mask, dropout.p > 0);
        }
        const Rows<const float> weights{block.data, length}, changes{grad_block.data, length};
        const float more = first == 0 ? 0 : 1;
        multiply(kTransposedTimes, length, shape.size, count, 1, weights, from(grad, first), more, grad_value);
        multiply(kTransposedTimes, length, shape.size, count, shape.scale, changes, from(query, first), more, grad_key);
        multiply(kTimes, count, shape.size, length, shape.scale, changes, key, 0,
                 {grad_query.data + first * grad_query.stride, grad_query.stride});
      }
      const Rows<float> made[3] = {grad_query, grad_key, grad_value};
      for (int64_t index = 0; index < 3; index++) {
        finish(grad_qkv + at + index * shape.hidden, 3 * shape.hidden, length, shape.size, made[index]);
      }
    }
  });
}

struct Attention : torch::autograd::Function<Attention> {
  static Shape shape_of(const at::Tensor& qkv, const at::Tensor& starts, int64_t heads) {
    const int64_t hidden = qkv.size(1) / 3, size = hidden / heads;
    return {starts.const_data_ptr<int64_t>(), starts.numel() - 1, heads, size, hidden,
            1.0f / std::sqrt(static_cast<float>(size))};
  }

  static Dropout dropout_of(const at::Tensor& keys, int64_t site, double p) {
    return {p > 0 ? keys.const_data_ptr<int64_t>() : nullptr, static_cast<uint64_t>(site), p};
  }

  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& packed,
                            const at::Tensor& starts, int64_t heads, const at::Tensor& keys, int64_t site, double p) {
    const at::Tensor qkv = packed.contiguous();
    const int64_t tokens = qkv.size(0);
    TORCH_CHECK(starts.numel() > 0 && starts.const_data_ptr<int64_t>()[starts.numel() - 1] == tokens,
                "attention: sequences do not end at token ", tokens);
    TORCH_CHECK(p == 0 || keys.numel() == tokens, "attention: ", keys.numel(), " keys for ", tokens, " tokens");
    const Shape shape = shape_of(qkv, starts, heads);
    const Dropout dropout = dropout_of(keys, site, p);
    at::Tensor out = at::empty({tokens, shape.hidden}, qkv.options());
    at::Tensor log_sums = at::empty({tokens, heads}, qkv.options().dtype(at::kFloat));
    float* sums = log_sums.mutable_data_ptr<float>();
    if (qkv.scalar_type() == at::kFloat) {
      attend(qkv.const_data_ptr<float>(), out.mutable_data_ptr<float>(), sums, shape, dropout);
    } else {
      attend(qkv.const_data_ptr<c10::BFloat16>(), out.mutable_data_ptr<c10::BFloat16>(), sums, shape, dropout);
    }
    context->save_for_backward({qkv, out, log_sums, starts, keys});
    context->saved_data["heads"] = heads;
    context->saved_data["site"] = site;
    context->saved_data["p"] = p;
    return out;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &qkv = saved[0], &out = saved[1], grad = grads[0].contiguous();
    const Shape shape = shape_of(qkv, saved[3], context->saved_data["heads"].toInt());
    const Dropout dropout =
        dropout_of(saved[4], context->saved_data["site"].toInt(), context->saved_data["p"].toDouble());
    const float* sums = saved[2].const_data_ptr<float>();
    at::Tensor grad_qkv = at::empty_like(qkv);
    if (qkv.scalar_type() == at::kFloat) {
      attend_backward(qkv.const_data_ptr<float>(), out.const_data_ptr<float>(), grad.const_data_ptr<float>(), sums,
                      grad_qkv.mutable_data_ptr<float>(), shape, dropout);
    } else {
      using Half = c10::BFloat16;
      attend_backward(qkv.const_data_ptr<Half>(), out.const_data_ptr<Half>(), grad.const_data_ptr<Half>(), sums,
                      grad_qkv.mutable_data_ptr<Half>(), shape, dropout);
    }
    return {grad_qkv, {}, {}, {}, {}, {}};
  }
};

}  // namespace embtune

extern "C" int embtune_attention(embtune::Handle qkv, embtune::Handle starts, int64_t heads, embtune::Handle keys,
                                 int64_t site, double p, embtune::Handle* out) {
  return embtune::guard([&] {
    *out = embtune::give(embtune::Attention::apply(*qkv, *starts, heads, *keys, site, p));
  });
}
