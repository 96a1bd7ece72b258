#include "lomo/parallel/sum_over_ranks.h"
#include "pipeline.h"

namespace lomo {

namespace {

class LocalTiles final : public TilePipeline {
 public:
  LocalTiles(Backend& backend, GradientComm comm, TileRequest const& request)
      : TilePipeline(backend, comm, request),
        scratch_(*this, static_cast<std::size_t>(backend.streams())) {}

 private:
  void prepare(std::size_t i) override {
    const RowRange rows = owned_rows_of(tiles_[i]);
    g_ = scratch_.of(i, rows);  // (t,I)
    wait_for_all_but_one();
    materialize(backend_, request_.offers, request_.group, tiles_[i].member, rows.first, g_);
  }
  Tensor arrive(std::size_t) override { return g_; }

  Scratch scratch_;
  Tensor g_;
};

class VectorTile final : public TilePipeline {
 public:
  VectorTile(Backend& backend, GradientComm comm, TileRequest const& request)
      : TilePipeline(backend, comm, request), scratch_(*this, 1) {}

 private:
  Tensor arrive(std::size_t i) override {
    const Tensor dw = std::get<VectorOffer>(request_.offers.front()).dw;  // (C)
    const Tensor g = scratch_.of(i, {0, 1});                              // (1,C)
    sum_over_ranks(backend_, comm_.ranks, g, dw);
    return g;
  }

  Scratch scratch_;
};

}  // namespace

std::unique_ptr<TilePipeline> local_tiles(Backend& backend, GradientComm comm,
                                          TileRequest const& request) {
  return std::make_unique<LocalTiles>(backend, comm, request);
}

std::unique_ptr<TilePipeline> vector_tile(Backend& backend, GradientComm comm,
                                          TileRequest const& request) {
  return std::make_unique<VectorTile>(backend, comm, request);
}

}  // namespace lomo
