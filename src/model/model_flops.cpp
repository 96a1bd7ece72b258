#include "lomo/model/model_flops.h"

#include <algorithm>
#include <cstddef>

namespace lomo {

namespace {

/// Pairs of the queries and the keys of one sequence; `window` 0: none.
double visible_pairs(std::int64_t length, std::int64_t window) {
  const auto n = static_cast<double>(length);
  const auto w = static_cast<double>(window > 0 ? std::min(window, length) : length);
  return w * (w + 1) / 2 + (n - w) * w;
}

}  // namespace

double model_flops(ModelConfig const& config, Batch const& batch) {
  const auto count = [](std::int64_t n) { return static_cast<double>(n); };
  const std::int64_t queries = config.heads * config.head_width;
  const std::int64_t keys = config.kv_heads * config.head_width;
  const std::int64_t block =
      config.width * (queries + 2 * keys) + queries * config.width + 3 * config.width * config.ffn;
  double flops = 2 * count(batch.rows()) * count(block) * count(config.layers) +
                 2 * count(batch.loss_count()) * count(config.vocab) * count(config.width);
  for (std::int64_t l = 0; l < config.layers; ++l) {
    const std::int64_t window = config.layer(l).window;
    for (std::size_t s = 0; s + 1 < batch.starts.size(); ++s) {
      flops += 4 * count(queries) * visible_pairs(batch.starts[s + 1] - batch.starts[s], window);
    }
  }
  return 3 * flops;
}

}  // namespace lomo
