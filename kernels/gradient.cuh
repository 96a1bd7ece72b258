#pragma once
#include "update.h"

namespace lomo::kernels {

/// g' of GradientRule. A NaN stays one.
struct ScaledGradient {
  explicit ScaledGradient(GradientRule const& rule)
      : scale(rule.scale),
        limit(rule.clip_value > 0 ? rule.clip_value : __builtin_inff()),
        coefficient(rule.coefficient) {}
  __device__ __forceinline__ float operator()(float g) const {
    const float scaled = scale * g;
    const float below = scaled > limit ? limit : scaled;
    return coefficient * (below < -limit ? -limit : below);
  }
  float scale, limit, coefficient;
};

/// True when the guard, if any, forbids the update.
__device__ __forceinline__ bool blocked(double const* found_inf) {
  return found_inf != nullptr && found_inf[1] != 0;
}

}  // namespace lomo::kernels
