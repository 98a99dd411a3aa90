// A BLAS is not faster on matrices of this size, and MKL uses only half of the vector width on processors of other vendors
// than Intel.
#include "multiply.h"

#include "vector.h"

namespace embtune {

// A tile of the product, R rows by C vectors, summed in registers.
template <class Vector, int R, int C>
EMBTUNE_INLINE void tile(int64_t inner, Factor a, const float* b, int64_t b_stride, bool adds, float* c,
                         int64_t c_stride) {
  constexpr int64_t kWidth = sizeof(Vector) / sizeof(float);
  Vector sums[R][C] = {};
  for (int64_t k = 0; k < inner; k++) {
    for (int row = 0; row < R; row++) {
      const float factor = a.data[row * a.row + k * a.column];
      for (int part = 0; part < C; part++) {
        Vector line;
        std::memcpy(&line, b + k * b_stride + part * kWidth, sizeof line);
        sums[row][part] += factor * line;
      }
    }
  }
  for (int row = 0; row < R; row++) {
    for (int part = 0; part < C; part++) {
      float* place = c + row * c_stride + part * kWidth;
      Vector sum = sums[row][part];
      if (adds) {
        Vector before;
        std::memcpy(&before, place, sizeof before);
        sum += before;
      }
      std::memcpy(place, &sum, sizeof sum);
    }
  }
}

// The columns of C vectors, for all rows.
template <class Vector, int R, int C>
EMBTUNE_INLINE void stripe(int64_t rows, int64_t inner, Factor a, const float* b, int64_t b_stride, bool adds, float* c,
                           int64_t c_stride) {
  int64_t row = 0;
  const auto from = [&] { return Factor{a.data + row * a.row, a.row, a.column}; };
  for (; row + R <= rows; row += R) tile<Vector, R, C>(inner, from(), b, b_stride, adds, c + row * c_stride, c_stride);
  for (; row + 2 <= rows; row += 2) tile<Vector, 2, C>(inner, from(), b, b_stride, adds, c + row * c_stride, c_stride);
  if (row < rows) tile<Vector, 1, C>(inner, from(), b, b_stride, adds, c + row * c_stride, c_stride);
}

// R · 2 sums, 2 vectors of `b` and a factor fit in the registers.
template <class Vector, int R>
EMBTUNE_INLINE void multiply_of(int64_t rows, int64_t columns, int64_t inner, Factor a, const float* b,
                                int64_t b_stride, bool adds, float* c, int64_t c_stride) {
  constexpr int64_t kWidth = sizeof(Vector) / sizeof(float);
  int64_t column = 0;
  for (; column + 2 * kWidth <= columns; column += 2 * kWidth) {
    stripe<Vector, R, 2>(rows, inner, a, b + column, b_stride, adds, c + column, c_stride);
  }
  for (; column < columns; column += kWidth) {
    stripe<Vector, R, 1>(rows, inner, a, b + column, b_stride, adds, c + column, c_stride);
  }
}

typedef float Narrow __attribute__((vector_size(16)));
#if defined(EMBTUNE_CLONES)
typedef float Medium __attribute__((vector_size(32)));
typedef float Wide __attribute__((vector_size(64)));
__attribute__((target("arch=x86-64-v4"))) static void multiply_wide(int64_t rows, int64_t columns, int64_t inner,
                                                                    Factor a, const float* b, int64_t b_stride,
                                                                    bool adds, float* c, int64_t c_stride) {
  multiply_of<Wide, 8>(rows, columns, inner, a, b, b_stride, adds, c, c_stride);
}
__attribute__((target("arch=x86-64-v3"))) static void multiply_medium(int64_t rows, int64_t columns, int64_t inner,
                                                                      Factor a, const float* b, int64_t b_stride,
                                                                      bool adds, float* c, int64_t c_stride) {
  multiply_of<Medium, 6>(rows, columns, inner, a, b, b_stride, adds, c, c_stride);
}
#endif
static void multiply_narrow(int64_t rows, int64_t columns, int64_t inner, Factor a, const float* b, int64_t b_stride,
                            bool adds, float* c, int64_t c_stride) {
  multiply_of<Narrow, 4>(rows, columns, inner, a, b, b_stride, adds, c, c_stride);
}

void multiply(int64_t rows, int64_t columns, int64_t inner, Factor a, const float* b, int64_t b_stride, bool adds,
              float* c, int64_t c_stride) {
#if defined(EMBTUNE_CLONES)
  static const auto widest = __builtin_cpu_supports("x86-64-v4")   ? multiply_wide
                             : __builtin_cpu_supports("x86-64-v3") ? multiply_medium
                                                                   : multiply_narrow;
  widest(rows, columns, inner, a, b, b_stride, adds, c, c_stride);
#else
  multiply_narrow(rows, columns, inner, a, b, b_stride, adds, c, c_stride);
#endif
}

}  // namespace embtune
