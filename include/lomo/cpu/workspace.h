#pragma once
#include <algorithm>
#include <cstdint>

#include "lomo/backend/workspace.h"

namespace lomo {

/// How the CPU engine cuts its work up, as far as its scratch depends on it.
namespace workspace {

/// A block is handed out in chunks aligned to this.
inline constexpr std::size_t kAlignment = 64;
/// Bytes of `numel` elements as a chunk of a block.
constexpr std::size_t chunk(std::int64_t numel, DType type) {
  const std::size_t bytes = static_cast<std::size_t>(numel) * size_of(type);
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

// ---- products

/// Tiles that operands are copied to where the matrix library cannot take them as they are, f32.
inline constexpr std::int64_t kTile = 512;        // rows and columns of the result
inline constexpr std::int64_t kTileDepth = 1024;  // of the sum
/// Most scratch of the matrix library a thread; a primitive that wants more is not used.
inline constexpr std::size_t kLibraryBytes = std::size_t{4} << 20;
/// Rows summed up in one product of a weight gradient: bounds the packed copies of a long batch.
inline constexpr std::int64_t kDepth = 4096;
/// Rows of a weight gradient, and columns of an f32 result of `linear`, in one product where
/// extents change an element's bits.
inline constexpr std::int64_t kPanel = 128;

/// What the matrix library may take for c (m,n) = a (m,k) b (k,n): each thread a padded f32 copy of
/// all three, at most kLibraryBytes.
std::size_t library(std::int64_t m, std::int64_t n, std::int64_t k, int threads);

// ---- block

/// Sums over rows (of a norm's dw, of a bias) are of at most so many runs of at least so many rows,
/// each in order, then of the runs in order.
inline constexpr std::int64_t kMaxRuns = 64;
inline constexpr std::int64_t kMinRunRows = 16;
struct RowRuns {
  std::int64_t rows, count;  // rows of a run, runs
};
constexpr RowRuns row_runs(std::int64_t rows) {
  const std::int64_t run = std::max(kMinRunRows, (rows + kMaxRuns - 1) / kMaxRuns);
  return {run, (rows + run - 1) / run};
}

/// Rows whose sines and cosines are kept at once.
inline constexpr std::int64_t kRopeRows = 256;

/// Rows of a chunk of attention, of the block it meets at a time, and of a panel in registers.
inline constexpr std::int64_t kChunkRows = 128;
inline constexpr std::int64_t kBlockRows = 64;
inline constexpr std::int64_t kPanelLanes = 32;
/// f32 values one thread needs: four chunks and two blocks of D columns, the scores and their
/// gradients of one panel, and three rows of statistics.
constexpr std::int64_t attention_values(std::int64_t width) {
  return (4 * kChunkRows + 2 * kBlockRows) * width + 2 * kBlockRows * kPanelLanes + 4 * kChunkRows +
         64;
}

// ---- gradients and updates

/// Columns of a row that are summed as one.
inline constexpr std::int64_t kSumColumns = 16384;
/// Rows whose columns are summed as one.
inline constexpr std::int64_t kSumRows = 64;

}  // namespace workspace

/// Of the CPU engine with so many threads.
class CpuWorkspaces final : public Workspaces {
 public:
  explicit CpuWorkspaces(int threads) : threads_(threads) {}

  std::size_t linear(Tensor y, Tensor x) const override;
  std::size_t linear_backward_input(Tensor dx, Tensor dy) const override;
  /// Packed copies of column blocks, or a panel of each factor and of the sum; and the product.
  std::size_t linear_backward_weight(Tensor g, Tensor dy, Tensor x) const override;
  /// That of a block, and its f32 sum where g is of 16 bits.
  std::size_t linear_backward_weights(Tensor g, Tensor dy, Tensor x,
                                      ColumnBlocks blocks) const override;
  /// (runs,O) f32 partial sums.
  std::size_t sum_columns(Tensor dy) const override;
  /// (runs,C) f32 partial sums, if dw is wanted.
  std::size_t rmsnorm_backward(Tensor x, Tensor dw) const override;
  std::size_t rope(Tensor x, Tensor inv_freq) const override;
  std::size_t attention(Heads const& heads) const override;
  /// Also (Nq,H) f32, the row sums of dout * out.
  std::size_t attention_backward(Tensor q, Heads const& heads) const override;
  /// Two f64 sums for each kSumColumns columns of each row.
  std::size_t accumulate_squared_norm(Tensor g) const override;
  /// Three f64 sums, cut likewise.
  std::size_t inner_product(Tensor a) const override;
  /// Four f64 sums, cut likewise.
  std::size_t rounding_stats(Tensor g, RoundingPlan const& plan) const override;
  /// (runs of kSumRows rows, I) f64.
  std::size_t square_sums(Tensor g) const override;
  /// The column factors (I) f32, and the sums as in `accumulate_squared_norm`.
  std::size_t adalomo_statistics(Tensor g) const override;
  /// The column factors (I) f32, and the rounding statistics.
  std::size_t adalomo_update(Tensor g, RoundingPlan const& plan) const override;

 private:
  /// The product by the library or by tiles, whichever takes more.
  std::size_t product(std::int64_t m, std::int64_t n, std::int64_t k) const;

  int threads_;
};

}  // namespace lomo
