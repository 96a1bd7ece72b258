#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "lomo/optim/gradient_sink.h"
#include "lomo/optim/policy.h"
#include "lomo/optim/tile_stream.h"

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

/// What every sink is made with.
struct SinkContext {
  SinkContext(Backend& on, TileSize tiles, Policies of_parameters, GradientComm comm)
      : backend(on), tile(tiles), policies(std::move(of_parameters)), gradient_comm(comm) {}
  /// Of parameters that are whole here.
  SinkContext(Backend& on, TileSize tiles = {}, Policies of_parameters = {})
      : SinkContext(on, tiles, std::move(of_parameters), {on.self_group()}) {}

  Backend& backend;
  TileSize tile;
  Policies policies;
  GradientComm gradient_comm;
};

/// What sinks that materialize tiles share: the stats on the device and offers that wait for
/// `last`. On ranks each sees the rows it owns, and all make the same calls.
class TileSink : public GradientSink {
 public:
  explicit TileSink(SinkContext context);
  /// Whether any member is trained.
  bool requires_grad(ParameterGroup const& group) const override;
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
  /// Tiles of all members that are trained.
  TileRequest tiles_of(ParameterGroup const& group, std::vector<Offer> const& offers) const;
  /// Takes a tile into the stats: what all ranks hold counts once, and of a parameter that does not
  /// count in the norm only what is not finite.
  void accumulate_norm(Parameter const& parameter, Tensor g, float scale);
  /// Whether this rank counts it.
  bool counts(Parameter const& parameter) const;
  /// A step of the parameter's own policy.
  StepContext step_for(Parameter const& parameter, StepContext step) const;
  /// The stats on the device of all ranks together, which end in `room`: what no host waits for.
  Tensor stats_of_all(Buffer const& room);
  /// (2) f64; empty in a group of one, whose stats are those of all.
  Buffer room_for_stats_of_all();

  Backend& backend_;
  TileSize tile_;
  Policies policies_;
  GradientComm gradient_comm_;
  Buffer stats_;  // (2) f64, of what this rank counts

 private:
  std::map<ParameterGroup const*, std::vector<Offer>> waiting_;
  double gram_squares_ = 0;  // of this rank, of norms that came without a gradient to measure
};

/// The offers of a group whose gradient is a few rows of a matrix, or null.
EmbeddingOffer const* only_rows(std::vector<Offer> const& offers);

}  // namespace lomo
