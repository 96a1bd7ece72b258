#include "lomo/optim/sinks/keep_factors.h"

#include <utility>

#include "lomo/core/error.h"

namespace lomo {

namespace {

bool owns(LinearOffer const& offer) {
  return offer.dy.owned() && offer.x.owned();
}
bool owns(EmbeddingOffer const& offer) {
  return offer.rows.owned();
}
bool owns(HeadOffer const& offer) {
  return offer.x.owned() && offer.lse.owned();
}
bool owns(VectorOffer const& offer) {
  return offer.dw.owned();
}

}  // namespace

KeepFactors::KeepFactors(SinkContext context, float scale, NormMethod method)
    : TileSink(std::move(context)), scale_(scale), method_(method) {}

void KeepFactors::stop_keeping() {
  keeping_ = false;
  open_ = waiting();
}

void KeepFactors::act(ParameterGroup& group, std::vector<Offer>& offers) {
  accumulate_group_norm(group, offers, scale_, method_);
  std::size_t keep = offers.size();
  if (!keeping_) {
    const auto found = open_.find(&group);
    if (found == open_.end()) return;
    keep = found->second;
  }
  Kept kept{&group, {}, keep == offers.size()};
  for (std::size_t i = 0; i < keep; ++i) {
    if (!std::visit([](auto const& offer) { return owns(offer); }, offers[i])) {
      throw Error(group.members().front().name +
                  ": a factor that backward keeps cannot be kept by a sink too; run backward with "
                  "keep = false");
    }
    kept.offers.push_back(std::move(offers[i]));
  }
  kept_.push_back(std::move(kept));
}

void KeepFactors::release(GradientSink& sink) {
  for (Kept& kept : kept_) {
    for (std::size_t i = 0; i < kept.offers.size(); ++i) {
      const bool last = kept.whole && i + 1 == kept.offers.size();
      sink.offer(*kept.group, std::move(kept.offers[i]), last);
    }
  }
  kept_.clear();
}

}  // namespace lomo
