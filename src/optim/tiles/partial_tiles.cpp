#include <algorithm>
#include <utility>

#include "pipeline.h"

namespace lomo {

namespace {

/// Tiles as the parts of R ranks.
class PartialTiles : public TilePipeline {
 public:
  PartialTiles(Backend& backend, GradientComm comm, TileRequest const& request)
      : TilePipeline(backend, comm, request), reducer_(make_reducer()) {
    const auto is_sent = [this](At at) { return materializes_as_sent(at); };
    if (std::ranges::all_of(tiles_, is_sent)) return;
    std::int64_t maximum = 0;
    for (At const at : tiles_) maximum = std::max(maximum, rows_of(at, 0).count);
    f32_ = backend.allocate(Shape(maximum, cols()), DType::f32, Category::gradients,
                            "gradient tile to send");
  }

 protected:
  /// The products go to the compute stream as soon as what lay where they are written has left.
  void begin(std::size_t i) override {
    wait_for_all_but_one();
    const At at = tiles_[i];
    const int ranks = comm_.ranks.size();
    const Tensor sent = reducer_.to_send(i);
    std::vector<std::int64_t> to;
    std::int64_t row = 0;
    while (std::cmp_less(to.size(), ranks)) {
      const RowRange rows = rows_of(at, static_cast<int>(to.size()));
      const std::int64_t owners = alike(at, static_cast<int>(to.size()));
      to.insert(to.end(), static_cast<std::size_t>(owners), rows.count);
      const Tensor block = sent.row_block(row, owners * rows.count);
      row += block.rows();
      if (rows.count > 0) materialize_for(at, rows, owners, block);
    }
    const std::int64_t here = to[static_cast<std::size_t>(comm_.ranks.rank())];
    reducer_.send(i, std::vector<std::int64_t>(static_cast<std::size_t>(ranks), here), to);
  }

  Tensor arrive(std::size_t i) override { return reducer_.receive(i); }

 private:
  GradientReducer make_reducer() {
    const int ranks = comm_.ranks.size(), self = comm_.ranks.rank();
    std::int64_t max_sent = 0, max_here = 0;  // rows of a tile
    for (At const at : tiles_) {
      std::int64_t sent = 0;
      for (int q = 0; q < ranks; ++q) sent += rows_of(at, q).count;
      max_sent = std::max(max_sent, sent);
      max_here = std::max(max_here, rows_of(at, self).count);
    }
    return {backend_, comm_, cols(), max_sent, ranks * max_here, tiles_.size()};
  }

  /// Whether one product gives what all owners are sent, in the communication dtype.
  bool materializes_as_sent(At at) const {
    LinearOffer const* const linear = only_linear(request_.offers, at.member);
    return linear != nullptr &&
           (comm_.comm_dtype == DType::f32 || comm_.comm_dtype == linear->dy.tensor().dtype());
  }

  /// How many owners from `rank` on have as many rows of a tile: all, but for one that has fewer
  /// and those after it that have none.
  std::int64_t alike(At at, int rank) const {
    const std::int64_t rows = rows_of(at, rank).count;
    int end = rank;
    while (end < comm_.ranks.size() && rows_of(at, end).count == rows) ++end;
    return end - rank;
  }

  /// The tiles of as many owners, of which the first has `rows`, into `sent`.
  void materialize_for(At at, RowRange rows, std::int64_t owners, Tensor sent) {
    const std::int64_t stride = owned_rows(parameter(at).whole.rows(), 0, comm_.ranks.size()).count;
    if (materializes_as_sent(at)) {
      return materialize_blocks(backend_, *only_linear(request_.offers, at.member), request_.group,
                                at.member, rows.first, {owners, stride}, sent);
    }
    for (std::int64_t i = 0; i < owners; ++i) {
      const Tensor g = f32_.tensor().row_block(0, rows.count);  // (t,I)
      materialize(backend_, request_.offers, request_.group, at.member, rows.first + i * stride, g);
      backend_.copy(sent.row_block(i * rows.count, rows.count), g);
    }
  }

  GradientReducer reducer_;
  Buffer f32_;  // (t,I), unless every tile is materialized where it is sent from
};

class SummedTiles final : public PartialTiles {
 public:
  SummedTiles(Backend& backend, GradientComm comm, TileRequest const& request)
      : PartialTiles(backend, comm, request), scratch_(*this, 1) {}

 private:
  Tensor arrive(std::size_t i) override {
    const Tensor partials = PartialTiles::arrive(i);
    const Tensor g = scratch_.of(i, owned_rows_of(tiles_[i]));  // (t,I)
    backend_.sum_partials(g, partials);
    return g;
  }

  Scratch scratch_;  // the side stream alone touches it
};

}  // namespace

std::unique_ptr<TilePipeline> summed_tiles(Backend& backend, GradientComm comm,
                                           TileRequest const& request) {
  return std::make_unique<SummedTiles>(backend, comm, request);
}

std::unique_ptr<TilePipeline> partial_tiles(Backend& backend, GradientComm comm,
                                            TileRequest const& request) {
  return std::make_unique<PartialTiles>(backend, comm, request);
}

}  // namespace lomo
