#include "lomo/optim/gradient_tiles.h"

#include <algorithm>
#include <array>

#include "lomo/dist/sum_over_ranks.h"

namespace lomo {

namespace {

EmbeddingOffer const* embedding_of(std::vector<Offer> const& offers) {
  for (Offer const& offer : offers) {
    if (auto const* rows = std::get_if<EmbeddingOffer>(&offer)) return rows;
  }
  return nullptr;
}

}  // namespace

void GradientTiles::for_each(ParameterGroup const& group, std::size_t member,
                             std::vector<Offer> const& offers, std::int64_t t, Place const& place,
                             Use const& use) {
  const Job job{group, member, offers, t, place, use};
  const std::int64_t rows = job.parameter().matrix().rows();
  if (exchange_.ranks == nullptr) return in_place(job, (rows + t - 1) / t);
  if (!job.parameter().sharded()) return vector(job);
  const std::int64_t most =
      owned_rows(job.parameter().whole.rows(), 0, exchange_.ranks->size()).count;
  const std::int64_t tiles = (most + t - 1) / t;  // no rank owns more rows than rank 0
  if (auto const* embedding = embedding_of(offers)) return by_rows(job, *embedding, tiles);
  if (std::ranges::all_of(offers, is_whole)) return in_place(job, tiles);
  dense(job, tiles);
}

/// Tile k is begun before tile k - 1 is finished.
template <class Begin, class Finish>
void GradientTiles::pipeline(std::int64_t tiles, Begin const& begin, Finish const& finish) {
  for (std::int64_t k = 0; k < tiles; ++k) {
    begin(k);
    if (k > 0) finish(k - 1);
  }
  if (tiles > 0) finish(tiles - 1);
}

GradientTiles::Flight GradientTiles::make_flight(std::int64_t sent, std::int64_t received,
                                                 std::int64_t cols) const {
  const auto make = [&](std::int64_t rows, char const* what) {
    return backend_.allocate(Shape(rows, cols), exchange_.wire, Category::communication, what);
  };
  return {make(sent, "gradient tiles sent"), make(received, "gradient tiles received"), 0};
}

RowRange GradientTiles::tile(Job const& job, int rank, std::int64_t k) const {
  return tile_rows(owned_rows(job.parameter().whole.rows(), rank, exchange_.ranks->size()), job.t,
                   k);
}

// ---- all of it is here

void GradientTiles::in_place(Job const& job, std::int64_t tiles) {
  const RowRange all{0, job.parameter().matrix().rows()};
  for (std::int64_t k = 0; k < tiles; ++k) {
    const RowRange rows = tile_rows(all, job.t, k);
    const Tensor g = job.place(rows.first, rows.count);  // (t,I)
    render(backend_, job.offers, job.group, job.member, rows.first, g);
    job.use(rows.first, g);
  }
}

// ---- a part of every row on every rank

void GradientTiles::dense(Job const& job, std::int64_t tiles) {
  const int ranks = exchange_.ranks->size(), self = exchange_.ranks->rank();
  const std::int64_t cols = job.parameter().whole.cols();
  std::int64_t sent = 0;  // rows of the first tile, which no other exceeds
  for (int q = 0; q < ranks; ++q) sent += tile(job, q, 0).count;
  std::array<Flight, 2> flights;
  for (std::int64_t i = 0; i < std::min<std::int64_t>(tiles, 2); ++i) {
    flights[static_cast<std::size_t>(i)] =
        make_flight(sent, ranks * tile(job, self, 0).count, cols);
  }
  Buffer scratch;  // (t,I) f32; with f32 on the wire the tile is rendered where it is sent from
  if (exchange_.wire != DType::f32) {
    scratch = backend_.allocate(Shape(tile(job, 0, 0).count, cols), DType::f32, Category::gradients,
                                "gradient tile to send");
  }
  pipeline(
      tiles,
      [&](std::int64_t k) {
        send_dense(job, k, flights[static_cast<std::size_t>(k % 2)], scratch.tensor());
      },
      [&](std::int64_t k) {
        Flight const& flight = flights[static_cast<std::size_t>(k % 2)];
        const RowRange rows = tile(job, self, k);
        const std::int64_t first = rows.first - job.parameter().owned.first;
        const Tensor g = job.place(first, rows.count);  // (t,I)
        exchange_.ranks->wait(flight.ticket);
        backend_.sum_ranks(g, flight.received.tensor().row_block(0, ranks * rows.count));
        job.use(first, g);
      });
}

void GradientTiles::send_dense(Job const& job, std::int64_t k, Flight& flight, Tensor scratch) {
  const int ranks = exchange_.ranks->size();
  std::vector<std::int64_t> to;
  std::int64_t row = 0;
  for (int q = 0; q < ranks; ++q) {
    const RowRange rows = tile(job, q, k);
    const Tensor sent = flight.sent.tensor().row_block(row, rows.count);  // (t,I)
    const Tensor g = exchange_.wire == DType::f32 ? sent : scratch.row_block(0, rows.count);
    render(backend_, job.offers, job.group, job.member, rows.first, g);
    if (exchange_.wire != DType::f32) backend_.copy(sent, g);
    to.push_back(rows.count);
    row += rows.count;
  }
  const std::int64_t here = to[static_cast<std::size_t>(exchange_.ranks->rank())];
  const std::vector<std::int64_t> from(static_cast<std::size_t>(ranks), here);
  flight.ticket = exchange_.ranks->all_to_all(flight.received.tensor().row_block(0, ranks * here),
                                              flight.sent.tensor().row_block(0, row), from, to);
}

// ---- a few rows of the vocabulary, and the head's part whole

void GradientTiles::by_rows(Job const& job, EmbeddingOffer const& offer, std::int64_t tiles) {
  Communicator& ranks = *exchange_.ranks;
  RankIds const& ids = *offer.everyone;
  const Shape whole = job.parameter().whole;  // (V,C)
  const std::int64_t most_sent = std::min(offer.ids.rows(), ranks.size() * job.t);
  std::array<Flight, 2> flights;
  for (Flight& flight : flights) flight = make_flight(most_sent, ids.most(job.t), whole.cols());
  Buffer term = backend_.allocate(Shape(std::min(job.t, job.parameter().owned.count), whole.cols()),
                                  DType::f32, Category::gradients, "rows of one rank");  // (t,C)
  const auto tile_at = [&](std::int64_t k) {
    return VocabularyTile(ids, place_of(&ranks), whole.rows(), job.t, k);
  };

  const auto begin = [&](std::int64_t k) {
    Flight& flight = flights[static_cast<std::size_t>(k % 2)];
    const VocabularyTile tile = tile_at(k);
    std::int64_t row = 0, incoming = 0;
    for (std::size_t q = 0; q < tile.mine.size(); ++q) {
      const RowRange mine = tile.mine[q];
      backend_.copy(flight.sent.tensor().row_block(row, mine.count),
                    offer.rows.tensor().row_block(mine.first, mine.count));
      row += mine.count;
      incoming += tile.asked[q].count;
    }
    flight.ticket = ranks.all_to_all(flight.received.tensor().row_block(0, incoming),
                                     flight.sent.tensor().row_block(0, row), tile.asked_counts,
                                     tile.mine_counts);
  };
  const auto finish = [&](std::int64_t k) {
    Flight const& flight = flights[static_cast<std::size_t>(k % 2)];
    const VocabularyTile tile = tile_at(k);
    const std::int64_t first = tile.here.first - job.parameter().owned.first;
    const Tensor g = job.place(first, tile.here.count);  // (t,C)
    const bool head = render_whole(backend_, job.offers, job.group, job.member, first, g);
    if (!head) backend_.zero(g);
    ranks.wait(flight.ticket);
    std::int64_t row = 0;
    for (int q = 0; q < ranks.size(); ++q) {
      const RowRange asked = tile.asked[static_cast<std::size_t>(q)];
      const Tensor rows = term.tensor().row_block(0, asked.count);
      backend_.copy(rows, flight.received.tensor().row_block(row, asked.count));
      backend_.add_rows(g, rows, ids.on_engine(q, asked), tile.here.first);
      row += asked.count;
    }
    job.use(first, g);
  };
  pipeline(tiles, begin, finish);
}

// ---- the weight of a norm, which all ranks hold

void GradientTiles::vector(Job const& job) {
  const Tensor dw = std::get<VectorOffer>(job.offers.front()).dw;  // (C)
  const Tensor g = job.place(0, 1);                                // (1,C)
  sum_over_ranks(backend_, *exchange_.ranks, g, dw);
  job.use(0, g);
}

}  // namespace lomo
