#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "lomo/optim/update_rule.h"

namespace lomo {

/// How a rule rounds one tensor in one step, starting at row `first`.
inline RoundingPlan rounding_plan(OptimizerOptions const& options, std::uint64_t seed,
                                  Parameter const& parameter, std::int64_t first,
                                  StepContext const& step) {
  return {options.rounding.value_or(Rounding::nearest),
          random_key(seed, "round", parameter.name, static_cast<std::uint64_t>(step.step)),
          parameter.first_element() + first * parameter.matrix().cols(), step.rounding_stats};
}

/// f32 optimizer state of one kind: a zeroed buffer a parameter.
class State {
 public:
  State(Backend& backend, std::string suffix) : backend_(backend), suffix_(std::move(suffix)) {}

  /// State of shape `whole`: the rows of it that the rank owns of the parameter, or all of it.
  void add_rows(Parameter const& parameter, Shape whole) {
    add(parameter, whole, parameter.sharded() ? parameter.owned : RowRange{0, whole.rows()},
        parameter.sharded());
  }
  void add_all(Parameter const& parameter, Shape whole) {
    add(parameter, whole, {0, whole.rows()}, false);
  }
  Tensor of(Parameter const& parameter) const { return kept_.at(parameter.name).buffer; }
  void list(std::vector<StoredTensor>& out) const {
    for (auto const& [name, kept] : kept_) out.push_back(kept.stored);
  }

 private:
  struct Kept {
    Buffer buffer;
    StoredTensor stored;
  };
  void add(Parameter const& parameter, Shape whole, RowRange owned, bool sharded) {
    const std::string name = parameter.name + suffix_;
    const Shape here = whole.rank() == 2 ? Shape(owned.count, whole.cols()) : Shape(owned.count);
    Buffer buffer = backend_.allocate(here, DType::f32, Category::optimizer, name);
    backend_.zero(buffer);
    const StoredTensor stored{name, whole, owned, sharded, buffer};
    kept_.emplace(parameter.name, Kept{std::move(buffer), stored});
  }

  Backend& backend_;
  std::string suffix_;
  std::map<std::string, Kept> kept_;
};

void for_each_parameter(std::vector<ParameterGroup*> const& groups, auto const& f) {
  for (auto const* group : groups) {
    for (auto const& parameter : group->members()) f(parameter);
  }
}

}  // namespace lomo
