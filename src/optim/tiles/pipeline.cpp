#include "pipeline.h"

#include <algorithm>

namespace lomo {

namespace {

/// As many of each member as its largest owner has, which is the first rank.
std::int64_t tiles_of(Parameter const& parameter, RankInfo info, std::int64_t t) {
  const int ranks = parameter.sharded() ? info.ranks : 1;
  const std::int64_t maximum = owned_rows(parameter.whole_matrix().rows(), 0, ranks).count;
  return (maximum + t - 1) / t;
}

}  // namespace

TilePipeline::TilePipeline(Backend& backend, GradientComm comm, TileRequest const& request)
    : backend_(backend), comm_(comm), request_(request) {
  for (const std::size_t member : request.members) {
    const std::int64_t count =
        tiles_of(request.group.members()[member], rank_info(comm.ranks), request.rows);
    for (std::int64_t k = 0; k < count; ++k) tiles_.push_back({member, k, k + 1 == count});
  }
}

bool TilePipeline::next() {
  if (side_stream_) {
    side_stream_->leave();
    side_stream_.reset();
    about_.reset();
    now_ += 1;
  }
  if (now_ == tiles_.size()) {
    backend_.wait(last_);
    return false;
  }
  const auto name = [this](std::size_t i) { return parameter(tiles_[i]).name; };
  EventLog* const log = backend_.ledger().event_log();
  const std::size_t ahead = begun_ ? now_ + 1 : now_;
  for (std::size_t i = ahead; i < std::min(now_ + 2, tiles_.size()); ++i) {
    const EventLog::Scope about(log, name(i));
    begin(i);
  }
  begun_ = true;
  about_.emplace(log, name(now_));
  prepare(now_);
  side_stream_.emplace(backend_);
  before_ = last_;
  last_ = side_stream_->fence();
  tensor_ = arrive(now_);
  return true;
}

RowRange TilePipeline::rows_of(At at, int rank) const {
  const int ranks = rank_info(comm_.ranks).ranks;
  return tile_rows(owned_rows(parameter(at).whole_matrix().rows(), rank, ranks), request_.rows,
                   at.k);
}

RowRange TilePipeline::owned_rows_of(At at) const {
  return tile_rows({0, parameter(at).matrix().rows()}, request_.rows, at.k);
}

TilePipeline::Scratch::Scratch(TilePipeline const& tiles, std::size_t under_way) : tiles_(tiles) {
  if (tiles.request_.destination) return;
  std::int64_t maximum = 0;
  for (At const at : tiles.tiles_) {
    maximum = std::max(maximum, std::min(tiles.request_.rows, tiles.parameter(at).matrix().rows()));
  }
  count_ = std::min(under_way, tiles.tiles_.size());
  for (std::size_t i = 0; i < count_; ++i) {
    pieces_[i] = tiles.backend_.allocate(Shape(maximum, tiles.cols()), DType::f32,
                                         Category::gradients, "gradient tile");
  }
}

Tensor TilePipeline::Scratch::of(std::size_t i, RowRange rows) const {
  auto const& destination = tiles_.request_.destination;
  if (destination) return destination(tiles_.tiles_[i].member, rows.first, rows.count);
  return pieces_[i % count_].tensor().row_block(0, rows.count);
}

}  // namespace lomo
