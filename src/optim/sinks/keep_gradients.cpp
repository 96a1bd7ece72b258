#include "lomo/optim/sinks/keep_gradients.h"

#include <utility>

#include "lomo/core/error.h"

namespace lomo {

KeepGradients::KeepGradients(SinkContext context, std::vector<ParameterGroup*> const& groups,
                             float scale)
    : TileSink(std::move(context)), groups_(groups), scale_(scale) {
  for (auto const* group : groups_) {
    for (auto const& parameter : group->members()) {
      if (policies_.of(parameter).frozen) continue;
      gradients_.emplace(
          &parameter, backend_.allocate(parameter.matrix().shape(), DType::f32, Category::gradients,
                                        parameter.name + " gradient"));
    }
  }
}

Tensor KeepGradients::gradient(Parameter const& parameter) const {
  const auto found = gradients_.find(&parameter);
  if (found == gradients_.end()) throw Error("no gradient is kept for " + parameter.name);
  return found->second;
}

void KeepGradients::act(ParameterGroup& group, std::vector<Offer>& offers) {
  std::vector<Parameter> const& members = group.members();
  TileRequest request = tiles_of(group, offers);
  request.destination = [&](std::size_t member, std::int64_t first, std::int64_t rows) {
    return gradient(members[member]).row_block(first, rows);  // of (owned,I)
  };
  TileStream tiles(backend_, gradient_comm_, request);
  while (const auto tile = tiles.next()) accumulate_norm(members[tile->member], tile->g, scale_);
}

void KeepGradients::apply(StepContext const& step) {
  const Buffer of_all = room_for_stats_of_all();
  const Tensor found_inf = stats_of_all(of_all);
  for (auto* group : groups_) {
    for (auto& parameter : group->members()) {
      ParameterPolicy const& policy = policies_.of(parameter);
      if (policy.frozen) continue;
      policy.rule->apply(parameter, 0, gradient(parameter), step_for(parameter, step), found_inf);
    }
  }
}

}  // namespace lomo
