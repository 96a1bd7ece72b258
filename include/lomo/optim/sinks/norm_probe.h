#pragma once
#include <vector>

#include "lomo/optim/sinks/tile_sink.h"

namespace lomo {

/// The norm pass of exact clipping: changes nothing, keeps one number. The norm is taken of
/// scale * g, before any clipping, as the published code does.
class NormProbe final : public TileSink {
 public:
  NormProbe(SinkContext context, float scale, NormMethod method = NormMethod::tiles);

 private:
  void act(ParameterGroup& group, std::vector<Offer>& offers) override;
  float scale_;
  NormMethod method_;
};

}  // namespace lomo
