#pragma once
#include <cstdint>
#include <span>
#include <utility>

#include "lomo/optim/gradient_sink.h"
#include "lomo/parallel/weight_gatherer.h"

namespace lomo {

/// Members [first, first + count) of a linear layer.
struct LinearPart {
  std::size_t first = 0, count = kAllMembers;
};

/// A linear layer: matrices (O,I) side by side that read the same input, one product for all of
/// them, y (N, sum of O) = x (N,I) w^T. Forward, backward and the offer of its gradient take all
/// members, or `part` of them where some have rows of their own (the queries of a last block).
struct Linear {
  ParameterGroup weight;

  using Part = LinearPart;
  std::int64_t outputs(Part part = {}) const { return stack(part).rows(); }

  /// y = x w^T [+ residual]; `residual` may be y.
  void forward(WeightGatherer& gatherer, Tensor y, Tensor x, Tensor residual = {},
               Part part = {}) const {
    gatherer.linear(y, x, stack(part), residual);
  }
  /// dx (N,I) = dy (N,O) w, or adds to dx.
  void backward_input(WeightGatherer& gatherer, Tensor dx, Tensor dy, Part part = {},
                      bool accumulate = false) const {
    gatherer.linear_backward_input(dx, dy, stack(part), accumulate);
  }
  /// Offers dW = dy^T x, if anyone wants it. `rows_of_rank` as in LinearOffer; `last`: no other
  /// part follows in this backward.
  void offer(GradientSink& sink, Factor dy, Factor x, std::span<std::int64_t const> rows_of_rank,
             Part part = {}, bool last = true) {
    if (!sink.requires_grad(weight)) return;
    sink.offer(weight,
               LinearOffer{std::move(dy), std::move(x), rows_of_rank, part.first, part.count},
               last);
  }

 private:
  Stack stack(Part part) const { return {weight, part.first, part.count}; }
};

}  // namespace lomo
