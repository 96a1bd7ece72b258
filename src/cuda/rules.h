#pragma once
#include "arguments.h"
#include "kernels/update.h"
#include "lomo/backend/ops.h"

/// What updates are told, as their kernels take it.
namespace lomo::cuda {

inline kernels::GradientRule rule(GradientScaling const& g) {
  return {g.scale, g.clip_value, g.coefficient};
}

inline kernels::RoundingRule rule(RoundingPlan const& plan) {
  return {plan.mode == Rounding::stochastic, plan.key.stream, plan.key.step, plan.first,
          address<double>(plan.rounding_stats)};
}

}  // namespace lomo::cuda
