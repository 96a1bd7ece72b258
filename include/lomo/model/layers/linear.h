#pragma once
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "lomo/optim/gradient_sink.h"
#include "lomo/parallel/weight_gatherer.h"

namespace lomo {

/// Members [first, first + count) of a linear layer.
struct LinearPart {
  std::size_t first = 0, count = kAllMembers;
};

/// A linear layer: matrices (O,I) side by side that read the same input, one product for all of
/// them, y (N, sum of O) = x (N,I) w^T + b. Forward, backward and the offer of its gradient take
/// all members, or `part` of them where some have rows of their own (the queries of a last block).
struct Linear {
  ParameterGroup weight;
  std::vector<ParameterGroup> biases = {};  // (O) of each member, or none

  using Part = LinearPart;
  std::int64_t outputs(Part part = {}) const { return stack(part).rows(); }

  /// y = x w^T + b [+ residual]; `residual` may be y.
  void forward(WeightGatherer& gatherer, Tensor y, Tensor x, Tensor residual = {},
               Part part = {}) const {
    for_each_bias(part, [&](ParameterGroup const& bias, std::int64_t first, std::int64_t cols) {
      gatherer.backend().add_bias(y.col_block(first, cols), bias.stacked(),
                                  residual ? residual.col_block(first, cols) : Tensor());
    });
    gatherer.linear(y, x, stack(part), biases.empty() ? residual : y);
  }
  /// dx (N,I) = dy (N,O) w, or adds to dx.
  void backward_input(WeightGatherer& gatherer, Tensor dx, Tensor dy, Part part = {},
                      bool accumulate = false) const {
    gatherer.linear_backward_input(dx, dy, stack(part), accumulate);
  }
  /// Offers dW = dy^T x and db = the sums over rows of dy, as far as anyone wants them.
  /// `rows_of_rank` as in LinearOffer; `last`: no other part follows in this backward.
  void offer(Backend& backend, GradientSink& sink, Factor dy, Factor x,
             std::span<std::int64_t const> rows_of_rank, Part part = {}, bool last = true) {
    std::vector<std::pair<ParameterGroup*, Buffer>> sums;  // while dy is here
    for_each_bias(part, [&](ParameterGroup& bias, std::int64_t first, std::int64_t cols) {
      if (!sink.requires_grad(bias)) return;
      Buffer db = backend.allocate(Shape(cols), DType::f32, Category::activations, "bias gradient");
      backend.sum_columns(db, dy.tensor().col_block(first, cols));
      sums.emplace_back(&bias, std::move(db));
    });
    if (sink.requires_grad(weight)) {
      sink.offer(weight,
                 LinearOffer{std::move(dy), std::move(x), rows_of_rank, part.first, part.count},
                 last);
    }
    for (auto& [bias, db] : sums) sink.offer(*bias, VectorOffer{std::move(db)}, true);
  }

 private:
  Stack stack(Part part) const { return {weight, part.first, part.count}; }

  /// f(bias, first column, columns) for each member of a part.
  template <class Self, class F>
  static void for_each_bias_of(Self& self, Part part, F const& f) {
    std::int64_t first = 0;
    for (std::size_t m = part.first; m < self.biases.size() && m - part.first < part.count; ++m) {
      const std::int64_t cols = self.biases[m].single().whole.rows();
      f(self.biases[m], first, cols);
      first += cols;
    }
  }
  template <class F>
  void for_each_bias(Part part, F const& f) const {
    for_each_bias_of(*this, part, f);
  }
  template <class F>
  void for_each_bias(Part part, F const& f) {
    for_each_bias_of(*this, part, f);
  }
};

}  // namespace lomo
