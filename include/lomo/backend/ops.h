#pragma once
#include <cstdint>

#include "lomo/core/random.h"
#include "lomo/core/tensor.h"

/// Argument structs of the operations in backend.h.
namespace lomo {

/// Sequences laid end to end in the rows of a matrix. Sequence s owns rows
/// [starts[s], starts[s + 1]); row r stands at position positions[r] of its sequence.
/// Attention pairs sequence s of the query rows with sequence s of the key rows.
struct Sequences {
  Tensor starts;             // (S + 1) i32
  Tensor positions;          // (rows) i32
  std::int64_t longest = 0;  // rows of the longest sequence, known on the host
  std::int64_t count() const { return starts.rows() - 1; }
};

/// Blocks of equally many columns of a matrix, which begin `stride` columns apart.
struct ColumnBlocks {
  std::int64_t count = 1;   // B
  std::int64_t stride = 0;  // at least their width where there are several
};

/// Heads of an attention: query head h reads key/value head h / (query / key_value).
struct Heads {
  std::int64_t query = 0;      // H
  std::int64_t key_value = 0;  // G, divides H
  std::int64_t width = 0;      // D, even
  float scale = 0;             // of the scores, usually 1 / sqrt(D)
  std::int64_t window = 0;     // keys a query sees at most, its own position's among them; 0: all
};

enum class Rotation : std::uint8_t { forward, inverse };

/// How a rotary embedding lies in its heads.
struct RopeHeads {
  std::int64_t width = 0;  // D; 0: twice the number of frequencies, all of a head turns
  float scale = 1;         // of what turns (yarn's attention factor)
};

enum class Rounding : std::uint8_t { nearest, stochastic };

/// How a raw gradient becomes the one that is applied, elementwise and in this order (as the
/// published LOMO does): g' = coefficient * clamp(scale * g, -clip_value, +clip_value).
struct GradientScaling {
  float scale = 1;        // 1 / loss scale
  float clip_value = 0;   // 0: no value clipping
  float coefficient = 1;  // of the global-norm clipping
};

/// Where the elements of an update stand in their Hugging Face tensor, for stochastic rounding.
/// Element (i, j) of the tensor passed has index first + row * cols + j, where row is i, or
/// rows[i] when the op has a row list.
struct RoundingPlan {
  Rounding mode = Rounding::nearest;
  RandomKey key;
  std::int64_t first = 0;
  /// (4) f64 or none: adds, over the elements of the update, what rounding made of it. With old and
  /// new the stored weight before and after and x the updated weight in f32, before it is rounded:
  ///   rounding_stats[0]  elements with x != old       rounding_stats[1]  elements with new != old
  ///   rounding_stats[2]  sum of (new - old) (x - old) rounding_stats[3]  sum of (x - old)^2
  /// so that rounding_stats[2] / rounding_stats[3] is the share of the intended step that was
  /// realised: its projection on the step that an f32 weight would have taken. Changes no bit of
  /// the weight; takes about as long as the update again.
  Tensor rounding_stats = {};
};

}  // namespace lomo
