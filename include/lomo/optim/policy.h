#pragma once
#include <map>
#include <string>
#include <utility>

#include "lomo/optim/update_rule.h"

namespace lomo {

/// How one parameter is trained.
struct ParameterPolicy {
  UpdateRule* rule = nullptr;  // null: its gradient is looked at and not applied
  double lr_factor = 1;        // of the step's learning rate
  double weight_decay = 0;     // decoupled: times the learning rate
  bool frozen = false;         // no gradient is asked for
  bool in_norm = true;         // counts in the norm that gradients are clipped by
};

/// The policy of every parameter: one for all but those that are named.
class Policies {
 public:
  Policies() = default;
  Policies(UpdateRule& rule, double weight_decay = 0)
      : everyone_{.rule = &rule, .weight_decay = weight_decay} {}
  explicit Policies(ParameterPolicy everyone, std::map<std::string, ParameterPolicy> named = {})
      : everyone_(everyone), named_(std::move(named)) {}

  ParameterPolicy const& of(Parameter const& parameter) const {
    const auto found = named_.find(parameter.name);
    return found == named_.end() ? everyone_ : found->second;
  }

 private:
  ParameterPolicy everyone_;
  std::map<std::string, ParameterPolicy> named_;
};

}  // namespace lomo
