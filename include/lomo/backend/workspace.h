#pragma once
#include <cstddef>

#include "lomo/backend/ops.h"
#include "lomo/core/tensor.h"

namespace lomo {

/// Scratch memory of each operation of one engine, in closed form and from sizes alone, like its
/// cost. The engine takes exactly this much for the time of a call (Category::workspace, one
/// block), whatever its machine can do, so that an engine that computes nothing takes the same and
/// a plan made on one machine holds on another. Arguments are those of the operation that decide;
/// what is not listed takes none.
class Workspaces {
 public:
  virtual ~Workspaces() = default;

  virtual std::size_t linear(Tensor y, Tensor x) const = 0;
  virtual std::size_t linear_backward_input(Tensor dx, Tensor dy) const = 0;
  virtual std::size_t linear_backward_weight(Tensor g, Tensor dy, Tensor x) const = 0;
  virtual std::size_t linear_backward_weights(Tensor g, Tensor dy, Tensor x,
                                              ColumnBlocks blocks) const = 0;
  virtual std::size_t sum_columns(Tensor dy) const = 0;
  virtual std::size_t rmsnorm_backward(Tensor x, Tensor dw) const = 0;
  virtual std::size_t rope(Tensor x, Tensor inv_freq) const = 0;
  virtual std::size_t attention(Heads const& heads) const = 0;
  virtual std::size_t attention_backward(Tensor q, Heads const& heads) const = 0;
  virtual std::size_t accumulate_squared_norm(Tensor g) const = 0;
  virtual std::size_t inner_product(Tensor a) const = 0;
  /// Of sgd_update and adamw_update of so many elements, which need it where the plan asks for
  /// rounding statistics.
  virtual std::size_t rounding_stats(Tensor g, RoundingPlan const& plan) const = 0;
  virtual std::size_t square_sums(Tensor g) const = 0;
  virtual std::size_t adalomo_statistics(Tensor g) const = 0;
  virtual std::size_t adalomo_update(Tensor g, RoundingPlan const& plan) const = 0;
};

}  // namespace lomo
