#pragma once
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "lomo/core/random.h"

namespace lomo {

/// The indices [0, count) in the random order that `key` names.
inline std::vector<std::int64_t> shuffled(std::int64_t count, RandomKey key) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  RandomStream stream(key);
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[stream.below(i)]);
  return order;
}

}  // namespace lomo
