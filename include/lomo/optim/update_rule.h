#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lomo/backend/backend.h"
#include "lomo/backend/communicator.h"
#include "lomo/optim/optimizer_options.h"
#include "lomo/parallel/parameter.h"
#include "lomo/parallel/stored_tensor.h"

namespace lomo {

/// What one step gives every update.
struct StepContext {
  std::int64_t step = 1;    // 1 on the first update of a run; skipped steps do not count
  double lr = 0;            // of this step, by the schedule
  double weight_decay = 0;  // of the parameter; see ParameterPolicy
  GradientScaling gradient;
  Tensor rounding_stats = {};  // of RoundingPlan
};

/// How much of a gradient a rule must see at once.
enum class Residency : std::uint8_t {
  tile,    // any row block
  tensor,  // the whole Hugging Face tensor
};

/// Turns a gradient into a changed weight. Rules with state allocate it (Category::optimizer) for
/// the parameters they are made with, so memory is known before the first step.
class UpdateRule {
 public:
  virtual ~UpdateRule() = default;
  virtual Residency residency() const = 0;
  /// Applies rows [first, first + g.rows()) of the gradient g (t,I) f32 to parameter.value, unless
  /// found_inf[1] != 0. g may be overwritten. Residency::tensor rules get first = 0 and all rows.
  /// Rows are counted from the first owned here; all ranks make the same calls.
  virtual void apply(Parameter& parameter, std::int64_t first, Tensor g, StepContext const& step,
                     Tensor found_inf) = 0;
  /// Whether rows without a gradient stay as they are, so that a sparse gradient can be applied to
  /// its rows alone: no weight decay, no state.
  virtual bool takes_rows(StepContext const&) const { return false; }
  /// Applies the sparse gradient g (U,I) f32 of the rows listed in rows (U) i32. Only if
  /// takes_rows().
  virtual void apply_rows(Parameter& parameter, Tensor rows, Tensor g, StepContext const& step,
                          Tensor found_inf);
  /// Whether the rule takes the partial gradients of ranks, and sums them itself.
  virtual bool fuses_reduction() const { return false; }
  /// Applies rows `rows` of the gradient, whose sum in rank order `partials` (R rows,I) is, f32 or
  /// bf16. Only if fuses_reduction().
  virtual void apply_partials(Parameter& parameter, RowRange rows, Tensor partials,
                              StepContext const& step, Tensor found_inf);
  /// What must be saved for an exact resume, "<parameter>.row", "<parameter>.m", ...; empty for
  /// LOMO.
  virtual std::vector<StoredTensor> state() { return {}; }
};

/// `groups` lists the parameters the rule will serve; rules with state allocate it now, for the
/// rows owned here. `seed` is that of stochastic rounding. `ranks`: those that share the
/// parameters.
std::unique_ptr<UpdateRule> make_update_rule(Backend& backend, OptimizerOptions const& options,
                                             std::uint64_t seed,
                                             std::vector<ParameterGroup*> const& groups,
                                             Communicator& ranks);
/// For parameters that are whole here.
inline std::unique_ptr<UpdateRule> make_update_rule(Backend& backend,
                                                    OptimizerOptions const& options,
                                                    std::vector<ParameterGroup*> const& groups) {
  return make_update_rule(backend, options, /*seed=*/0, groups, backend.self_group());
}

}  // namespace lomo
