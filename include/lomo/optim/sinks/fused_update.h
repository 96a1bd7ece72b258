#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "lomo/optim/sinks/tile_sink.h"

namespace lomo {

/// LOMO: each gradient tile is materialized into scratch, applied to the weight in place, and
/// forgotten. Where no gradient check ran before it is measured first: a tile with a non-finite
/// element is not applied, nor is anything after it. Where one did nothing is looked at again, and
/// the update itself sums the partial gradients of ranks.
class FusedUpdate final : public TileSink {
 public:
  /// `tensors`: how many parameters will pass when no gradient check ran before, for `outcome` to
  /// tell them apart and for all ranks to stop at the same tile; 0 after a gradient check, and then
  /// there are no stats.
  FusedUpdate(SinkContext context, StepContext const& step, std::size_t tensors = 0);

  /// Which tensors changed, by name and in the order of their updates.
  struct UpdatedTensors {
    std::vector<std::string> updated;  // whole
    std::string stopped_in;            // up to its first non-finite tile; empty: no tile was bad
  };
  /// Blocks. Only when made with the number of tensors.
  UpdatedTensors outcome() const;

 private:
  void act(ParameterGroup& group, std::vector<Offer>& offers) override;
  bool apply_rows(ParameterGroup& group, std::vector<Offer> const& offers);
  void apply_tiles(ParameterGroup& group, TileRequest const& request);
  void apply_partial_tiles(ParameterGroup& group, TileRequest const& request);
  void apply_whole(ParameterGroup& group, TileRequest request, std::size_t member);
  bool validated() const { return !marks_; }
  void validate(Parameter const& parameter, Tensor g);
  void mark(Parameter const& parameter);
  Tensor found_inf();
  StepContext step_;
  Buffer found_inf_;  // (2) f64: the stats of all ranks, where each may find what others do not
  Buffer marks_;      // (tensors,2) f64: the stats after each tensor, for no host waits on the way
  std::vector<std::string> marked_;
};

}  // namespace lomo
