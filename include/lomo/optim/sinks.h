#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "lomo/optim/gradient_sink.h"
#include "lomo/optim/gradient_tiles.h"
#include "lomo/optim/update_rule.h"

namespace lomo {

/// Rows of a gradient tile: as many as fit `bytes` of f32, at least one, and a multiple of 8 where
/// that many fit, so that a tile's columns of dy begin where 16 bytes do, as matrix units want.
/// There is a second tile where the engine has two streams.
struct TileSize {
  std::size_t bytes = 8u << 20;
  std::int64_t rows_for(Shape parameter) const;
};

/// Sum of squares and count of non-finite elements of what passed through a sink.
struct GradientStats {
  double sum_of_squares = 0;  // of scale * g, finite elements only
  double nonfinite = 0;
  double norm() const;
  bool finite() const { return nonfinite == 0; }
};

/// How the norm of a linear layer's gradient is found.
enum class NormMethod : std::uint8_t {
  tiles,     // of the materialized gradient, so that it agrees to the bit with that of other sinks
  cheapest,  // from the Gram matrices of the factors where that takes fewer operations and, on
             // ranks, which then send each other factors instead of tiles, no more bytes
};

/// What sinks that materialize tiles share: the stats on the device and offers that wait for
/// `last`. On ranks each sees the rows it owns, and all make the same calls.
class TileSink : public GradientSink {
 public:
  TileSink(Backend& backend, TileSize tile, GradientComm gradient_comm);
  bool requires_grad(ParameterGroup const&) const override { return true; }
  void offer(ParameterGroup& group, Offer offer, bool last) final;
  /// Blocks. Stats of everything offered so far, of all ranks together and the same on each.
  GradientStats stats() const;

 protected:
  /// All offers for the group are in; `offers` may be moved from.
  virtual void act(ParameterGroup& group, std::vector<Offer>& offers) = 0;
  /// Adds the group to the stats and changes nothing.
  void accumulate_group_norm(ParameterGroup const& group, std::vector<Offer> const& offers,
                             float scale, NormMethod method);
  /// How many offers wait for the last one of their group.
  std::map<ParameterGroup const*, std::size_t> waiting() const;
  /// Rows of a tile of this group, the same on all ranks and for all members.
  std::int64_t tile_rows(ParameterGroup const& group) const;
  /// Takes a tile into the stats; what all ranks hold counts once.
  void accumulate_norm(Parameter const& parameter, Tensor g, float scale);
  bool counts(Parameter const& parameter) const;
  /// The stats on the device of all ranks together, which end in `room`: what no host waits for.
  Tensor stats_of_all(Buffer const& room);
  /// (2) f64; empty in a group of one, whose stats are those of all.
  Buffer room_for_stats_of_all();

  Backend& backend_;
  TileSize tile_;
  GradientComm gradient_comm_;
  GradientTiles tiles_;
  Buffer stats_;  // (2) f64, of what this rank counts

 private:
  std::map<ParameterGroup const*, std::vector<Offer>> waiting_;
  double gram_squares_ = 0;  // of this rank, of norms that came without a gradient to measure
};

/// LOMO: each gradient tile is materialized into scratch, applied to the weight in place, and
/// forgotten. Where no gradient check ran before it is measured first: a tile with a non-finite
/// element is not applied, nor is anything after it. Where one did nothing is looked at again, and
/// the update itself sums the partial gradients of ranks.
class FusedUpdate final : public TileSink {
 public:
  /// `tensors`: how many parameters will pass when no gradient check ran before, for `outcome` to
  /// tell them apart and for all ranks to stop at the same tile; 0 after a gradient check, and then
  /// there are no stats.
  FusedUpdate(Backend& backend, TileSize tile, UpdateRule& rule, StepContext const& step,
              std::size_t tensors, GradientComm gradient_comm);
  FusedUpdate(Backend& backend, TileSize tile, UpdateRule& rule, StepContext const& step,
              std::size_t tensors = 0)
      : FusedUpdate(backend, tile, rule, step, tensors, {backend.self_group()}) {}

