#pragma once
#include <cstdint>
#include <vector>

#include "state.h"

namespace lomo {

/// w -= lr g: LOMO when fused, plain SGD when not. No state.
class Sgd final : public UpdateRule {
 public:
  Sgd(Backend& backend, OptimizerOptions const& options, std::uint64_t seed)
      : backend_(backend), options_(options), seed_(seed) {}

  Residency residency() const override { return Residency::tile; }
  bool takes_rows(StepContext const& step) const override { return step.weight_decay == 0; }

  bool fuses_reduction() const override { return true; }

  void apply(Parameter& parameter, std::int64_t first, Tensor g, StepContext const& step,
             Tensor found_inf) override {
    update(parameter, {first, g.rows()}, g, step, found_inf);
  }
  void apply_partials(Parameter& parameter, RowRange rows, Tensor partials, StepContext const& step,
                      Tensor found_inf) override {
    update(parameter, rows, partials, step, found_inf);
  }
  void apply_rows(Parameter& parameter, Tensor rows, Tensor g, StepContext const& step,
                  Tensor found_inf) override {
    backend_.sgd_update(parameter.value, g, sgd_step(step),
                        rounding_plan(options_, seed_, parameter, 0, step), found_inf, rows);
  }

 private:
  static Backend::SgdStep sgd_step(StepContext const& step) {
    return {static_cast<float>(step.lr), static_cast<float>(step.weight_decay), step.gradient};
  }
  /// The engine tells a gradient from the parts of ranks by its shape.
  void update(Parameter& parameter, RowRange rows, Tensor g, StepContext const& step,
              Tensor found_inf) {
    backend_.sgd_update(parameter.matrix().row_block(rows.first, rows.count), g, sgd_step(step),
                        rounding_plan(options_, seed_, parameter, rows.first, step), found_inf);
  }
  Backend& backend_;
  OptimizerOptions options_;
  std::uint64_t seed_;
};

/// m = momentum m + g; w -= lr m.
class MomentumSgd final : public UpdateRule {
 public:
  MomentumSgd(Backend& backend, OptimizerOptions const& options, std::uint64_t seed,
              std::vector<ParameterGroup*> const& groups)
      : backend_(backend), options_(options), seed_(seed), momentum_(backend, ".momentum") {
    for_each_parameter(groups,
                       [this](Parameter const& p) { momentum_.add_rows(p, p.whole_matrix()); });
  }

  Residency residency() const override { return Residency::tile; }

  void apply(Parameter& parameter, std::int64_t first, Tensor g, StepContext const& step,
             Tensor found_inf) override {
    const Tensor m = momentum_.of(parameter).row_block(first, g.rows());
    backend_.momentum_update(m, g, static_cast<float>(options_.momentum), step.gradient, found_inf);
    backend_.sgd_update(
        parameter.matrix().row_block(first, g.rows()), g,
        {static_cast<float>(step.lr), static_cast<float>(step.weight_decay), GradientScaling{}},
        rounding_plan(options_, seed_, parameter, first, step), found_inf);
  }
  std::vector<StoredTensor> state() override {
    std::vector<StoredTensor> out;
    momentum_.list(out);
    return out;
  }

 private:
  Backend& backend_;
  OptimizerOptions options_;
  std::uint64_t seed_;
  State momentum_;
};

}  // namespace lomo
