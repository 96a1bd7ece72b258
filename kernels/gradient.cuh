#pragma once
#include "update.h"
#include "update_formulas.h"

namespace lomo::kernels {

using formulas::ScaledGradient;
inline ScaledGradient scaled_gradient(GradientRule const& rule) {
  return ScaledGradient::of(rule.scale, rule.clip_value, rule.coefficient);
}

/// True when the guard, if any, forbids the update.
__device__ __forceinline__ bool blocked(double const* found_inf) {
  return found_inf != nullptr && found_inf[1] != 0;
}

}  // namespace lomo::kernels