  /// Which tensors changed, by name and in the order of their updates.
  struct UpdatedTensors {
    std::vector<std::string> updated;  // whole
    std::string stopped_in;            // up to its first non-finite tile; empty: no tile was bad
  };
  /// Blocks. Only when made with the number of tensors.
  UpdatedTensors outcome() const;

 private:
  void act(ParameterGroup& group, std::vector<Offer>& offers) override;
  void apply_whole(ParameterGroup& group, std::size_t member, std::vector<Offer> const& offers);
  StepContext step_for(Parameter const& parameter) const;
  bool validated() const { return !marks_; }
  void validate(Parameter const& parameter, Tensor g);
  void mark(Parameter const& parameter);
  Tensor found_inf();
  UpdateRule& rule_;
  StepContext step_;
  Buffer found_inf_;  // (2) f64: the stats of all ranks, where each may find what others do not
  Buffer marks_;      // (tensors,2) f64: the stats after each tensor, for no host waits on the way
  std::vector<std::string> marked_;
};

/// The norm pass of exact clipping: changes nothing, keeps one number. The norm is taken of
/// scale * g, before any clipping, as the published code does.
class NormProbe final : public TileSink {
 public:
  NormProbe(Backend& backend, TileSize tile, float scale, NormMethod method,
            GradientComm gradient_comm);
  NormProbe(Backend& backend, TileSize tile, float scale, NormMethod method = NormMethod::tiles)
      : NormProbe(backend, tile, scale, method, {backend.self_group()}) {}

 private:
  void act(ParameterGroup& group, std::vector<Offer>& offers) override;
  float scale_;
  NormMethod method_;
};

/// Exact clipping, or any other gradient check, with a single backward: measures each gradient like
/// NormProbe and keeps its offer; when the gradient check is known, `release` hands the offers to
/// the sink that applies them. For fine-tuning batches they are smaller than the gradients: a
/// linear layer's take N (I + O) elements instead of O I. They are the activations and their
/// gradients themselves, not copies, so their memory stays Category::activations, and backward must
/// give them away (keep = false). Vectors and ids they lean on belong to the pass, which must
/// outlive the sink.
class KeepFactors final : public TileSink {
 public:
  KeepFactors(Backend& backend, TileSize tile, float scale, NormMethod method,
              GradientComm gradient_comm);
  KeepFactors(Backend& backend, TileSize tile, float scale,
              NormMethod method = NormMethod::cheapest)
      : KeepFactors(backend, tile, scale, method, {backend.self_group()}) {}
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

/// Stores every gradient (Category::gradients, f32), of the rows owned here, through the same tiles
/// as FusedUpdate: for the unfused baselines and for tests.
class KeepGradients final : public TileSink {
 public:
  /// `scale` is that of the stats, 1 / loss scale; gradients are stored unscaled.
  KeepGradients(Backend& backend, TileSize tile, std::vector<ParameterGroup*> const& groups,
                float scale, GradientComm gradient_comm);
  KeepGradients(Backend& backend, TileSize tile, std::vector<ParameterGroup*> const& groups,
                float scale = 1)
      : KeepGradients(backend, tile, groups, scale, {backend.self_group()}) {}
  /// (owned,I) or (1,C) f32.
  Tensor gradient(Parameter const& parameter) const;
  /// Applies every stored gradient, the unfused way: after the whole backward, and nothing at all
  /// when any was not finite. Overwrites the gradients where the rule does.
  void apply(UpdateRule& rule, StepContext const& step);

 private:
  void act(ParameterGroup& group, std::vector<Offer>& offers) override;
  std::vector<ParameterGroup*> groups_;
  float scale_;
  std::map<Parameter const*, Buffer> gradients_;
};

}  // namespace lomo
