// Products of the small matrices of attention, on one thread.
#pragma once
#include <cstdint>

namespace embtune {

// Rows of the matrices are padded to whole vectors of this many floats.
constexpr int64_t kLanes = 16;
constexpr int64_t padded(int64_t columns) { return (columns + kLanes - 1) / kLanes * kLanes; }

// A left factor, possibly transposed: element (i, k) is data[i · row + k · column].
struct Factor {
  const float* data;
  int64_t row, column;
};

// c = a · b, or c += a · b. `columns` is a multiple of kLanes, as are the strides of `b` and `c`.
void multiply(int64_t rows, int64_t columns, int64_t inner, Factor a, const float* b, int64_t b_stride, bool adds,
              float* c, int64_t c_stride);

}  // namespace embtune
