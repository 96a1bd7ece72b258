#pragma once
#include <map>
#include <vector>

#include "lomo/optim/sinks/tile_sink.h"

namespace lomo {

/// Stores every gradient (Category::gradients, f32), of the rows owned here, through the same tiles
/// as FusedUpdate: for the unfused baselines and for tests.
class KeepGradients final : public TileSink {
 public:
  /// `scale` is that of the stats, 1 / loss scale; gradients are stored unscaled.
  KeepGradients(SinkContext context, std::vector<ParameterGroup*> const& groups, float scale = 1);
  /// (owned,I) or (1,C) f32.
  Tensor gradient(Parameter const& parameter) const;
  /// Applies every stored gradient by its policy, the unfused way: after the whole backward, and
  /// nothing at all when any was not finite. Overwrites the gradients where the rule does.
  void apply(StepContext const& step);

 private:
  void act(ParameterGroup& group, std::vector<Offer>& offers) override;
  std::vector<ParameterGroup*> groups_;
  float scale_;
  std::map<Parameter const*, Buffer> gradients_;
};

}  // namespace lomo
