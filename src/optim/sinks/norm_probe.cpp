#include "lomo/optim/sinks/norm_probe.h"

#include <utility>

namespace lomo {

NormProbe::NormProbe(SinkContext context, float scale, NormMethod method)
    : TileSink(std::move(context)), scale_(scale), method_(method) {}

void NormProbe::act(ParameterGroup& group, std::vector<Offer>& offers) {
  accumulate_group_norm(group, offers, scale_, method_);
}

}  // namespace lomo
