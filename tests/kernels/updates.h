#pragma once
// What the tests of updates have in common: settings, weights, and the CPU engine to compare with.
#include "device.h"
#include "kernels/update.h"
#include "lomo/backend/backend.h"

namespace lomo::test {

struct Setting {
  DType type;
  Rounding mode;
};
inline std::vector<Setting> settings() {
  return {{DType::f32, Rounding::nearest},
          {DType::bf16, Rounding::nearest},
          {DType::bf16, Rounding::stochastic},
          {DType::f16, Rounding::nearest},
          {DType::f16, Rounding::stochastic}};
}

inline const GradientScaling kScaling{.scale = 0.5f, .clip_value = 0.4f, .coefficient = 0.7f};
inline const kernels::GradientRule kRule{kScaling.scale, kScaling.clip_value, kScaling.coefficient};
inline const RandomKey kKey = random_key(3, "round", "w", 11);

inline kernels::RoundingRule rule_of(Rounding mode, std::int64_t first) {
  return {mode == Rounding::stochastic, kKey.stream, kKey.step, first};
}

/// Weights over the whole range of the type: subnormal in f16 here and there.
inline std::vector<float> weights(DType type, std::int64_t n) {
  auto w = random_values("w", n);
  for (std::size_t i = 0; i < w.size(); i += 7) w[i] *= 1e-5f;
  return rounded(w, type);
}

inline std::unique_ptr<Backend> cpu() {
  return make_cpu_backend({.threads = 1, .memory = 64u << 20});
}

}  // namespace lomo::test
