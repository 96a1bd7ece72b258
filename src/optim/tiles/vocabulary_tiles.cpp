#include <algorithm>
#include <optional>

#include "lomo/parallel/vocabulary.h"
#include "pipeline.h"

namespace lomo {

namespace {

class VocabularyTiles final : public TilePipeline {
 public:
  VocabularyTiles(Backend& backend, GradientComm comm, TileRequest const& request,
                  EmbeddingOffer const& offer)
      : TilePipeline(backend, comm, request),
        offer_(offer),
        ids_(*offer.everyone),
        parameter_(parameter(tiles_.front())),
        reducer_(backend, comm, cols(),
                 std::min(offer.ids.rows(), comm.ranks.size() * request.rows),
                 ids_.maximum(request.rows), /*tiles=*/2),
        term_(backend.allocate(Shape(std::min(request.rows, parameter_.owned.count), cols()),
                               DType::f32, Category::gradients, "rows of one rank")),
        scratch_(*this, static_cast<std::size_t>(backend.streams())) {}

 private:
  VocabularyTile tile(std::size_t i) const {
    return {ids_, rank_info(comm_.ranks), parameter_.whole.rows(), request_.rows, tiles_[i].k};
  }

  /// This rank's rows go to their owners.
  void begin(std::size_t i) override {
    const VocabularyTile rows = tile(i);
    const Tensor sent = reducer_.to_send(i);
    std::int64_t row = 0;
    for (RowRange const mine : rows.mine) {
      backend_.copy(sent.row_block(row, mine.count),
                    offer_.rows.tensor().row_block(mine.first, mine.count));
      row += mine.count;
    }
    reducer_.send(i, rows.asked_counts, rows.mine_counts);
  }

  /// What a tied head gives, or zeros.
  void prepare(std::size_t i) override {
    now_.emplace(tile(i));
    const std::int64_t first = now_->here.first - parameter_.owned.first;
    g_ = scratch_.of(i, {first, now_->here.count});  // (t,C)
    wait_for_all_but_one();
    if (!materialize_complete(backend_, request_.offers, request_.group, tiles_[i].member, first,
                              g_)) {
      backend_.zero(g_);
    }
  }

  Tensor arrive(std::size_t i) override {
    const Tensor received = reducer_.receive(i);
    std::int64_t row = 0;
    for (int q = 0; q < comm_.ranks.size(); ++q) {
      const RowRange asked = now_->asked[static_cast<std::size_t>(q)];
      const Tensor rows = term_.tensor().row_block(0, asked.count);
      backend_.copy(rows, received.row_block(row, asked.count));
      backend_.add_rows(g_, rows, ids_.on_engine(q, asked), now_->here.first);
      row += asked.count;
    }
    return g_;
  }

  EmbeddingOffer const& offer_;
  RankIds const& ids_;
  Parameter const& parameter_;
  GradientReducer reducer_;
  Buffer term_;  // (t,C) f32
  Scratch scratch_;
  std::optional<VocabularyTile> now_;
  Tensor g_;
};

}  // namespace

std::unique_ptr<TilePipeline> vocabulary_tiles(Backend& backend, GradientComm comm,
                                               TileRequest const& request,
                                               EmbeddingOffer const& offer) {
  return std::make_unique<VocabularyTiles>(backend, comm, request, offer);
}

}  // namespace lomo
