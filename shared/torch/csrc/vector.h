// Shared by the CPU kernels: function clones per vector width, the hash of dropout, loads and stores of float and bfloat16.
#pragma once
#include <c10/util/BFloat16.h>

#include <cstdint>
#include <cstring>

// Compiles a function once for each vector width; the loader chooses the widest that the machine has.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define EMBTUNE_CLONES
#define EMBTUNE_VECTORIZED __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define EMBTUNE_VECTORIZED
#endif
#define EMBTUNE_INLINE inline __attribute__((always_inline))

namespace embtune {

// splitmix64 (Steele, Lea, Flood 2014).
EMBTUNE_INLINE uint64_t mix(uint64_t z) {
  z += 0x9E3779B97F4A7C15ull;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

// Dropout of a row of elements that share a key: an element is kept if the hash of its index is at least p · 2³². Nothing
// is drawn or kept for the backward pass, and the mask does not depend on the batch.
struct Mask {
  uint32_t threshold;
  float scale;

  explicit Mask(double p)
      : threshold(static_cast<uint32_t>(p * 4294967296.0)), scale(static_cast<float>(1.0 / (1.0 - p))) {}
};

// Key of a token's row at one site of the network.
EMBTUNE_INLINE uint64_t line_key(int64_t token_key, uint64_t site) {
  return mix(static_cast<uint64_t>(token_key) ^ mix(site));
}

// 0 or 1 / (1 − p) for element `i` of the row (two rounds of lowbias32, keyed).
EMBTUNE_INLINE float factor(Mask mask, uint64_t key, uint32_t i) {
  uint32_t hash = i + static_cast<uint32_t>(key);
  hash ^= hash >> 16;
  hash *= 0x7FEB352Du;
  hash ^= static_cast<uint32_t>(key >> 32);
  hash ^= hash >> 15;
  hash *= 0x846CA68Bu;
  hash ^= hash >> 16;
  return hash >= mask.threshold ? mask.scale : 0.0f;
}

EMBTUNE_INLINE float load(const float* x) { return *x; }
EMBTUNE_INLINE void store(float* x, float value) { *x = value; }

EMBTUNE_INLINE float load(const c10::BFloat16* x) {
  const uint32_t bits = static_cast<uint32_t>(x->x) << 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

// Rounds to nearest even; NaN stays NaN.
EMBTUNE_INLINE void store(c10::BFloat16* x, float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  const uint32_t rounded = (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
  x->x = static_cast<uint16_t>(value == value ? rounded : 0x7FC0u);
}

}  // namespace embtune
