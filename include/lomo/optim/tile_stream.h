#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "lomo/optim/offer.h"
#include "lomo/parallel/gradient_reducer.h"

namespace lomo {

/// Rows of the gradient of one member of a group.
struct GradientTile {
  std::size_t member = 0;
  RowRange rows;      // of those owned here
  Tensor g;           // (rows,I) f32, the receiver's to overwrite
  bool last = false;  // of the member
};

/// The same as the ranks gave it: the gradient is the sum of the R parts, in rank order.
struct PartialTile {
  std::size_t member = 0;
  RowRange rows;      // of those owned here
  Tensor partials;    // (R rows,I) comm_dtype, that of rank 0 first
  bool last = false;  // of the member
};

/// What is to be cut into tiles.
struct TileRequest {
  ParameterGroup const& group;
  std::vector<Offer> const& offers;
  std::vector<std::size_t> members;  // of the group, ascending
  std::int64_t rows = 0;             // t, of a tile: the same on all ranks
  /// The f32 tensor (rows,I) that rows [first, first + rows) of the owned part of a member are
  /// written to, which must outlive the stream; none: scratch.
  std::function<Tensor(std::size_t member, std::int64_t first, std::int64_t rows)> destination = {};
};

class TilePipeline;

/// The gradient of the rows that this rank owns, a tile at a time, for a sink that loops:
///
///   TileStream tiles(backend, comm, request);
///   while (const auto tile = tiles.next()) rule.apply(..., tile->g, ...);
///
/// What is issued between two calls of next() goes to the side stream (Backend::SideStream), while
/// the products of the tile after it run on the compute stream, from one matrix of a group to the
/// next. An engine with one stream needs one tile of memory. What is issued after the last call,
/// which returned nothing, follows it all.
///
/// On ranks tile k is rows [k t, (k + 1) t) of every owner. Each rank materializes its partial
/// gradients of all of them, by one product in the communication dtype, and GradientReducer takes
/// them to the owners, which add them in rank order in f32. Products overlap with sending the tile
/// before, and with using the one before that. Of an embedding only the rows that a rank has are
/// sent; what is locally complete (the head) is not sent at all. Every rank gets as many tiles,
/// where it has no more rows some of none. A vector is one tile of one row, the same everywhere.
class TileStream {
 public:
  TileStream(Backend& backend, GradientComm comm, TileRequest const& request);
  ~TileStream();
  std::optional<GradientTile> next();

 private:
  std::unique_ptr<TilePipeline> pipeline_;
};

/// The same before the sum is taken, for a rule that takes it while it updates. Only of gradients
/// that every rank has a part of each row of; see comes_in_parts.
class PartialTileStream {
 public:
  PartialTileStream(Backend& backend, GradientComm comm, TileRequest const& request);
  ~PartialTileStream();
  std::optional<PartialTile> next();

 private:
  std::unique_ptr<TilePipeline> pipeline_;
};

/// Whether every rank gives a part of every row of this gradient.
bool comes_in_parts(ParameterGroup const& group, std::vector<Offer> const& offers,
                    GradientComm const& comm);

}  // namespace lomo
