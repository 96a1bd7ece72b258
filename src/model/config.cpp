#include "lomo/model/config.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

namespace lomo {

LayerSpec ModelConfig::layer(std::int64_t l) const {
  const auto holds = [l](std::vector<bool> const& of) {
    return of.empty() || of[static_cast<std::size_t>(l)];
  };
  LayerSpec spec;
  spec.width = width;
  spec.heads = heads;
  spec.kv_heads = kv_heads;
  spec.head_width = head_width;
  spec.ffn = ffn;
  spec.norm_eps = norm_eps;
  spec.attention_scale = attention_scale.value_or(
      static_cast<float>(1.0 / std::sqrt(static_cast<double>(head_width))));
  spec.residual_scale = residual_scale;
  spec.rotates = holds(rotates);
  spec.rotary_scale = static_cast<float>(rope_scaling.attention_factor);
  spec.window = holds(windowed) ? window : 0;
  return spec;
}

namespace {

/// Llama 3.1's rule: pairs that make many turns within the original context are kept as they are,
/// few are slowed by `factor`, those between are blended.
double llama3_frequency(double frequency, RopeScaling const& scaling) {
  const double turns = scaling.original_context * frequency / (2 * std::numbers::pi);
  const double kept = std::clamp(
      (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor), 0.0,
      1.0);
  return (1 - kept) * frequency / scaling.factor + kept * frequency;
}

/// The pairs between which yarn blends: those below the first turn more than beta_fast times within
/// the original context and are kept, those above the second less than beta_slow times.
std::pair<double, double> yarn_bounds(ModelConfig const& config) {
  RopeScaling const& scaling = config.rope_scaling;
  const auto width = static_cast<double>(config.turned());
  const auto pair_that_turns = [&](double times) {
    return width * std::log(scaling.original_context / (times * 2 * std::numbers::pi)) /
           (2 * std::log(config.rope_theta));
  };
  double low = pair_that_turns(scaling.beta_fast), high = pair_that_turns(scaling.beta_slow);
  if (scaling.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, width - 1);
  return {low, low == high ? high + 0.001 : high};
}

}  // namespace

std::vector<float> rope_frequencies(ModelConfig const& config) {
  RopeScaling const& scaling = config.rope_scaling;
  using Kind = RopeScaling::Kind;
  std::pair<double, double> bounds;
  if (scaling.kind == Kind::yarn) bounds = yarn_bounds(config);
  const std::int64_t width = config.turned();
  std::vector<float> frequencies;  // (R/2)
  for (std::int64_t i = 0; i < width / 2; ++i) {
    const double exponent = 2.0 * static_cast<double>(i) / static_cast<double>(width);
    double frequency = std::pow(config.rope_theta, -exponent);
    if (scaling.kind == Kind::linear) frequency /= scaling.factor;
    if (scaling.kind == Kind::llama3) frequency = llama3_frequency(frequency, scaling);
    if (scaling.kind == Kind::yarn) {
      const auto [low, high] = bounds;
      const double slowed = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
      frequency = slowed * frequency / scaling.factor + (1 - slowed) * frequency;
    }
    frequencies.push_back(static_cast<float>(frequency));
  }
  return frequencies;
}

}  // namespace lomo
