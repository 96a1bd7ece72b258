#include "lomo/optim/gradient_tiles.h"

#include <algorithm>
#include <array>
#include <utility>

#include "lomo/parallel/sum_over_ranks.h"

namespace lomo {

namespace {

EmbeddingOffer const* embedding_of(std::vector<Offer> const& offers) {
  for (Offer const& offer : offers) {
    if (auto const* rows = std::get_if<EmbeddingOffer>(&offer)) return rows;
  }
  return nullptr;
}

/// Tile i is begun before tile i - 1 is finished.
template <class Begin, class Finish>
void pipeline(std::size_t tiles, Begin const& begin, Finish const& finish) {
  for (std::size_t i = 0; i < tiles; ++i) {
    begin(i);
    if (i > 0) finish(i - 1);
  }
  if (tiles > 0) finish(tiles - 1);
}

}  // namespace

void GradientTiles::for_each(ParameterGroup const& group, Members members,
                             std::vector<Offer> const& offers, std::int64_t t, Use const& use,
                             Reduction adds, Destination const& place) {
  const Job job{group, offers, t, use, adds, place, list(group, members, t)};
  if (job.tiles.empty()) return;
  if (locally_complete(offers, gradient_comm_.ranks)) return in_place(job);
  if (!job.parameter(job.tiles.front()).sharded()) return vector(job);
  if (auto const* embedding = embedding_of(offers)) return by_rows(job, *embedding);
  dense(job);
}

/// As many of each member as its largest owner has, which is the first rank.
std::vector<GradientTiles::At> GradientTiles::list(ParameterGroup const& group, Members members,
                                                   std::int64_t t) const {
  std::vector<At> tiles;
  for (std::size_t m = members.begin; m < members.end; ++m) {
    Parameter const& parameter = group.members()[m];
    const int ranks = parameter.sharded() ? rank_info(gradient_comm_.ranks).ranks : 1;
    const std::int64_t maximum = owned_rows(parameter.whole_matrix().rows(), 0, ranks).count;
    const std::int64_t count = (maximum + t - 1) / t;
    for (std::int64_t k = 0; k < count; ++k) tiles.push_back({m, k, k + 1 == count});
  }
  return tiles;
}

/// Rows of the whole matrix that `rank` owns of a tile.
RowRange GradientTiles::rows_of(Job const& job, At at, int rank) const {
  const int ranks = rank_info(gradient_comm_.ranks).ranks;
  return tile_rows(owned_rows(job.parameter(at).whole_matrix().rows(), rank, ranks), job.t, at.k);
}

/// Those of this rank, counted from the first that it owns.
RowRange GradientTiles::owned_rows_of(Job const& job, At at) const {
  return tile_rows({0, job.parameter(at).matrix().rows()}, job.t, at.k);
}

/// What is issued next is about a tile of this member.
EventLog::Scope GradientTiles::note(Job const& job, At at) const {
  return {backend_.ledger().event_log(), job.parameter(at).name};
}

// ---- what all ways share

/// Where tiles are materialized that no place is given for: one piece of memory for each that may
/// be under way at a time.
class GradientTiles::Scratch {
 public:
  Scratch(Backend& backend, Job const& job, std::size_t under_way) : job_(job) {
    if (job.place) return;
    std::int64_t maximum = 0;
    for (At const at : job.tiles) {
      maximum = std::max(maximum, std::min(job.t, job.parameter(at).matrix().rows()));
    }
    count_ = std::min(under_way, job.tiles.size());
    for (std::size_t i = 0; i < count_; ++i) {
      pieces_[i] = backend.allocate(Shape(maximum, job.cols()), DType::f32, Category::gradients,
                                    "gradient tile");
    }
  }
  /// Of the i-th tile: (rows,I).
  Tensor of(std::size_t i, RowRange rows) const {
    if (job_.place) return job_.place(job_.tiles[i].member, rows.first, rows.count);
    return pieces_[i % count_].tensor().row_block(0, rows.count);
  }

 private:
  Job const& job_;
  std::array<Buffer, 2> pieces_;
  std::size_t count_ = 0;
};

/// What is done with the tiles, on the side stream.
class GradientTiles::Uses {
 public:
  explicit Uses(Backend& backend) : backend_(backend) {}
  /// Compute goes on when all but the latest are done with.
  void wait_for_all_but_one() { backend_.wait(before_); }
  void wait_for_all() { backend_.wait(last_); }
  void issue(std::function<void()> const& use) {
    before_ = last_;
    last_ = backend_.on_side_stream(use);
  }

