#include "lomo/optim/sinks/tile_sink.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "../norm/gram_norm.h"
#include "lomo/parallel/sum_over_ranks.h"

namespace lomo {

std::int64_t TileSize::rows_for(Shape parameter) const {
  const auto row_bytes = static_cast<std::size_t>(parameter.cols()) * sizeof(float);
  auto rows = static_cast<std::int64_t>(bytes / std::max<std::size_t>(row_bytes, 1));
  if (rows > 8) rows -= rows % 8;
  return std::clamp<std::int64_t>(rows, 1, std::max<std::int64_t>(parameter.rows(), 1));
}

double GradientStats::norm() const {
  return finite() ? std::sqrt(sum_of_squares) : std::numeric_limits<double>::infinity();
}

TileSink::TileSink(SinkContext context)
    : backend_(context.backend),
      tile_(context.tile),
      policies_(std::move(context.policies)),
      gradient_comm_(context.gradient_comm),
      stats_(backend_.allocate(Shape(2), DType::f64, Category::workspace, "gradient stats")) {
  backend_.zero(stats_);
}

bool TileSink::requires_grad(ParameterGroup const& group) const {
  return std::ranges::any_of(group.members(),
                             [this](Parameter const& p) { return !policies_.of(p).frozen; });
}

void TileSink::offer(ParameterGroup& group, Offer offer, bool last) {
  auto& offers = waiting_[&group];
  offers.push_back(std::move(offer));
  if (!last) return;
  act(group, offers);
  waiting_.erase(&group);
}

GradientStats TileSink::stats() const {
  if (!backend_.computes()) return {};
  std::array<double, 2> host{};
  backend_.download(std::as_writable_bytes(std::span(host)), stats_);
  const GradientStats mine{host[0] + gram_squares_, host[1]};
  GradientStats all;
  for (GradientStats const& part : gradient_comm_.ranks.all_gather_host(mine)) {
    all.sum_of_squares += part.sum_of_squares;
    all.nonfinite += part.nonfinite;
  }
  return all;
}

Buffer TileSink::room_for_stats_of_all() {
  if (gradient_comm_.ranks.size() == 1) return {};
  return backend_.allocate(Shape(2), DType::f64, Category::workspace, "gradient stats of all");
}

Tensor TileSink::stats_of_all(Buffer const& room) {
  if (!room) return stats_;
  sum_over_ranks(backend_, gradient_comm_.ranks, room, stats_);
  return room;
}

std::map<ParameterGroup const*, std::size_t> TileSink::waiting() const {
  std::map<ParameterGroup const*, std::size_t> counts;
  for (auto const& [group, offers] : waiting_) counts[group] = offers.size();
  return counts;
}

void TileSink::accumulate_group_norm(ParameterGroup const& group, std::vector<Offer> const& offers,
                                     float scale, NormMethod method) {
  const bool complete = locally_complete(offers, gradient_comm_.ranks);
  if (auto const* sparse = only_rows(offers); sparse != nullptr && complete) {
    return accumulate_norm(group.single(), sparse->rows, scale);
  }
  const bool all_count = std::ranges::all_of(group.members(), [this](Parameter const& p) {
    return !policies_.of(p).frozen && policies_.of(p).in_norm;
  });
  if (method == NormMethod::cheapest && all_count) {
    const GradientComm comm = complete ? GradientComm{backend_.self_group()} : gradient_comm_;
    if (const auto squared = gram_norm_squared(backend_, group, offers, comm)) {
      gram_squares_ += double{scale} * double{scale} * *squared;
      return;
    }
  }
  TileStream tiles(backend_, gradient_comm_, tiles_of(group, offers));
  while (const auto tile = tiles.next()) {
    accumulate_norm(group.members()[tile->member], tile->g, scale);
  }
}

TileRequest TileSink::tiles_of(ParameterGroup const& group,
                               std::vector<Offer> const& offers) const {
  TileRequest request{group, offers, {}};
  std::int64_t maximum = 1;
  for (std::size_t m = 0; m < group.members().size(); ++m) {
    Parameter const& p = group.members()[m];  // no rank owns more rows than the first
    const int ranks = p.sharded() ? rank_info(gradient_comm_.ranks).ranks : 1;
    maximum = std::max(maximum, owned_rows(p.whole_matrix().rows(), 0, ranks).count);
    if (!policies_.of(p).frozen) request.members.push_back(m);
  }
  request.rows = tile_.rows_for(Shape(maximum, group.members().front().matrix().cols()));
  return request;
}

void TileSink::accumulate_norm(Parameter const& parameter, Tensor g, float scale) {
  if (!counts(parameter)) return;
  // 0 times what is not finite is not finite either.
  backend_.accumulate_squared_norm(stats_, g, policies_.of(parameter).in_norm ? scale : 0);
}

bool TileSink::counts(Parameter const& parameter) const {
  return parameter.sharded() || gradient_comm_.ranks.rank() == 0;
}

StepContext TileSink::step_for(Parameter const& parameter, StepContext step) const {
  ParameterPolicy const& policy = policies_.of(parameter);
  step.lr *= policy.lr_factor;
  step.weight_decay = policy.weight_decay;
  if (!counts(parameter)) step.rounding_stats = {};
  return step;
}

EmbeddingOffer const* only_rows(std::vector<Offer> const& offers) {
  return offers.size() == 1 ? std::get_if<EmbeddingOffer>(&offers.front()) : nullptr;
}

}  // namespace lomo
