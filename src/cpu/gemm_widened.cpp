#include <algorithm>

#include "dispatch.h"
#include "gemm.h"
#include "vector_loop.h"

// Products by f32 instructions of matrices that the library does not take: tiles of both operands
// are converted, multiplied and added up in an f32 tile of the result, which is rounded when its
// sum is complete.
namespace lomo::cpu {
namespace {

using workspace::kTile;
constexpr std::int64_t kDepth = workspace::kTileDepth;

/// The part of `o` with rows [row, row + rows) and columns [col, col + cols), as stored.
Tensor part(Gemm::Operand const& o, std::int64_t row, std::int64_t rows, std::int64_t col,
            std::int64_t cols) {
  if (o.use == Gemm::Use::plain) return o.matrix.row_block(row, rows).col_block(col, cols);
  return o.matrix.row_block(col, cols).col_block(row, rows);
}

/// A dense f32 view of the right size at the start of `scratch`.
Tensor shaped(Tensor scratch, lomo::Shape shape) {
  return scratch.row_block(0, shape.numel()).reshaped(shape);
}

void widen(Tensor to, Tensor from, int threads) {
  dispatch(from.dtype(), [&]<class T>(T) {
#pragma omp parallel for num_threads(threads)
    for (std::int64_t n = 0; n < to.rows(); ++n) {
      float* const t = to.data<float>() + n * to.pitch();
      T const* const f = from.data<T>() + n * from.pitch();
      vector_loop(0, to.cols(), [=](std::int64_t i) LOMO_INLINE { t[i] = to_float(f[i]); });
    }
  });
}

/// c = round([c +] sum).
template <class T>
void finish(Tensor c, Tensor sum, bool accumulate, int threads) {
#pragma omp parallel for num_threads(threads)
  for (std::int64_t n = 0; n < c.rows(); ++n) {
    T* const to = c.data<T>() + n * c.pitch();
    float const* const from = sum.data<float>() + n * sum.pitch();
    if (accumulate) {
      vector_loop(0, c.cols(), [=](std::int64_t i) LOMO_INLINE {
        to[i] = round_to<T>(from[i] + to_float(to[i]));
      });
    } else {
      vector_loop(0, c.cols(), [=](std::int64_t i) LOMO_INLINE { to[i] = round_to<T>(from[i]); });
    }
  }
}

}  // namespace

void Gemm::by_tiles(Tensor c, Operand a, Operand b, bool accumulate, Scratch scratch) {
  const auto take = [&scratch](std::int64_t rows, std::int64_t cols) {
    return scratch.take(lomo::Shape(rows * cols), DType::f32);
  };
  const std::int64_t m_tile = std::min(kTile, a.rows());
  const std::int64_t n_tile = std::min(kTile, b.cols());
  const std::int64_t k_tile = std::min(kDepth, a.cols());
  const Tensor a_wide = take(m_tile, k_tile);
  const Tensor b_wide = take(k_tile, n_tile);
  const Tensor sum = take(m_tile, n_tile);
  for (std::int64_t m = 0; m < a.rows(); m += kTile) {
    const std::int64_t m_count = std::min(kTile, a.rows() - m);
    for (std::int64_t n = 0; n < b.cols(); n += kTile) {
      const std::int64_t n_count = std::min(kTile, b.cols() - n);
      const Tensor tile = shaped(sum, {m_count, n_count});
      for (std::int64_t k = 0; k < a.cols(); k += kDepth) {
        const std::int64_t k_count = std::min(kDepth, a.cols() - k);
        const Tensor a_part = part(a, m, m_count, k, k_count);
        const Tensor b_part = part(b, k, k_count, n, n_count);
        const Tensor a_tile = shaped(a_wide, a_part.shape());
        const Tensor b_tile = shaped(b_wide, b_part.shape());
        widen(a_tile, a_part, threads_);
        widen(b_tile, b_part, threads_);
        if (!native(tile, {a_tile, a.use}, {b_tile, b.use}, k > 0, scratch)) {
          throw Error("oneDNN wants more than " + std::to_string(workspace::kLibraryBytes >> 20) +
                      " MiB of scratch a thread for a product " + tile.shape().str() + " over " +
                      std::to_string(k_count) + "; install another version of it");
        }
      }
      const Tensor out = c.row_block(m, m_count).col_block(n, n_count);
      dispatch(c.dtype(), [&]<class T>(T) { finish<T>(out, tile, accumulate, threads_); });
    }
  }
}

}  // namespace lomo::cpu
