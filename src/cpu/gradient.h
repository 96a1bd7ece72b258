#pragma once
#include <algorithm>
#include <bit>
#include <cstdint>

#include "kernels/update_formulas.h"
#include "lomo/backend/ops.h"
#include "lomo/core/tensor.h"
#include "lomo/cpu/workspace.h"
#include "vector_loop.h"

/// What the updates share: the scaled gradient, the guard, and the cutting of matrices into chunks
/// of rows that do not depend on the number of threads.
namespace lomo::cpu {

using formulas::ScaledGradient;
inline ScaledGradient scaled_gradient(GradientScaling const& g) {
  return ScaledGradient::of(g.scale, g.clip_value, g.coefficient);
}

/// True when the guard, if any, forbids the update.
inline bool blocked(Tensor found_inf) {
  return found_inf && found_inf.data<double>()[1] != 0;
}

LOMO_INLINE inline bool finite(float x) {
  return (std::bit_cast<std::uint32_t>(x) & 0x7f800000u) != 0x7f800000u;
}

/// The chunks a matrix is worked on in: at most kWidth columns of one row each.
struct Chunks {
  static constexpr std::int64_t kWidth = workspace::kSumColumns;
  explicit Chunks(Tensor t)
      : cols(t.cols()), across((t.cols() + kWidth - 1) / kWidth), count(t.rows() * across) {}
  struct Chunk {
    std::int64_t row, col, width;
  };
  Chunk operator[](std::int64_t i) const {
    const std::int64_t col = i % across * kWidth;
    return {i / across, col, std::min(kWidth, cols - col)};
  }
  std::int64_t cols, across, count;
};

/// A dense matrix as one long row, so that narrow ones are cut into full chunks too.
inline Tensor flat(Tensor t) {
  return t.reshaped(Shape(1, t.numel()));
}

template <class T>
T* at(Tensor t, Chunks::Chunk const& p) {
  return t.data<T>() + p.row * t.pitch() + p.col;
}

}  // namespace lomo::cpu
