#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lomo/backend/backend.h"
#include "lomo/backend/communicator.h"
#include "lomo/parallel/parameter.h"
#include "lomo/parallel/stored_tensor.h"

namespace lomo {

/// What one step gives every update.
struct StepContext {
  std::int64_t step = 1;  // 1 on the first update of a run; skipped steps do not count
  float lr = 0;
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
  /// guard[1] != 0. g may be overwritten. Residency::tensor rules get first = 0 and all rows. Rows
  /// are counted from the first owned here; all ranks make the same calls.
  virtual void apply(Parameter& parameter, std::int64_t first, Tensor g, StepContext const& step,
                     Tensor found_inf) = 0;
  /// Whether rows without a gradient stay as they are, so that a sparse gradient can be applied to
  /// its rows alone: no weight decay, no state.
  virtual bool takes_rows() const { return false; }
  /// Applies the sparse gradient g (U,I) f32 of the rows listed in rows (U) i32. Only if
  /// takes_rows().
  virtual void apply_rows(Parameter& parameter, Tensor rows, Tensor g, StepContext const& step,
                          Tensor found_inf);
  /// Whether the rule takes the partial gradients of ranks, and sums them itself.
  virtual bool fuses_reduction() const { return false; }
  /// Applies rows `rows` of the gradient, whose sum in rank order `partials` (R rows,I) is, f32 or
  /// bf16, or which it is itself, f32. Only if fuses_reduction().
  virtual void apply_partials(Parameter& parameter, RowRange rows, Tensor partials,
                              StepContext const& step, Tensor found_inf);
  /// What must be saved for an exact resume, "<parameter>.row", "<parameter>.m", ...; empty for
  /// LOMO.
  virtual std::vector<StoredTensor> state() { return {}; }
};

enum class OptimizerKind : std::uint8_t { lomo, adalomo, sgd, adamw };
/// Applied while backward runs; the others keep whole gradients.
constexpr bool is_fused(OptimizerKind kind) {
  return kind == OptimizerKind::lomo || kind == OptimizerKind::adalomo;
}

struct OptimizerOptions {
  OptimizerKind kind = OptimizerKind::lomo;
  float weight_decay = 0;
  Rounding rounding = Rounding::nearest;
  std::uint64_t seed = 0;
  float momentum = 0;                  // sgd
  float beta1 = 0.9f, beta2 = 0.999f;  // adamw
  float adam_eps = 1e-8f;              // adamw
  float decay_rate = -0.8f;            // adalomo, beta_t = 1 - t^decay_rate
  float eps1 = 1e-30f, eps2 = 1e-3f;   // adalomo
  float clip_threshold = 1.0f;         // adalomo
};

/// `groups` lists the parameters the rule will serve; rules with state allocate it now, for the
/// rows owned here. `ranks`: those that share the parameters.
std::unique_ptr<UpdateRule> make_update_rule(Backend& backend, OptimizerOptions const& options,
                                             std::vector<ParameterGroup*> const& groups,
                                             Communicator& ranks);
/// For parameters that are whole here.
inline std::unique_ptr<UpdateRule> make_update_rule(Backend& backend,
                                                    OptimizerOptions const& options,
                                                    std::vector<ParameterGroup*> const& groups) {
  return make_update_rule(backend, options, groups, backend.self_group());
}

}  // namespace lomo
