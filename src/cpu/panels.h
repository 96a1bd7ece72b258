#pragma once
// Small dense products with vector lanes as columns, and what lays rows out for them. Included by
// the kernel files only; see vector_math.h and attention_kernels.h.
#include "kernels.h"
#include "vector_math.h"

namespace lomo::cpu {
namespace {

/// c (kRows, lanes) = or += a b, lanes = kVecs kLanes.   a(m, t) stands at a[m * lda + t], or at
/// a[t * lda + m] when kTransposed;  b (depth, lanes).
template <int kRows, int kVecs, bool kTransposed, bool kAdd>
LOMO_KERNEL void product_tile(float* c, float const* a, std::int64_t lda, float const* b,
                              std::int64_t depth) {
  constexpr int kWidth = kVecs * kLanes;
  Vec sum[kRows][kVecs];
#pragma GCC unroll 16
  for (int m = 0; m < kRows; ++m) {
#pragma GCC unroll 2
    for (int v = 0; v < kVecs; ++v) sum[m][v] = kAdd ? load(c + m * kWidth + v * kLanes) : Vec{};
  }
  for (std::int64_t t = 0; t < depth; ++t) {
    Vec right[kVecs];
#pragma GCC unroll 2
    for (int v = 0; v < kVecs; ++v) right[v] = load(b + t * kWidth + v * kLanes);
#pragma GCC unroll 16
    for (int m = 0; m < kRows; ++m) {
      const Vec left = splat(kTransposed ? a[t * lda + m] : a[m * lda + t]);
#pragma GCC unroll 2
      for (int v = 0; v < kVecs; ++v) sum[m][v] += left * right[v];
    }
  }
#pragma GCC unroll 16
  for (int m = 0; m < kRows; ++m) {
#pragma GCC unroll 2
    for (int v = 0; v < kVecs; ++v) store(c + m * kWidth + v * kLanes, sum[m][v]);
  }
}

/// Rows of a tile: with two vectors a row, its sums and one row of b fit the registers (32 with
/// AVX-512, else 16).
constexpr int kTileRows = kLanes == 16 ? 8 : 6;

/// The same for any number of rows. An element's bits do not depend on the tile it falls into.
template <int kVecs, bool kTransposed, bool kAdd>
void product(float* c, float const* a, std::int64_t lda, float const* b, std::int64_t rows,
             std::int64_t depth) {
  constexpr int kWidth = kVecs * kLanes;
  const std::int64_t step = kTransposed ? 1 : lda;
  std::int64_t m = 0;
  for (; m + kTileRows <= rows; m += kTileRows) {
    product_tile<kTileRows, kVecs, kTransposed, kAdd>(c + m * kWidth, a + m * step, lda, b, depth);
  }
  if (rows - m >= 4) {
    product_tile<4, kVecs, kTransposed, kAdd>(c + m * kWidth, a + m * step, lda, b, depth);
    m += 4;
  }
  if (rows - m >= 2) {
    product_tile<2, kVecs, kTransposed, kAdd>(c + m * kWidth, a + m * step, lda, b, depth);
    m += 2;
  }
  if (rows > m)
    product_tile<1, kVecs, kTransposed, kAdd>(c + m * kWidth, a + m * step, lda, b, depth);
}

/// Least and greatest of positions[0, n).
struct Range {
  std::int32_t minimum, maximum;
};
Range range_of(std::int32_t const* positions, std::int64_t n) {
  Range r{positions[0], positions[0]};
  for (std::int64_t i = 1; i < n; ++i) {
    if (positions[i] < r.minimum) r.minimum = positions[i];
    if (positions[i] > r.maximum) r.maximum = positions[i];
  }
  return r;
}

/// How many of positions[0, n) are left when those at the end that are beyond `maximum` are
/// dropped: under a causal mask, the keys that some row of a panel sees.
std::int64_t without_later(std::int32_t const* positions, std::int64_t n, std::int32_t maximum) {
  while (n > 0 && positions[n - 1] > maximum) --n;
  return n;
}
/// How many of positions[0, n) at the front are below `minimum`: queries that see no key of a
/// panel.
std::int64_t count_earlier(std::int32_t const* positions, std::int64_t n, std::int32_t minimum) {
  std::int64_t i = 0;
  while (i < n && positions[i] < minimum) ++i;
  return i;
}

/// panel (D, lanes) = scale * rows (count, D) transposed; lanes without a row are zero.
template <class T>
void pack_panel(float* panel, T const* rows, std::int64_t pitch, std::int64_t count,
                std::int64_t width, int lanes, float scale) {
  for (std::int64_t d = 0; d < width; ++d) {
    float* to = panel + d * lanes;
    for (std::int64_t i = 0; i < count; ++i) to[i] = scale * load_one(rows + i * pitch + d);
    for (std::int64_t i = count; i < lanes; ++i) to[i] = 0.0f;
  }
}

/// rows (count, D) = panel transposed, lane i scaled by scales[i].
template <class T>
void unpack_panel(T* rows, std::int64_t pitch, float const* panel, std::int64_t count,
                  std::int64_t width, int lanes, float const* scales) {
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t d = 0; d < width; ++d) {
      store_one(rows + i * pitch + d, panel[d * lanes + i] * scales[i]);
    }
  }
}

/// block (count, D) = scale * rows.
template <class T>
void pack_block(float* block, T const* rows, std::int64_t pitch, std::int64_t count,
                std::int64_t width, float scale) {
  for (std::int64_t i = 0; i < count; ++i) {
    by_lanes(width, [&](std::int64_t d, int n) LOMO_KERNEL_LAMBDA {
      store(block + i * width + d, load(rows + i * pitch + d, n) * scale, n);
    });
  }
}

/// A panel's share of the chunk: rows [first, first + count) in `lanes` = kLanes or 2 kLanes lanes.
struct Panel {
  std::int64_t first, count;
  int lanes;
};
constexpr int kPanelLanes = 2 * kLanes;
static_assert(kPanelLanes <= kMaxPanelLanes && kChunkRows % kPanelLanes == 0);

/// f(panel) for each panel of a chunk of `rows` rows.
template <class F>
LOMO_KERNEL void by_panels(std::int64_t rows, F f) {
  for (std::int64_t first = 0; first < rows; first += kPanelLanes) {
    const std::int64_t count = rows - first < kPanelLanes ? rows - first : kPanelLanes;
    f(Panel{first, count, count <= kLanes ? kLanes : kPanelLanes});
  }
}

}  // namespace
}  // namespace lomo::cpu
