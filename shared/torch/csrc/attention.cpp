// Attention of every sequence over its own tokens on the CPU, with tokens packed without padding. As in FlashAttention-2
// (Dao 2023) the probabilities are not kept: the backward pass computes them again from the sums of the softmax.
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "checks.h"
#include "guard.h"
#include "multiply.h"
#include "vector.h"

namespace embtune {

constexpr int64_t kQueries = 128;  // whose scores are in memory at the same time

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
  // The low bits of 1.5 · 2^23 + n are those of n. Unlike a conversion this is defined for NaN too, for which y is NaN.
  const float shifted = n + 12582912.0f;
  uint32_t bits;
  std::memcpy(&bits, &shifted, 4);
  bits = (bits + 127u) << 23;
  float power;
  std::memcpy(&power, &bits, 4);
  return y * power;
}

// A maximum over lanes: the compiler could not vectorise one over elements, because NaN depends on the order.
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

// Turns scores into probabilities with dropout, in place; returns the logarithm of the sum of the scores' exponentials.
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

// Turns scores into probabilities with dropout, and their gradient into the gradient of the scores, both in place.
EMBTUNE_VECTORIZED static void backward_line(float* __restrict scores, float* __restrict grad, int64_t count,
                                             float log_sum, float dot, uint64_t key, Mask mask, bool drops) {
  if (drops) {
    for (int64_t j = 0; j < count; j++) {
      const float probability = exp_of(scores[j] - log_sum), keep = factor(mask, key, static_cast<uint32_t>(j));
      grad[j] = probability * (grad[j] * keep - dot);
      scores[j] = probability * keep;
    }
  } else {
    for (int64_t j = 0; j < count; j++) {
      const float probability = exp_of(scores[j] - log_sum);
      grad[j] = probability * (grad[j] - dot);
      scores[j] = probability;
    }
  }
}

EMBTUNE_VECTORIZED static float dot_line(const float* a, const float* b, int64_t count) {
  float total = 0;
  for (int64_t i = 0; i < count; i++) total += a[i] * b[i];
  return total;
}

template <class To, class From>
EMBTUNE_INLINE void scale_line_of(To* to, const From* from, int64_t count, float scale) {
  for (int64_t i = 0; i < count; i++) store(to + i, scale * load(from + i));
}
EMBTUNE_VECTORIZED static void scale_line(float* to, const float* from, int64_t count, float scale) {
  scale_line_of(to, from, count, scale);
}
EMBTUNE_VECTORIZED static void scale_line(float* to, const c10::BFloat16* from, int64_t count, float scale) {
  scale_line_of(to, from, count, scale);
}
EMBTUNE_VECTORIZED static void scale_line(c10::BFloat16* to, const float* from, int64_t count, float scale) {
  scale_line_of(to, from, count, scale);
}

// A head of a sequence, [length, size], with rows padded to whole vectors.
struct Part {
  std::vector<float> data;
  int64_t length = 0, size = 0, stride = 0;

  void shape(int64_t rows, int64_t columns) {
    length = rows, size = columns, stride = padded(columns);
    data.assign(static_cast<size_t>(length * stride), 0.0f);
  }

  template <class T>
  void read(const T* from, int64_t from_stride, int64_t rows, int64_t columns, float scale = 1) {
    shape(rows, columns);
    for (int64_t i = 0; i < length; i++) scale_line(row(i), from + i * from_stride, size, scale);
  }

  template <class T>
  void write(T* to, int64_t to_stride, float scale = 1) const {
    for (int64_t i = 0; i < length; i++) scale_line(to + i * to_stride, row(i), size, scale);
  }

  void transpose(const Part& from) {
    shape(from.size, from.length);
    for (int64_t i = 0; i < from.length; i++) {
      for (int64_t j = 0; j < from.size; j++) data[static_cast<size_t>(j * stride + i)] = from.row(i)[j];
    }
  }

  float* row(int64_t i) { return data.data() + i * stride; }
  const float* row(int64_t i) const { return data.data() + i * stride; }
  // The rows from `first` on, as a left factor.
  Factor from(int64_t first) const { return {row(first), stride, 1}; }
  Factor transposed() const { return {data.data(), 1, stride}; }
};

// to[first ..] = a · b, or += it.
static void multiply(int64_t rows, Factor a, int64_t inner, const Part& b, int64_t first_of_b, bool adds, Part& to,
                     int64_t first = 0) {
  multiply(rows, to.stride, inner, a, b.row(first_of_b), b.stride, adds, to.row(first), to.stride);
}

struct Shape {
  const int64_t* starts;  // [sequences + 1]
  int64_t sequences, heads, size, hidden;
  float scale;
};

// A head of a sequence: where its elements start in [tokens, 3 · hidden] and in [tokens, hidden].
struct Unit {
  int64_t head, start, length, qkv, context;

