#include "lomo/model/config.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace lomo {

std::vector<float> rope_frequencies(ModelConfig const& config) {
  RopeScaling const& scaling = config.rope_scaling;
  std::vector<float> frequencies;  // (D/2)
  for (std::int64_t i = 0; i < config.head_width / 2; ++i) {
    const double exponent = 2.0 * static_cast<double>(i) / static_cast<double>(config.head_width);
    double frequency = std::pow(config.rope_theta, -exponent);
    if (scaling.kind == RopeScaling::Kind::linear) frequency /= scaling.factor;
    if (scaling.kind == RopeScaling::Kind::llama3) {
      // Turns within the original context: many are kept as they are, few are slowed by `factor`,
      // those between are blended (Llama 3.1's rule).
      const double turns = scaling.original_context * frequency / (2 * std::numbers::pi);
      const double kept = std::clamp(
          (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor),
          0.0, 1.0);
      frequency = (1 - kept) * frequency / scaling.factor + kept * frequency;
    }
    frequencies.push_back(static_cast<float>(frequency));
  }
  return frequencies;
}

}  // namespace lomo
