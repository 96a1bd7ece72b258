#pragma once
#include <cstddef>
#include <map>
#include <vector>

#include "lomo/optim/sinks/tile_sink.h"

namespace lomo {

/// Exact clipping, or any other gradient check, with a single backward: measures each gradient like
/// NormProbe and keeps its offer; when the gradient check is known, `release` hands the offers to
/// the sink that applies them. For fine-tuning batches they are smaller than the gradients: a
/// linear layer's take N (I + O) elements instead of O I. They are the activations and their
/// gradients themselves, not copies, so their memory stays Category::activations, and backward must
/// give them away (keep = false). Vectors and ids they lean on belong to the pass, which must
/// outlive the sink.
class KeepFactors final : public TileSink {
 public:
  KeepFactors(SinkContext context, float scale, NormMethod method = NormMethod::cheapest);
  /// Memory is spent: what is offered from here on is measured only, and must be offered again to
  /// the sink that `release` served, by a second backward over the rest. A group whose last offer
  /// is still to come (tied embedding) keeps what it has, and release leaves it open.
  void stop_keeping();
  /// Moves every offer kept to `sink`, in the order they came.
  void release(GradientSink& sink);

 private:
  void act(ParameterGroup& group, std::vector<Offer>& offers) override;
  struct Kept {
    ParameterGroup* group;
    std::vector<Offer> offers;
    bool whole;  // the last offer is among them
  };
  float scale_;
  NormMethod method_;
  bool keeping_ = true;
  std::map<ParameterGroup const*, std::size_t> open_;  // offers kept of groups open at the stop
  std::vector<Kept> kept_;
};

}  // namespace lomo