 private:
  Backend& backend_;
  Backend::Fence last_ = 0, before_ = 0;
};

// ---- all of it is here

void GradientTiles::in_place(Job const& job) {
  const Scratch scratch(backend_, job, static_cast<std::size_t>(backend_.streams()));
  Uses uses(backend_);
  for (std::size_t i = 0; i < job.tiles.size(); ++i) {
    const At at = job.tiles[i];
    const EventLog::Scope about = note(job, at);
    const RowRange rows = owned_rows_of(job, at);
    const Tensor g = scratch.of(i, rows);  // (t,I)
    uses.wait_for_all_but_one();
    materialize(backend_, job.offers, job.group, at.member, rows.first, g);
    uses.issue([&] { job.use({at.member, rows, g, at.last}); });
  }
  uses.wait_for_all();
}

// ---- a part of every row on every rank

void GradientTiles::dense(Job const& job) {
  const int ranks = gradient_comm_.ranks.size(), self = gradient_comm_.ranks.rank();
  std::int64_t max_sent = 0, max_owned = 0, max_here = 0;  // rows of a tile
  for (At const at : job.tiles) {
    std::int64_t sent = 0;
    for (int q = 0; q < ranks; ++q) sent += rows_of(job, at, q).count;
    max_sent = std::max(max_sent, sent);
    max_owned = std::max(max_owned, rows_of(job, at, 0).count);
    max_here = std::max(max_here, rows_of(job, at, self).count);
  }
  const auto buffer = [&](std::int64_t rows, DType type, Category category, char const* what) {
    return backend_.allocate(Shape(rows, job.cols()), type, category, what);
  };
  std::array<Flight, 2> flights;
  for (std::size_t i = 0; i < std::min(job.tiles.size(), flights.size()); ++i) {
    flights[i].sent =
        buffer(max_sent, gradient_comm_.comm_dtype, Category::communication, "gradient tiles sent");
    flights[i].received = buffer(ranks * max_here, gradient_comm_.comm_dtype,
                                 Category::communication, "gradient tiles received");
  }
  Buffer to_send;  // (t,I) f32, unless every tile is materialized where it is sent from
  if (!std::ranges::all_of(job.tiles, [&](At at) { return materializes_as_sent(job, at); })) {
    to_send = buffer(max_owned, DType::f32, Category::gradients, "gradient tile to send");
  }
  // The side stream alone touches it.
  const Scratch scratch(backend_, job, job.adds == Reduction::tiles ? 1 : 0);
  Uses uses(backend_);

  const auto begin = [&](std::size_t i) {
    const EventLog::Scope about = note(job, job.tiles[i]);
    uses.wait_for_all_but_one();
    send_dense(job, job.tiles[i], flights[i % 2], to_send);
  };
  const auto finish = [&](std::size_t i) {
    const At at = job.tiles[i];
    const EventLog::Scope about = note(job, at);
    Flight const& flight = flights[i % 2];
    const RowRange rows = owned_rows_of(job, at);
    const Tensor partials = flight.received.tensor().row_block(0, ranks * rows.count);
    uses.issue([&] {
      gradient_comm_.ranks.wait(flight.fence);
      if (job.adds == Reduction::use) return job.use({at.member, rows, partials, at.last});
      const Tensor g = scratch.of(i, rows);  // (t,I)
      backend_.sum_partials(g, partials);
      job.use({at.member, rows, g, at.last});
    });
  };
  pipeline(job.tiles.size(), begin, finish);
  uses.wait_for_all();
}

/// Whether one product gives what all owners are sent, in the communication dtype.
bool GradientTiles::materializes_as_sent(Job const& job, At at) const {
  LinearOffer const* const linear = only_linear(job.offers, at.member);
  return linear != nullptr && (gradient_comm_.comm_dtype == DType::f32 ||
                               gradient_comm_.comm_dtype == linear->dy.tensor().dtype());
}

/// The products go to the compute stream as soon as what lay in `sent` has left. The exchange
/// follows them and, on the side stream, the use of what lies in `received`.
void GradientTiles::send_dense(Job const& job, At at, Flight& flight, Tensor scratch) {
  const int ranks = gradient_comm_.ranks.size();
  if (flight.fence != 0) gradient_comm_.ranks.wait(flight.fence);
  std::vector<std::int64_t> to;
  std::int64_t row = 0;
  while (std::cmp_less(to.size(), ranks)) {
    const RowRange rows = rows_of(job, at, static_cast<int>(to.size()));
    const std::int64_t owners = alike(job, at, static_cast<int>(to.size()));
    to.insert(to.end(), static_cast<std::size_t>(owners), rows.count);
    const Tensor sent = flight.sent.tensor().row_block(row, owners * rows.count);
    row += sent.rows();
    if (rows.count > 0) materialize_for(job, at, rows, owners, sent, scratch);
  }
  const std::int64_t here = to[static_cast<std::size_t>(gradient_comm_.ranks.rank())];
  const std::vector<std::int64_t> from(static_cast<std::size_t>(ranks), here);
  backend_.on_side_stream([&] {
    flight.fence =
        gradient_comm_.ranks.all_to_all(flight.received.tensor().row_block(0, ranks * here),
                                        flight.sent.tensor().row_block(0, row), from, to);
  });
}

/// How many owners from `rank` on have as many rows of a tile: all, but for one that has fewer and
/// those after it that have none.
std::int64_t GradientTiles::alike(Job const& job, At at, int rank) const {
  const std::int64_t rows = rows_of(job, at, rank).count;
  int end = rank;
  while (end < gradient_comm_.ranks.size() && rows_of(job, at, end).count == rows) ++end;
  return end - rank;
}

/// The tiles of as many owners, of which the first has `rows`, into `sent`.
void GradientTiles::materialize_for(Job const& job, At at, RowRange rows, std::int64_t owners,
                                    Tensor sent, Tensor scratch) {
  const std::int64_t stride =
      owned_rows(job.parameter(at).whole.rows(), 0, gradient_comm_.ranks.size()).count;
  if (materializes_as_sent(job, at)) {
    return materialize_blocks(backend_, *only_linear(job.offers, at.member), job.group, at.member,
                              rows.first, {owners, stride}, sent);
  }
  for (std::int64_t i = 0; i < owners; ++i) {
    const Tensor g = scratch.row_block(0, rows.count);  // (t,I)
    materialize(backend_, job.offers, job.group, at.member, rows.first + i * stride, g);
    backend_.copy(sent.row_block(i * rows.count, rows.count), g);
  }
}

// ---- a few rows of the vocabulary, and the head's part whole

void GradientTiles::by_rows(Job const& job, EmbeddingOffer const& offer) {
  Communicator& ranks = gradient_comm_.ranks;
  RankIds const& ids = *offer.everyone;
  Parameter const& parameter = job.parameter(job.tiles.front());
  const Shape whole = parameter.whole;  // (V,C)
  const auto buffer = [&](std::int64_t rows, DType type, Category category, char const* what) {
    return backend_.allocate(Shape(rows, whole.cols()), type, category, what);
  };
  std::array<Flight, 2> flights;
  for (Flight& flight : flights) {
    flight.sent = buffer(std::min(offer.ids.rows(), ranks.size() * job.t),
                         gradient_comm_.comm_dtype, Category::communication, "gradient tiles sent");
    flight.received = buffer(ids.maximum(job.t), gradient_comm_.comm_dtype, Category::communication,
                             "gradient tiles received");
  }
  const Buffer term = buffer(std::min(job.t, parameter.owned.count), DType::f32,
                             Category::gradients, "rows of one rank");  // (t,C)
  const Scratch scratch(backend_, job, static_cast<std::size_t>(backend_.streams()));
  Uses uses(backend_);
  const auto tile_at = [&](std::size_t i) {
    return VocabularyTile(ids, rank_info(ranks), whole.rows(), job.t, job.tiles[i].k);
  };

  const auto begin = [&](std::size_t i) {
    const EventLog::Scope about = note(job, job.tiles[i]);
    Flight& flight = flights[i % 2];
    if (flight.fence != 0) ranks.wait(flight.fence);
    const VocabularyTile tile = tile_at(i);
    std::int64_t row = 0, incoming = 0;
    for (std::size_t q = 0; q < tile.mine.size(); ++q) {
      const RowRange mine = tile.mine[q];
      backend_.copy(flight.sent.tensor().row_block(row, mine.count),
                    offer.rows.tensor().row_block(mine.first, mine.count));
      row += mine.count;
      incoming += tile.asked[q].count;
    }
    backend_.on_side_stream([&] {
      flight.fence = ranks.all_to_all(flight.received.tensor().row_block(0, incoming),
                                      flight.sent.tensor().row_block(0, row), tile.asked_counts,
                                      tile.mine_counts);
    });
  };
  const auto finish = [&](std::size_t i) {
    const At at = job.tiles[i];
    const EventLog::Scope about = note(job, at);
    Flight const& flight = flights[i % 2];
    const VocabularyTile tile = tile_at(i);
    const std::int64_t first = tile.here.first - parameter.owned.first;
    const Tensor g = scratch.of(i, {first, tile.here.count});  // (t,C)
    uses.wait_for_all_but_one();
    if (!materialize_complete(backend_, job.offers, job.group, at.member, first, g))
      backend_.zero(g);
    uses.issue([&] {
      ranks.wait(flight.fence);
      std::int64_t row = 0;
      for (int q = 0; q < ranks.size(); ++q) {
        const RowRange asked = tile.asked[static_cast<std::size_t>(q)];
        const Tensor rows = term.tensor().row_block(0, asked.count);
        backend_.copy(rows, flight.received.tensor().row_block(row, asked.count));
        backend_.add_rows(g, rows, ids.on_engine(q, asked), tile.here.first);
        row += asked.count;
      }
      job.use({at.member, {first, tile.here.count}, g, at.last});
    });
  };
  pipeline(job.tiles.size(), begin, finish);
  uses.wait_for_all();
}

// ---- the weight of a norm, which all ranks hold

void GradientTiles::vector(Job const& job) {
  const Tensor dw = std::get<VectorOffer>(job.offers.front()).dw;  // (C)
  const Scratch scratch(backend_, job, 1);
  const Tensor g = scratch.of(0, {0, 1});  // (1,C)
  const EventLog::Scope about = note(job, job.tiles.front());
  Uses uses(backend_);
  uses.issue([&] {
    sum_over_ranks(backend_, gradient_comm_.ranks, g, dw);
    job.use({job.tiles.front().member, {0, 1}, g, true});
  });
  uses.wait_for_all();
}

}  // namespace lomo
