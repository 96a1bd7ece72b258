#pragma once
// What the tests of the engine's attention and of the kernels' have in common.
#include <cstdint>
#include <vector>

#include "reference/ops.h"
#include "support/tensors.h"

namespace lomo::test::attention {

struct Case {
  char const* name;
  reference::Rows q, k;
  std::int64_t heads, kv_heads, width;
  std::int64_t window = 0;  // 0: none
};

/// Rows of sequences of these lengths, each at positions 0, 1, ...
inline reference::Rows ragged(std::vector<std::int32_t> const& lengths) {
  reference::Rows rows{{0}, {}};
  for (const std::int32_t n : lengths) {
    rows.starts.push_back(rows.starts.back() + n);
    for (std::int32_t i = 0; i < n; ++i) rows.positions.push_back(i);
  }
  return rows;
}

inline reference::Rows many_short() {
  return ragged({1, 2, 1, 17, 0, 33, 5, 64, 1});
}

/// Queries of the last rows only, queries before the first key, sequences without either, positions
/// that fall; and the keys they belong to.
inline reference::Rows some_queries() {
  return {{0, 2, 4, 4, 5, 7}, {70, 139, 1, 8, 3, 0, 1}};
}
inline reference::Rows key_stride() {
  reference::Rows keys{{0, 140, 143, 145, 145, 147}, {}};
  for (std::int32_t i = 0; i < 140; ++i) keys.positions.push_back(i);
  for (const std::int32_t p : {4, 5, 6, 0, 1, 1, 0}) keys.positions.push_back(p);
  return keys;
}

struct Inputs {
  std::vector<float> q, k, v, dout;
};
inline Inputs inputs_of(Case const& c, DType type, float scale) {
  const auto nq = static_cast<std::int64_t>(c.q.positions.size());
  const auto nk = static_cast<std::int64_t>(c.k.positions.size());
  const auto take = [&](char const* name, std::int64_t n, float s) {
    return rounded(random_values(name, n, s), type);
  };
  return {take("q", nq * c.heads * c.width, scale), take("k", nk * c.kv_heads * c.width, scale),
          take("v", nk * c.kv_heads * c.width, 1), take("dout", nq * c.heads * c.width, 1)};
}

}  // namespace lomo::test::attention
