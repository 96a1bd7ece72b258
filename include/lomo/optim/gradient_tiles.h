#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "lomo/backend/communicator.h"
#include "lomo/optim/offer.h"

namespace lomo {

/// How gradients reach the ranks that own them.
struct Exchange {
  Communicator* ranks = nullptr;  // null: alone, every row is owned here
  DType wire = DType::bf16;       // what each rank's part is rounded to, once, to travel
};

/// The gradient of the rows that this rank owns, a tile at a time.
///
/// On ranks tile k is rows [k t, (k + 1) t) of every owner. Each rank renders its part of all of
/// them, an all-to-all takes the parts to the owners, and there they are summed in rank order in
/// f32. Two tiles are under way: the products of the next run while one travels. Of an embedding
/// only rows travel that a rank has; what is whole already (the head) does not travel at all.
class GradientTiles {
 public:
  GradientTiles(Backend& backend, Exchange exchange) : backend_(backend), exchange_(exchange) {}

  /// The f32 tensor (rows,I) that rows [first, first + rows) of the owned part are written to.
  using Place = std::function<Tensor(std::int64_t first, std::int64_t rows)>;
  /// Is given each tile in turn.
  using Use = std::function<void(std::int64_t first, Tensor g)>;
  /// Tiles of t rows of a member. Every rank gets the same number of calls, where it has no more
  /// rows with tiles of none. A vector is one tile of one row, the same everywhere.
  void for_each(ParameterGroup const& group, std::size_t member, std::vector<Offer> const& offers,
                std::int64_t t, Place const& place, Use const& use);

 private:
  struct Job {
    ParameterGroup const& group;
    std::size_t member;
    std::vector<Offer> const& offers;
    std::int64_t t;
    Place const& place;
    Use const& use;
    Parameter const& parameter() const { return group.members()[member]; }
  };
  /// A tile under way.
  struct Flight {
    Buffer sent;      // rows in the wire type, those of rank 0 first
    Buffer received;  // the parts of rank 0 first
    Communicator::Ticket ticket = 0;
  };

  template <class Begin, class Finish>
  void pipeline(std::int64_t tiles, Begin const& begin, Finish const& finish);
  Flight make_flight(std::int64_t sent, std::int64_t received, std::int64_t cols) const;
  RowRange tile(Job const& job, int rank, std::int64_t k) const;

  void in_place(Job const& job, std::int64_t tiles);
  void dense(Job const& job, std::int64_t tiles);
  void send_dense(Job const& job, std::int64_t k, Flight& flight, Tensor scratch);
  void by_rows(Job const& job, EmbeddingOffer const& offer, std::int64_t tiles);
  void vector(Job const& job);

  Backend& backend_;
  Exchange exchange_;
};

}  // namespace lomo
