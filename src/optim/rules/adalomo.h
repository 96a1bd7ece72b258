#pragma once
#include <cmath>
#include <cstdint>
#include <vector>

#include "lomo/parallel/sum_over_ranks.h"
#include "state.h"

namespace lomo {

/// AdaLomo (arXiv 2310.10195): factored second moment, update clipped to RMS clip_threshold, step
/// scaled by the weight's RMS. On ranks the row factors are those of the rows owned here; sums over
/// rows are of all ranks.
class AdaLomo final : public UpdateRule {
 public:
  AdaLomo(Backend& backend, OptimizerOptions const& options, std::uint64_t seed,
          std::vector<ParameterGroup*> const& groups, Communicator& ranks)
      : backend_(backend),
        options_(options),
        seed_(seed),
        ranks_(ranks),
        row_(backend, ".row"),
        col_(backend, ".col"),
        sums_(backend.allocate(Shape(3), DType::f64, Category::workspace, "adalomo sums")) {
    for_each_parameter(groups, [this](Parameter const& p) {
      const Shape whole = p.whole_matrix();
      row_.add_rows(p, Shape(whole.rows()));
      col_.add_all(p, Shape(whole.cols()));
    });
  }

  Residency residency() const override { return Residency::tensor; }

  void apply(Parameter& parameter, std::int64_t, Tensor g, StepContext const& step,
             Tensor found_inf) override {
    const Tensor w = parameter.matrix();    // (owned,I)
    const Tensor row = row_.of(parameter);  // (owned)
    const Tensor col = col_.of(parameter);  // (I)
    update_moments(parameter, g, step, found_inf);

    const Tensor norms = sums_.tensor().row_block(0, 2);
    const std::int64_t rows = rows_of(parameter);  // O
    const Backend::AdaLomoTensor whole{sums_.tensor().row_block(2, 1), rows, rows * w.cols()};
    backend_.zero(sums_);
    backend_.sum(whole.row_total, row);
    sum_if_sharded(parameter, whole.row_total);
    backend_.adalomo_statistics(norms, w, g, row, col, whole, step.gradient);
    sum_if_sharded(parameter, norms);
    const Backend::AdaLomoStep update{static_cast<float>(step.lr),
                                      static_cast<float>(step.weight_decay),
                                      static_cast<float>(options_.clip_threshold),
                                      static_cast<float>(options_.eps2), step.gradient};
    backend_.adalomo_update(w, g, row, col, norms, whole, update,
                            rounding_plan(options_, seed_, parameter, 0, step), found_inf);
  }
  std::vector<StoredTensor> state() override {
    std::vector<StoredTensor> out;
    row_.list(out);
    col_.list(out);
    return out;
  }

 private:
  static std::int64_t rows_of(Parameter const& parameter) {
    return parameter.sharded() ? parameter.whole.rows() : 1;
  }
  void sum_if_sharded(Parameter const& parameter, Tensor x) {
    if (parameter.sharded()) sum_over_ranks(backend_, ranks_, x, x);
  }

  void update_moments(Parameter const& parameter, Tensor g, StepContext const& step,
                      Tensor found_inf) {
    const Tensor row = row_.of(parameter), col = col_.of(parameter);
    const auto beta = static_cast<float>(
        1.0 - std::pow(static_cast<double>(step.step),
                       static_cast<double>(static_cast<float>(options_.decay_rate))));
    Buffer row_sums =
        backend_.allocate(row.shape(), DType::f32, Category::workspace, "adalomo row sums");
    Buffer col_sums =
        backend_.allocate(col.shape(), DType::f32, Category::workspace, "adalomo column sums");
    backend_.square_sums(row_sums, col_sums, g, step.gradient);
    sum_if_sharded(parameter, col_sums);
    const auto one_over = [](std::int64_t n) { return 1.0f / static_cast<float>(n); };
    backend_.decay_average(row, row_sums, beta, one_over(g.cols()),
                           static_cast<float>(options_.eps1), found_inf);
    backend_.decay_average(col, col_sums, beta, one_over(rows_of(parameter)), options_.eps1,
                           found_inf);
  }

  Backend& backend_;
  OptimizerOptions options_;
  std::uint64_t seed_;
  Communicator& ranks_;
  State row_, col_;
  Buffer sums_;  // (3) f64: U^2, w^2, total of row
};

}  // namespace lomo
