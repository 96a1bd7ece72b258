#pragma once
// One chunk of attention. Included by the kernel files only; see vector_math.h.
//
// The chunk's rows are vector lanes: a chunk is cut into panels of up to two vectors of rows, kept
// transposed as (D, lanes), and every product is (rows of a block) x (lanes of a panel), whose left
// factor is read element by element and whose right factor lies in the first-level cache. Softmax
// then works down the lanes and nothing is summed across them.
#include "kernels.h"
#include "panels.h"
#include "vector_math.h"

namespace lomo::cpu {
namespace {

constexpr std::int32_t kBeforeAll = -1;  // position of a lane that sees nothing

/// Whether no query of a range sees a key of another, and whether some see only some.
bool apart(Range queries, Range keys, std::int32_t window) {
  return keys.minimum > queries.maximum || keys.maximum <= queries.minimum - window;
}
bool partly(Range queries, Range keys, std::int32_t window) {
  return keys.maximum > queries.minimum || keys.minimum <= queries.maximum - window;
}

/// Takes one block of keys into the running softmax of a panel.   scores (keys, lanes);
/// o (D, lanes), max, sum (lanes);  v (keys, D). Lane i sees key j when k_positions[j] is not above
/// its own nor `window` or more below.
template <int kVecs>
void attend_block(float* scores, float* o, float* max, float* sum, float const* q, float const* k,
                  float const* v, std::int32_t const* q_positions, std::int32_t const* k_positions,
                  std::int64_t keys, std::int64_t width, std::int32_t window, bool masked) {
  constexpr int kWidth = kVecs * kLanes;
  const float minimum = -__builtin_inff();
  product<kVecs, false, false>(scores, k, width, q, keys, width);
  for (int part = 0; part < kWidth; part += kLanes) {
    const IntVec seen = load(q_positions + part), unseen = seen - splat(window);
    const Vec before = load(max + part);
    Vec maximum = before;
    for (std::int64_t j = 0; j < keys; ++j) {
      float* at = scores + j * kWidth + part;
      Vec s = load(at);
      if (masked) {
        const IntVec there = splat(k_positions[j]);
        s = ((there <= seen) & (there > unseen)) ? s : splat(minimum);
        store(at, s);
      }
      maximum = s > maximum ? s : maximum;
    }
    const Vec row_max =
        maximum == splat(minimum) ? Vec{} : maximum;  // a lane that has seen nothing yet
    const Vec rescale = exp_of(before - row_max);
    Vec total = load(sum + part) * rescale;
    for (std::int64_t j = 0; j < keys; ++j) {
      float* at = scores + j * kWidth + part;
      const Vec p = exp_of(load(at) - row_max);
      store(at, p);
      total += p;
    }
    store(max + part, maximum);
    store(sum + part, total);
    for (std::int64_t d = 0; d < width; ++d) {
      float* at = o + d * kWidth + part;
      store(at, load(at) * rescale);
    }
  }
  product<kVecs, true, true>(o, v, width, scores, width, keys);
}

template <class T>
void attention_chunk(AttentionChunk<T> const& s) {
  const std::int64_t chunk = kChunkRows * s.width;
  float* const q = s.scratch;
  float* const o = q + chunk;
  float* const k = o + chunk;
  float* const v = k + kBlockRows * s.width;
  float* const scores = v + kBlockRows * s.width;
  float* const max = scores + kBlockRows * kMaxPanelLanes;
  float* const sum = max + kChunkRows;
  auto* const seen = reinterpret_cast<std::int32_t*>(sum + kChunkRows);
  const Range chunk_range = range_of(s.q_positions, s.queries);

  for (std::int64_t i = 0; i < kChunkRows; ++i) {
    max[i] = -__builtin_inff();
    sum[i] = 0;
    seen[i] = i < s.queries ? s.q_positions[i] : kBeforeAll;
  }
  by_panels(s.queries, [&](Panel p) {
    pack_panel(q + p.first * s.width, s.q + p.first * s.q_pitch, s.q_pitch, p.count, s.width,
               p.lanes, s.scale);
    for (std::int64_t i = 0; i < s.width * p.lanes; ++i) o[p.first * s.width + i] = 0;
  });
  for (std::int64_t j = 0; j < s.keys; j += kBlockRows) {
    const std::int64_t keys = s.keys - j < kBlockRows ? s.keys - j : kBlockRows;
    const Range block = range_of(s.k_positions + j, keys);
    if (apart(chunk_range, block, s.window)) continue;
    pack_block(k, s.k + j * s.k_pitch, s.k_pitch, keys, s.width, 1.0f);
    pack_block(v, s.v + j * s.v_pitch, s.v_pitch, keys, s.width, 1.0f);
    by_panels(s.queries, [&](Panel p) {
      const Range rows = range_of(s.q_positions + p.first, p.count);
      if (apart(rows, block, s.window)) return;
      const bool masked = partly(rows, block, s.window);
      const auto attend = p.lanes == kLanes ? attend_block<1> : attend_block<2>;
      attend(scores, o + p.first * s.width, max + p.first, sum + p.first, q + p.first * s.width, k,
             v, seen + p.first, s.k_positions + j,
             without_later(s.k_positions + j, keys, rows.maximum), s.width, s.window, masked);
    });
  }
  for (std::int64_t i = 0; i < s.queries; ++i) {
    s.lse[i * s.lse_pitch] = max[i] + __builtin_logf(sum[i]);  // -inf for a row that saw nothing
    sum[i] = sum[i] == 0 ? 0.0f : 1.0f / sum[i];
  }
  by_panels(s.queries, [&](Panel p) {
    unpack_panel(s.out + p.first * s.out_pitch, s.out_pitch, o + p.first * s.width, p.count,
                 s.width, p.lanes, sum + p.first);
  });
}

/// scores, grads (others, lanes) become P = exp(scores - lse) and dS = P (grads - delta).
/// kLanesAreQueries: lse, delta and the first positions run along lanes and the others are keys;
/// else the others are queries with statistics a pitch apart.
template <int kVecs, bool kLanesAreQueries>
void softmax_backward_block(float* scores, float* grads, float const* lse, float const* delta,
                            std::int64_t lse_pitch, std::int64_t delta_pitch,
                            std::int32_t const* lane_positions, std::int32_t const* other_positions,
                            std::int64_t others, std::int32_t window, bool masked) {
  constexpr int kWidth = kVecs * kLanes;
  for (int part = 0; part < kWidth; part += kLanes) {
    const IntVec here = load(lane_positions + part);
    Vec lane_lse{}, lane_delta{};
    if (kLanesAreQueries) {
      lane_lse = load(lse + part);
      lane_delta = load(delta + part);
    }
    for (std::int64_t j = 0; j < others; ++j) {
      const Vec l = kLanesAreQueries ? lane_lse : splat(lse[j * lse_pitch]);
      const Vec d = kLanesAreQueries ? lane_delta : splat(delta[j * delta_pitch]);
      float* const score = scores + j * kWidth + part;
      float* const grad = grads + j * kWidth + part;
      Vec p = exp_of(load(score) - l);
      Vec g = p * (load(grad) - d);
      if (masked) {
        const IntVec there = splat(other_positions[j]);
        const IntVec query = kLanesAreQueries ? here : there, key = kLanesAreQueries ? there : here;
        const IntVec sees = (key <= query) & (key > query - splat(window));
        p = sees ? p : Vec{};
        g = sees ? g : Vec{};
      }
      store(score, p);
      store(grad, g);
    }
  }
}

/// dq of a chunk of queries:  dq = scale * sum over keys of dS k.
template <class T>
void attention_backward_queries_chunk(AttentionChunk<T> const& s) {
  const std::int64_t chunk = kChunkRows * s.width;
  float* const q = s.scratch;
  float* const dout = q + chunk;
  float* const dq = dout + chunk;
  float* const k = dq + chunk + chunk;
  float* const v = k + kBlockRows * s.width;
  float* const scores = v + kBlockRows * s.width;
  float* const grads = scores + kBlockRows * kMaxPanelLanes;
  float* const lse = grads + kBlockRows * kMaxPanelLanes;
  float* const delta = lse + kChunkRows;
  float* const scales = delta + kChunkRows;
  auto* const seen = reinterpret_cast<std::int32_t*>(scales + kChunkRows);
  const Range chunk_range = range_of(s.q_positions, s.queries);

  for (std::int64_t i = 0; i < kChunkRows; ++i) {
    const bool row = i < s.queries;
    lse[i] = row ? s.lse[i * s.lse_pitch] : 0.0f;
    delta[i] = row ? s.delta[i * s.delta_pitch] : 0.0f;
    seen[i] = row ? s.q_positions[i] : kBeforeAll;
    scales[i] = s.scale;
  }
  by_panels(s.queries, [&](Panel p) {
    const std::int64_t at = p.first * s.width;
    pack_panel(q + at, s.q + p.first * s.q_pitch, s.q_pitch, p.count, s.width, p.lanes, s.scale);
    pack_panel(dout + at, s.dout + p.first * s.dout_pitch, s.dout_pitch, p.count, s.width, p.lanes,
               1.0f);
    for (std::int64_t i = 0; i < s.width * p.lanes; ++i) dq[at + i] = 0;
  });
  for (std::int64_t j = 0; j < s.keys; j += kBlockRows) {
    const std::int64_t keys = s.keys - j < kBlockRows ? s.keys - j : kBlockRows;
    const Range block = range_of(s.k_positions + j, keys);
    if (apart(chunk_range, block, s.window)) continue;
    pack_block(k, s.k + j * s.k_pitch, s.k_pitch, keys, s.width, 1.0f);
    pack_block(v, s.v + j * s.v_pitch, s.v_pitch, keys, s.width, 1.0f);
    const auto panel = [&]<int kVecs>(Panel p) {
      const Range rows = range_of(s.q_positions + p.first, p.count);
      if (apart(rows, block, s.window)) return;
      const std::int64_t at = p.first * s.width;
      const std::int64_t seen_keys = without_later(s.k_positions + j, keys, rows.maximum);
      product<kVecs, false, false>(scores, k, s.width, q + at, seen_keys, s.width);
      product<kVecs, false, false>(grads, v, s.width, dout + at, seen_keys, s.width);
      softmax_backward_block<kVecs, true>(scores, grads, lse + p.first, delta + p.first, 1, 1,
                                          seen + p.first, s.k_positions + j, seen_keys, s.window,
                                          partly(rows, block, s.window));
      product<kVecs, true, true>(dq + at, k, s.width, grads, s.width, seen_keys);
    };
    by_panels(s.queries, [&](Panel p) {
      p.lanes == kLanes ? panel.template operator()<1>(p) : panel.template operator()<2>(p);
    });
  }
  by_panels(s.queries, [&](Panel p) {
    unpack_panel(s.out + p.first * s.out_pitch, s.out_pitch, dq + p.first * s.width, p.count,
                 s.width, p.lanes, scales);
  });
}

/// dk, dv of a chunk of keys:  dv = sum over query heads and queries of P dout,
/// dk = sum of dS (scale q).
template <class T>
void attention_backward_keys_chunk(AttentionChunk<T> const& s) {
  const std::int64_t chunk = kChunkRows * s.width;
  float* const k = s.scratch;
  float* const v = k + chunk;
  float* const dk = v + chunk;
  float* const dv = dk + chunk;
  float* const q = dv + chunk;
  float* const dout = q + kBlockRows * s.width;
  float* const scores = dout + kBlockRows * s.width;
  float* const grads = scores + kBlockRows * kMaxPanelLanes;
  float* const ones = grads + kBlockRows * kMaxPanelLanes;
  auto* const here = reinterpret_cast<std::int32_t*>(ones + kChunkRows);
  const Range chunk_range = range_of(s.k_positions, s.keys);

  for (std::int64_t i = 0; i < kChunkRows; ++i) {
    here[i] = i < s.keys ? s.k_positions[i] : INT32_MAX;
    ones[i] = 1.0f;
  }
  by_panels(s.keys, [&](Panel p) {
    const std::int64_t at = p.first * s.width;
    pack_panel(k + at, s.k + p.first * s.k_pitch, s.k_pitch, p.count, s.width, p.lanes, 1.0f);
    pack_panel(v + at, s.v + p.first * s.v_pitch, s.v_pitch, p.count, s.width, p.lanes, 1.0f);
    for (std::int64_t i = 0; i < s.width * p.lanes; ++i) dk[at + i] = dv[at + i] = 0;
  });
  for (std::int64_t head = 0; head < s.heads; ++head) {
    for (std::int64_t j = 0; j < s.queries; j += kBlockRows) {
      const std::int64_t rows = s.queries - j < kBlockRows ? s.queries - j : kBlockRows;
      const Range block = range_of(s.q_positions + j, rows);
      if (apart(block, chunk_range, s.window)) continue;
      pack_block(q, s.q + j * s.q_pitch + head * s.width, s.q_pitch, rows, s.width, s.scale);
      pack_block(dout, s.dout + j * s.dout_pitch + head * s.width, s.dout_pitch, rows, s.width,
                 1.0f);
      float const* const lse = s.lse + j * s.lse_pitch + head;
      float const* const delta = s.delta + j * s.delta_pitch + head;
      const auto panel = [&]<int kVecs>(Panel p) {
        const Range keys = range_of(s.k_positions + p.first, p.count);
        if (apart(block, keys, s.window)) return;
        const std::int64_t at = p.first * s.width;
        // Queries before the panel's first key see none of it.
        const std::int64_t early = count_earlier(s.q_positions + j, rows, keys.minimum);
        const std::int64_t left = rows - early;
        float const* const q_seeing = q + early * s.width;
        float const* const dout_seeing = dout + early * s.width;
        product<kVecs, false, false>(scores, q_seeing, s.width, k + at, left, s.width);
        product<kVecs, false, false>(grads, dout_seeing, s.width, v + at, left, s.width);
        softmax_backward_block<kVecs, false>(
            scores, grads, lse + early * s.lse_pitch, delta + early * s.delta_pitch, s.lse_pitch,
            s.delta_pitch, here + p.first, s.q_positions + j + early, left, s.window,
            partly(block, keys, s.window));
        product<kVecs, true, true>(dv + at, dout_seeing, s.width, scores, s.width, left);
        product<kVecs, true, true>(dk + at, q_seeing, s.width, grads, s.width, left);
      };
      by_panels(s.keys, [&](Panel p) {
        p.lanes == kLanes ? panel.template operator()<1>(p) : panel.template operator()<2>(p);
      });
    }
  }
  by_panels(s.keys, [&](Panel p) {
    const std::int64_t at = p.first * s.width;
    unpack_panel(s.dk + p.first * s.dk_pitch, s.dk_pitch, dk + at, p.count, s.width, p.lanes, ones);
    unpack_panel(s.dv + p.first * s.dv_pitch, s.dv_pitch, dv + at, p.count, s.width, p.lanes, ones);
  });
}

}  // namespace
}  // namespace lomo::cpu
