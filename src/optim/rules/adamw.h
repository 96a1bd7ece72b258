#pragma once
#include <cstdint>
#include <vector>

#include "state.h"

namespace lomo {

/// m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; w -= lr m / (sqrt(v) + eps), with
/// the corrections of bias: AdamW (Loshchilov and Hutter 2019).
class AdamW final : public UpdateRule {
 public:
  AdamW(Backend& backend, OptimizerOptions const& options, std::uint64_t seed,
        std::vector<ParameterGroup*> const& groups)
      : backend_(backend),
        options_(options),
        seed_(seed),
        first_(backend, ".m"),
        second_(backend, ".v") {
    for_each_parameter(groups, [this](Parameter const& p) {
      first_.add_rows(p, p.whole_matrix());
      second_.add_rows(p, p.whole_matrix());
    });
  }

  Residency residency() const override { return Residency::tile; }

  void apply(Parameter& parameter, std::int64_t first, Tensor g, StepContext const& step,
             Tensor found_inf) override {
    const Backend::AdamStep adam{static_cast<float>(step.lr),
                                 static_cast<float>(options_.beta1),
                                 static_cast<float>(options_.beta2),
                                 static_cast<float>(options_.eps),
                                 static_cast<float>(step.weight_decay),
                                 step.step,
                                 step.gradient};
    backend_.adamw_update(parameter.matrix().row_block(first, g.rows()),
                          first_.of(parameter).row_block(first, g.rows()),
                          second_.of(parameter).row_block(first, g.rows()), g, adam,
                          rounding_plan(options_, seed_, parameter, first, step), found_inf);
  }
  std::vector<StoredTensor> state() override {
    std::vector<StoredTensor> out;
    first_.list(out);
    second_.list(out);
    return out;
  }

 private:
  Backend& backend_;
  OptimizerOptions options_;
  std::uint64_t seed_;
  State first_, second_;
};

}  // namespace lomo
