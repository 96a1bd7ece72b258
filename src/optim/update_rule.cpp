#include "lomo/optim/update_rule.h"

#include "lomo/core/error.h"
#include "rules/adalomo.h"
#include "rules/adamw.h"
#include "rules/sgd.h"

namespace lomo {

void UpdateRule::apply_rows(Parameter& parameter, Tensor, Tensor, StepContext const&, Tensor) {
  throw Error(parameter.name + ": this update rule needs the whole gradient");
}

void UpdateRule::apply_partials(Parameter& parameter, RowRange, Tensor, StepContext const&,
                                Tensor) {
  throw Error(parameter.name + ": this update rule needs the sum of the partial gradients");
}

std::unique_ptr<UpdateRule> make_update_rule(Backend& backend, OptimizerOptions const& options,
                                             std::uint64_t seed,
                                             std::vector<ParameterGroup*> const& groups,
                                             Communicator& ranks) {
  switch (options.kind) {
    case OptimizerKind::lomo:
      return std::make_unique<Sgd>(backend, options, seed);
    case OptimizerKind::sgd:
      if (options.momentum == 0) return std::make_unique<Sgd>(backend, options, seed);
      return std::make_unique<MomentumSgd>(backend, options, seed, groups);
    case OptimizerKind::adamw:
      return std::make_unique<AdamW>(backend, options, seed, groups);
    case OptimizerKind::adalomo:
      return std::make_unique<AdaLomo>(backend, options, seed, groups, ranks);
  }
  throw Error("unknown optimizer");
}

}  // namespace lomo