  // All sequences of a head before the next head, so that threads get similar lengths.
  Unit(const Shape& shape, int64_t index) : head(index / shape.sequences) {
    const int64_t sequence = index % shape.sequences;
    start = shape.starts[sequence], length = shape.starts[sequence + 1] - start;
    qkv = start * 3 * shape.hidden + head * shape.size, context = start * shape.hidden + head * shape.size;
  }
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
  at::parallel_for(0, shape.heads * shape.sequences, 1, [&](int64_t begin, int64_t end) {
    Part query, key, value, keys_by_columns, scores, result;
    for (int64_t unit = begin; unit < end; unit++) {
      const Unit at(shape, unit);
      query.read(qkv + at.qkv, 3 * shape.hidden, at.length, shape.size, shape.scale);
      key.read(qkv + at.qkv + shape.hidden, 3 * shape.hidden, at.length, shape.size);
      value.read(qkv + at.qkv + 2 * shape.hidden, 3 * shape.hidden, at.length, shape.size);
      keys_by_columns.transpose(key);
      scores.shape(std::min(kQueries, at.length), at.length);
      result.shape(at.length, shape.size);
      for (int64_t first = 0; first < at.length; first += kQueries) {
        const int64_t count = std::min(kQueries, at.length - first);
        multiply(count, query.from(first), shape.size, keys_by_columns, 0, false, scores);
        for (int64_t i = 0; i < count; i++) {
          const int64_t token = at.start + first + i;
          log_sums[token * shape.heads + at.head] =
              softmax_line(scores.row(i), at.length, dropout.key(token, at.head), mask, dropout.p > 0);
        }
        multiply(count, scores.from(0), at.length, value, 0, false, result, first);
      }
      result.write(out + at.context, shape.hidden);
    }
  });
}

template <class T>
static void attend_backward(const T* qkv, const T* out, const T* grad_out, const float* log_sums, T* grad_qkv,
                            const Shape& shape, const Dropout& dropout) {
  const Mask mask(dropout.p);
  at::parallel_for(0, shape.heads * shape.sequences, 1, [&](int64_t begin, int64_t end) {
    Part query, key, value, keys_by_columns, values_by_columns, result, grad, scores, changes;
    Part grad_query, grad_key, grad_value;
    for (int64_t unit = begin; unit < end; unit++) {
      const Unit at(shape, unit);
      query.read(qkv + at.qkv, 3 * shape.hidden, at.length, shape.size, shape.scale);
      key.read(qkv + at.qkv + shape.hidden, 3 * shape.hidden, at.length, shape.size);
      value.read(qkv + at.qkv + 2 * shape.hidden, 3 * shape.hidden, at.length, shape.size);
      result.read(out + at.context, shape.hidden, at.length, shape.size);
      grad.read(grad_out + at.context, shape.hidden, at.length, shape.size);
      keys_by_columns.transpose(key);
      values_by_columns.transpose(value);
      for (Part* part : {&grad_query, &grad_key, &grad_value}) part->shape(at.length, shape.size);
      for (Part* part : {&scores, &changes}) part->shape(std::min(kQueries, at.length), at.length);
      for (int64_t first = 0; first < at.length; first += kQueries) {
        const int64_t count = std::min(kQueries, at.length - first);
        multiply(count, query.from(first), shape.size, keys_by_columns, 0, false, scores);
        multiply(count, grad.from(first), shape.size, values_by_columns, 0, false, changes);
        for (int64_t i = 0; i < count; i++) {
          const int64_t token = at.start + first + i;
          const float dot = dot_line(grad.row(first + i), result.row(first + i), shape.size);
          backward_line(scores.row(i), changes.row(i), at.length, log_sums[token * shape.heads + at.head], dot,
                        dropout.key(token, at.head), mask, dropout.p > 0);
        }
        multiply(at.length, scores.transposed(), count, grad, first, true, grad_value);
        multiply(at.length, changes.transposed(), count, query, first, true, grad_key);
        multiply(count, changes.from(0), at.length, key, 0, false, grad_query, first);
      }
      // Queries were scaled when they were read, which scales the gradient of the keys too.
      grad_query.write(grad_qkv + at.qkv, 3 * shape.hidden, shape.scale);
      grad_key.write(grad_qkv + at.qkv + shape.hidden, 3 * shape.hidden);
      grad_value.write(grad_qkv + at.qkv + 2 * shape.hidden, 3 * shape.hidden);
    }
  });
}

struct Attention : torch::autograd::Function<Attention> {
  // Checked in the backward pass again, because another tensor may share the memory of `starts` and have changed it.
  static Shape shape_of(const at::Tensor& qkv, const at::Tensor& starts, int64_t heads) {
    const int64_t size = checked_head_size("attention", qkv, heads), tokens = qkv.size(0);
    const int64_t* first = starts.const_data_ptr<int64_t>();
    const int64_t* last = first + starts.numel() - 1;
    TORCH_CHECK(*first == 0, "attention: sequences start at token ", *first);
    TORCH_CHECK(*last == tokens, "attention: sequences end at token ", *last, " of ", tokens);
    const int64_t* back = std::is_sorted_until(first, last + 1);
    TORCH_CHECK(back > last, "attention: a sequence starts at token ", *back, ", before the previous one");
    return {first, starts.numel() - 1, heads, size, size * heads, 1.0f / std::sqrt(static_cast<float>(size))};
  }

  static Dropout dropout_of(const at::Tensor& keys, int64_t site, double p) {
    return {p > 0 ? keys.const_data_ptr<int64_t>() : nullptr, static_cast<uint64_t>(site), p};
  }

  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& packed,
                            const at::Tensor& starts_of_any, int64_t heads, const at::Tensor& keys_of_any, int64_t site,
                            double p) {
    check_floats("attention", packed);
    TORCH_CHECK(starts_of_any.defined() && starts_of_any.numel() > 0, "attention: no sequences");
    const at::Tensor qkv = packed.contiguous();
    const at::Tensor starts = checked_numbers("attention", "starts", starts_of_any, starts_of_any.numel());
    const Shape shape = shape_of(qkv, starts, heads);
    const int64_t tokens = qkv.size(0);
    const at::Tensor keys = checked_keys("attention", keys_of_any, tokens, p);
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
