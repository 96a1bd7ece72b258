#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "lomo/backend/communicator.h"
#include "lomo/optim/offer.h"

namespace lomo {

/// How gradients reach the ranks that own them.
struct GradientComm {
  Communicator& ranks;
  DType comm_dtype = DType::bf16;  // partial gradients are rounded to it once, before they are sent
};

/// Rows of the gradient of one member of a group.
struct GradientTile {
  std::size_t member = 0;
  RowRange rows;      // of those owned here
  Tensor g;           // (rows,I) f32; or partial sums of R ranks, (R rows,I) comm_dtype
  bool last = false;  // of the member
};

/// The gradient of the rows that this rank owns, a tile at a time.
///
/// Tiles are double-buffered: the products of the next run on the compute stream while this one is
/// used on the side stream (Backend::on_side_stream), from one matrix of a group to the next. An
/// engine with one stream needs one tile of memory.
///
/// On ranks tile k is rows [k t, (k + 1) t) of every owner. Each rank materializes its partial sums
/// of all of them, by one product in the communication dtype. An all-to-all takes them to the
/// owners, which add them in rank order in f32. The products of a tile overlap with sending the
/// tile before it and with using the one before that. Of an embedding only the rows that a rank has
/// are sent; what is locally complete (the head) is not sent at all.
class GradientTiles {
 public:
  GradientTiles(Backend& backend, GradientComm gradient_comm)
      : backend_(backend), gradient_comm_(gradient_comm) {}

  /// Is given each tile in turn, within Backend::on_side_stream. The tile is its to overwrite.
  using Use = std::function<void(GradientTile const&)>;
  /// The f32 tensor (rows,I) that rows [first, first + rows) of the owned part of a member are
  /// written to, which must outlive `for_each`.
  using Destination =
      std::function<Tensor(std::size_t member, std::int64_t first, std::int64_t rows)>;
  /// Who adds the partial sums of a tile: this class, or the use, which then gets them unsummed.
  enum class Reduction : std::uint8_t { tiles, use };
  /// Members [begin, end) of a group.
  struct Members {
    std::size_t begin, end;
  };
  static Members all(ParameterGroup const& group) { return {0, group.members().size()}; }

  /// Tiles of t rows of some members, in scratch where there is no `place` for them. Every rank
  /// gets the same number of calls, where it has no more rows with tiles of none. A vector is one
  /// tile of one row, the same everywhere. What is issued to the compute stream afterwards follows
  /// it all.
  void for_each(ParameterGroup const& group, Members members, std::vector<Offer> const& offers,
                std::int64_t t, Use const& use, Reduction adds = Reduction::tiles,
                Destination const& place = {});

 private:
  /// Tile k of a member.
  struct At {
    std::size_t member;
    std::int64_t k;
    bool last;
  };
  struct Job {
    ParameterGroup const& group;
    std::vector<Offer> const& offers;
    std::int64_t t;
    Use const& use;
    Reduction adds;
    Destination const& place;
    std::vector<At> tiles;
    Parameter const& parameter(At at) const { return group.members()[at.member]; }
    std::int64_t cols() const { return group.members()[tiles.front().member].matrix().cols(); }
  };
  /// A tile under way to its owners.
  struct Flight {
    Buffer sent;      // rows in the communication dtype, those of rank 0 first
    Buffer received;  // partial sums, those of rank 0 first
    Communicator::Fence fence = 0;
  };
  class Scratch;
  class Uses;

  std::vector<At> list(ParameterGroup const& group, Members members, std::int64_t t) const;
  RowRange rows_of(Job const& job, At at, int rank) const;
  RowRange owned_rows_of(Job const& job, At at) const;
  EventLog::Scope note(Job const& job, At at) const;

  void in_place(Job const& job);
  void dense(Job const& job);
  bool materializes_as_sent(Job const& job, At at) const;
  std::int64_t alike(Job const& job, At at, int rank) const;
  void send_dense(Job const& job, At at, Flight& flight, Tensor scratch);
  void materialize_for(Job const& job, At at, RowRange rows, std::int64_t owners, Tensor sent,
                       Tensor scratch);
  void by_rows(Job const& job, EmbeddingOffer const& offer);
  void vector(Job const& job);

  Backend& backend_;
  GradientComm gradient_comm_;
};

}  // namespace lomo
