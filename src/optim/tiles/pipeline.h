#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "lomo/optim/tile_stream.h"

namespace lomo {

/// Tiles of a request in the order in which they come, and how one is made while the one before it
/// is used. The ways to make them are its subclasses.
class TilePipeline {
 public:
  TilePipeline(Backend& backend, GradientComm comm, TileRequest const& request);
  virtual ~TilePipeline() = default;

  /// Goes to the next tile and enters the side stream; false at the end, when both streams have
  /// met.
  bool next();

  // Of the tile that `next` went to.

  std::size_t member() const { return tiles_[now_].member; }
  RowRange rows() const { return owned_rows_of(tiles_[now_]); }
  bool last() const { return tiles_[now_].last; }
  Tensor tensor() const { return tensor_; }

 protected:
  /// Tile k of a member.
  struct At {
    std::size_t member;
    std::int64_t k;
    bool last;
  };

  // To the compute stream: what is made of tile i before tile i - 1 is used, and just before tile i
  // is; then to the side stream.

  virtual void begin(std::size_t /*i*/) {}
  virtual void prepare(std::size_t /*i*/) {}
  virtual Tensor arrive(std::size_t i) = 0;

  Parameter const& parameter(At at) const { return request_.group.members()[at.member]; }
  std::int64_t cols() const { return parameter(tiles_.front()).matrix().cols(); }
  /// Rows of the whole matrix that `rank` owns of a tile.
  RowRange rows_of(At at, int rank) const;
  /// Those of this rank, counted from the first that it owns.
  RowRange owned_rows_of(At at) const;
  /// The compute stream goes on when all tiles but the latest are used.
  void wait_for_all_but_one() { backend_.wait(before_); }

  /// Where f32 tiles are written that have no destination: one piece of memory for each that may be
  /// under way at a time.
  class Scratch {
   public:
    Scratch(TilePipeline const& tiles, std::size_t under_way);
    /// Of tile i: (rows,I).
    Tensor of(std::size_t i, RowRange rows) const;

   private:
    TilePipeline const& tiles_;
    std::array<Buffer, 2> pieces_;
    std::size_t count_ = 0;
  };

  Backend& backend_;
  GradientComm comm_;
  TileRequest request_;
  std::vector<At> tiles_;

 private:
  std::size_t now_ = 0;
  bool begun_ = false;
  Tensor tensor_;
  Backend::Fence last_ = 0, before_ = 0;            // of the tiles used
  std::optional<EventLog::Scope> about_;            // of the tile in use
  std::optional<Backend::SideStream> side_stream_;  // while it is used
};

/// All of the gradient is here.
std::unique_ptr<TilePipeline> local_tiles(Backend& backend, GradientComm comm,
                                          TileRequest const& request);
/// A part of every row on every rank; summed, or as the parts came.
std::unique_ptr<TilePipeline> summed_tiles(Backend& backend, GradientComm comm,
                                           TileRequest const& request);
std::unique_ptr<TilePipeline> partial_tiles(Backend& backend, GradientComm comm,
                                            TileRequest const& request);
/// A few rows of the vocabulary on each rank, and of a tied head this rank's part whole.
std::unique_ptr<TilePipeline> vocabulary_tiles(Backend& backend, GradientComm comm,
                                               TileRequest const& request,
                                               EmbeddingOffer const& offer);
/// The weight of a norm, which all ranks hold.
std::unique_ptr<TilePipeline> vector_tile(Backend& backend, GradientComm comm,
                                          TileRequest const& request);

}  // namespace lomo
