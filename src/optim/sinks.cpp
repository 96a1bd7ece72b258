#include "lomo/optim/sinks.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "gram_norm.h"
#include "lomo/core/error.h"
#include "lomo/parallel/sum_over_ranks.h"

namespace lomo {

namespace {

/// The offers of a group whose gradient is a few rows of a matrix, or null.
EmbeddingOffer const* only_rows(std::vector<Offer> const& offers) {
  return offers.size() == 1 ? std::get_if<EmbeddingOffer>(&offers.front()) : nullptr;
}

}  // namespace

std::int64_t TileSize::rows_for(Shape parameter) const {
  const auto row_bytes = static_cast<std::size_t>(parameter.cols()) * sizeof(float);
  auto rows = static_cast<std::int64_t>(bytes / std::max<std::size_t>(row_bytes, 1));
  if (rows > 8) rows -= rows % 8;
  return std::clamp<std::int64_t>(rows, 1, std::max<std::int64_t>(parameter.rows(), 1));
}

double GradientStats::norm() const {
  return finite() ? std::sqrt(sum_of_squares) : std::numeric_limits<double>::infinity();
}

// ---- what tile sinks share

TileSink::TileSink(Backend& backend, TileSize tile, GradientComm gradient_comm)
    : backend_(backend),
      tile_(tile),
      gradient_comm_(gradient_comm),
      tiles_(backend, gradient_comm),
      stats_(backend.allocate(Shape(2), DType::f64, Category::workspace, "gradient stats")) {
  backend_.zero(stats_);
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
  if (auto const* sparse = only_rows(offers);
      sparse != nullptr && locally_complete(offers, gradient_comm_.ranks)) {
    backend_.accumulate_squared_norm(stats_, sparse->rows, scale);
    return;
  }
  if (method == NormMethod::cheapest) {
    const bool complete = locally_complete(offers, gradient_comm_.ranks);
    const GradientComm comm = complete ? GradientComm{backend_.self_group()} : gradient_comm_;
    if (const auto squared = gram_norm_squared(backend_, group, offers, comm)) {
      gram_squares_ += double{scale} * double{scale} * *squared;
      return;
    }
  }
  tiles_.for_each(group, GradientTiles::all(group), offers, tile_rows(group),
                  [&](GradientTile const& tile) {
                    accumulate_norm(group.members()[tile.member], tile.g, scale);
                  });
}

std::int64_t TileSink::tile_rows(ParameterGroup const& group) const {
  std::int64_t maximum = 1;
  for (Parameter const& p : group.members()) {  // no rank owns more rows than the first
    const int ranks = p.sharded() ? rank_info(gradient_comm_.ranks).ranks : 1;
    maximum = std::max(maximum, owned_rows(p.whole_matrix().rows(), 0, ranks).count);
  }
  return tile_.rows_for(Shape(maximum, group.members().front().matrix().cols()));
}

void TileSink::accumulate_norm(Parameter const& parameter, Tensor g, float scale) {
  if (counts(parameter)) backend_.accumulate_squared_norm(stats_, g, scale);
}

bool TileSink::counts(Parameter const& parameter) const {
  return parameter.sharded() || gradient_comm_.ranks.rank() == 0;
}

// ---- LOMO

FusedUpdate::FusedUpdate(Backend& backend, TileSize tile, UpdateRule& rule, StepContext const& step,
                         std::size_t tensors, GradientComm gradient_comm)
    : TileSink(backend, tile, gradient_comm), rule_(rule), step_(step) {
  if (tensors == 0) return;
  marks_ = backend.allocate(Shape(static_cast<std::int64_t>(tensors), 2), DType::f64,
                            Category::workspace, "gradient stats by tensor");
  found_inf_ = room_for_stats_of_all();
}

/// Looks at a tile where no gradient check ran before.
void FusedUpdate::validate(Parameter const& parameter, Tensor g) {
  if (!validated()) accumulate_norm(parameter, g, step_.gradient.scale);
}

/// What stops an update: after a gradient check nothing; without one all ranks must see what any of
/// them has met so far.
Tensor FusedUpdate::found_inf() {
  if (validated()) return {};
  return stats_of_all(found_inf_);
}

void FusedUpdate::mark(Parameter const& parameter) {
  if (validated()) return;
  const auto row = static_cast<std::int64_t>(marked_.size());
  const Tensor met = found_inf_ ? found_inf_ : stats_;
  backend_.copy(marks_.tensor().row_block(row, 1), met.reshaped(Shape(1, 2)));
  marked_.push_back(parameter.name);
}

FusedUpdate::UpdatedTensors FusedUpdate::outcome() const {
  std::vector<double> host(2 * marked_.size());
  backend_.download(std::as_writable_bytes(std::span(host)),
                    marks_.tensor().row_block(0, static_cast<std::int64_t>(marked_.size())));
  UpdatedTensors outcome;
  for (std::size_t i = 0; i < marked_.size(); ++i) {
    if (host[2 * i + 1] != 0) {
      outcome.stopped_in = marked_[i];
      break;
    }
    outcome.updated.push_back(marked_[i]);
  }
  return outcome;
}

void FusedUpdate::act(ParameterGroup& group, std::vector<Offer>& offers) {
  auto const* sparse = only_rows(offers);
  if (sparse != nullptr && rule_.takes_rows() && locally_complete(offers, gradient_comm_.ranks)) {
    validate(group.single(), sparse->rows);
    rule_.apply_rows(group.single(), sparse->ids, sparse->rows, step_, found_inf());
    mark(group.single());
    return;
  }
  if (rule_.residency() == Residency::tensor) {
    for (std::size_t m = 0; m < group.members().size(); ++m) apply_whole(group, m, offers);
    return;
  }
  const bool as_partials = validated() && rule_.fuses_reduction();  // who looks must have the sum
  const auto use = [&](GradientTile const& tile) {
    Parameter& parameter = group.members()[tile.member];
    const StepContext step = step_for(parameter);
    if (as_partials) return rule_.apply_partials(parameter, tile.rows, tile.g, step, {});
    validate(parameter, tile.g);
    rule_.apply(parameter, tile.rows.first, tile.g, step, found_inf());
    if (tile.last) mark(parameter);
  };
  tiles_.for_each(group, GradientTiles::all(group), offers, tile_rows(group), use,
                  as_partials ? GradientTiles::Reduction::use : GradientTiles::Reduction::tiles);
}

void FusedUpdate::apply_whole(ParameterGroup& group, std::size_t member,
                              std::vector<Offer> const& offers) {
  Parameter& parameter = group.members()[member];
  const Tensor value = parameter.matrix();
  const Buffer gradient =
      backend_.allocate(value.shape(), DType::f32, Category::gradients, "gradient tile");
  tiles_.for_each(
      group, {member, member + 1}, offers,
      gradient_comm_.ranks.size() == 1 ? value.rows() : tile_rows(group),
      [&](GradientTile const& tile) { validate(parameter, tile.g); },
      GradientTiles::Reduction::tiles,
      [&](std::size_t, std::int64_t first, std::int64_t rows) {
        return gradient.tensor().row_block(first, rows);
      });
  rule_.apply(parameter, 0, gradient, step_for(parameter), found_inf());
  mark(parameter);
}

StepContext FusedUpdate::step_for(Parameter const& parameter) const {
  StepContext step = step_;
  if (!counts(parameter)) step.rounding_stats = {};
  return step;
}

// ---- the norm pass

NormProbe::NormProbe(Backend& backend, TileSize tile, float scale, NormMethod method,
                     GradientComm gradient_comm)
    : TileSink(backend, tile, gradient_comm), scale_(scale), method_(method) {}

void NormProbe::act(ParameterGroup& group, std::vector<Offer>& offers) {
  accumulate_group_norm(group, offers, scale_, method_);
}

// ---- stored gradients

KeepGradients::KeepGradients(Backend& backend, TileSize tile,
                             std::vector<ParameterGroup*> const& groups, float scale,
                             GradientComm gradient_comm)
    : TileSink(backend, tile, gradient_comm), groups_(groups), scale_(scale) {
  for (auto const* group : groups_) {
    for (auto const& parameter : group->members()) {
      gradients_.emplace(
          &parameter, backend.allocate(parameter.matrix().shape(), DType::f32, Category::gradients,
                                       parameter.name + " gradient"));
    }
  }
}

Tensor KeepGradients::gradient(Parameter const& parameter) const {
  const auto found = gradients_.find(&parameter);
  if (found == gradients_.end()) throw Error("no gradient is kept for " + parameter.name);
  return found->second;
}

void KeepGradients::act(ParameterGroup& group, std::vector<Offer>& offers) {
  std::vector<Parameter> const& members = group.members();
  tiles_.for_each(
      group, GradientTiles::all(group), offers, tile_rows(group),
      [&](GradientTile const& tile) { accumulate_norm(members[tile.member], tile.g, scale_); },
      GradientTiles::Reduction::tiles,
      [&](std::size_t member, std::int64_t first, std::int64_t rows) {
        return gradient(members[member]).row_block(first, rows);  // of (owned,I)
      });
}

void KeepGradients::apply(UpdateRule& rule, StepContext const& step) {
  const Buffer of_all = room_for_stats_of_all();
  const Tensor found_inf = stats_of_all(of_all);
  for (auto* group : groups_) {
    for (auto& parameter : group->members()) {
      StepContext of_parameter = step;
      if (!counts(parameter)) of_parameter.rounding_stats = {};
      rule.apply(parameter, 0, gradient(parameter), of_parameter, found_inf);
    }
  }
}

}  // namespace lomo
