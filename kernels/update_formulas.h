#pragma once
// What an update does to one element, written once for the loops of the CPU engine and for the
// kernels. Both are built without contraction to fused multiply-adds (-ffp-contract=off,
// --fmad=false) and with an exact division and square root, so that they store the same bits.
#include <cmath>
#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#define LOMO_FORMULA __host__ __device__ __forceinline__
#else
#define LOMO_FORMULA inline __attribute__((always_inline))
#endif

namespace lomo::formulas {

LOMO_FORMULA std::uint32_t bits_of(float x) {
  std::uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
LOMO_FORMULA float float_of(std::uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/// g' = coefficient * clamp(scale * g, -limit, +limit). A NaN stays one.
struct ScaledGradient {
  float scale, limit, coefficient;
  /// `clip_value` 0: no clamp.
  static ScaledGradient of(float scale, float clip_value, float coefficient) {
    return {scale, clip_value > 0 ? clip_value : HUGE_VALF, coefficient};
  }
  LOMO_FORMULA float operator()(float g) const {
    const float scaled = scale * g;
    const float below = scaled > limit ? limit : scaled;
    return coefficient * (below < -limit ? -limit : below);
  }
};

/// SGD and LOMO: w keep - lr g', with keep = 1 - lr weight_decay.
struct Sgd {
  float lr, keep;
  LOMO_FORMULA float operator()(float w, float gradient) const { return w * keep - lr * gradient; }
};

/// m = momentum m + g'.
LOMO_FORMULA float momentum(float mean, float gradient, float momentum) {
  return momentum * mean + gradient;
}

/// AdamW: m = beta1 m + (1 - beta1) g',  v = beta2 v + (1 - beta2) g'^2,
/// w keep - lr m / (sqrt(v correct) + eps): lr holds 1 / (1 - beta1^t), correct is
/// 1 / (1 - beta2^t).
struct AdamW {
  float lr, keep, beta1, beta2, eps, correct;
  LOMO_FORMULA float operator()(float w, float& mean, float& square, float gradient) const {
    mean = beta1 * mean + (1 - beta1) * gradient;
    square = beta2 * square + (1 - beta2) * (gradient * gradient);
    return w * keep - lr * mean / (sqrtf(square * correct) + eps);
  }
};

// x rounded to one of its neighbours in a type of 16 bits, up with the probability of the distance
// to the lower one; the bits of the result. Non-finite numbers pass; a finite one never becomes
// infinite.

/// Adds 16 random bits below those that bf16 keeps and truncates.
LOMO_FORMULA std::uint32_t stochastic_bf16(float x, std::uint32_t random) {
  const std::uint32_t u = bits_of(x);
  const std::uint32_t sum = u + (random >> 16);
  const bool overflows = (sum & 0x7f800000u) == 0x7f800000u;
  const std::uint32_t kept = overflows ? u : sum;
  const std::uint32_t quiet = (u & 0x7fffffffu) > 0x7f800000u ? 0x400000u : 0u;  // NaN stays one
  return (kept | quiet) >> 16;
}

/// The same with 13 random bits, of which f32 has just so many more than f16, as far as f16 is
/// normal; below 2^-14 its neighbours lie 2^-24 apart and a fraction of that is compared with 24
/// random bits. Numbers beyond the largest, 65504, become it. Without branches, so that loops of it
/// are vectors.
LOMO_FORMULA std::uint32_t stochastic_f16(float x, std::uint32_t random) {
  const std::uint32_t u = bits_of(x);
  const std::uint32_t magnitude = u & 0x7fffffffu;
  const std::uint32_t sum = (magnitude + (random >> 19) - (112u << 23)) >> 13;
  const std::uint32_t normal = magnitude >= 0x477fe000u ? 0x7bffu : sum;
  const bool is_small = magnitude < 0x38800000u;
  const float quanta = is_small ? float_of(magnitude) * 0x1p24f : 0.0f;  // of 2^-24
  const auto whole = static_cast<std::int32_t>(quanta);
  const float fraction = quanta - static_cast<float>(whole);
  const float threshold = static_cast<float>(static_cast<std::int32_t>(random >> 8)) * 0x1p-24f;
  const std::uint32_t small = static_cast<std::uint32_t>(whole) + (threshold < fraction ? 1u : 0u);
  const std::uint32_t finite = is_small ? small : normal;
  const std::uint32_t nan = 0x7e00u | ((magnitude >> 13) & 0x3ffu);
  const std::uint32_t special = magnitude > 0x7f800000u ? nan : 0x7c00u;
  const std::uint32_t bits = magnitude >= 0x7f800000u ? special : finite;
  return bits | ((u >> 16) & 0x8000u);
}

}  // namespace lomo::formulas
