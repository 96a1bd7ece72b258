#pragma once
#include <cstdint>

#include "lomo/backend/workspace.h"

namespace lomo {

/// How the CUDA engine cuts its products up, as far as its scratch depends on it.
namespace workspace::cuda {

/// What cuBLASLt may take in a product, the same on every GPU.
inline constexpr std::size_t kLibraryBytes = std::size_t{32} << 20;
/// Packed rows begin at multiples of so many elements, which are 16 bytes of any type.
inline constexpr std::int64_t kPackedColumns = 8;

/// Elements from one row to the next of a packed copy with so many columns.
constexpr std::int64_t packed_pitch(std::int64_t cols) {
  return (cols + kPackedColumns - 1) / kPackedColumns * kPackedColumns;
}
/// False where dy (N,O) may have rows that are not 16-byte aligned, by its sizes alone: a weight
/// gradient then gets room to pack it.
inline bool surely_aligned(Tensor dy) {
  return dy.dense() && dy.pitch() % kPackedColumns == 0;
}

}  // namespace workspace::cuda

/// Of the CUDA engine, whatever the GPU.
class CudaWorkspaces final : public Workspaces {
 public:
  std::size_t linear(Tensor y, Tensor x) const override;
  std::size_t linear_backward_input(Tensor dx, Tensor dy) const override;
  /// cuBLASLt's, and dy packed where it may be needed.
  std::size_t linear_backward_weight(Tensor g, Tensor dy, Tensor x) const override;
  /// That of a block: those that are not aligned are packed and multiplied one by one.
  std::size_t linear_backward_weights(Tensor g, Tensor dy, Tensor x,
                                      ColumnBlocks blocks) const override;
  std::size_t sum_columns(Tensor dy) const override;
  std::size_t rmsnorm_backward(Tensor x, Tensor dw) const override;
  std::size_t rope(Tensor, Tensor) const override { return 0; }
  std::size_t attention(Heads const&) const override { return 0; }
  std::size_t attention_backward(Tensor q, Heads const& heads) const override;
  std::size_t accumulate_squared_norm(Tensor g) const override;
  std::size_t inner_product(Tensor a) const override;
  std::size_t rounding_stats(Tensor g, RoundingPlan const& plan) const override;
  std::size_t square_sums(Tensor g) const override;
  std::size_t adalomo_statistics(Tensor g) const override;
  std::size_t adalomo_update(Tensor g, RoundingPlan const& plan) const override;
};

}  // namespace lomo
