#include "lomo/optim/sinks.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "gram_norm.h"
#include "lomo/core/error.h"

namespace lomo {

namespace {

/// The offers of a group whose gradient is a few rows of a matrix, or null.
EmbeddingOffer const* only_rows(std::vector<Offer> const& offers) {
  return offers.size() == 1 ? std::get_if<EmbeddingOffer>(&offers.front()) : nullptr;
}

}  // namespace

std::int64_t TileSize::rows_for(Shape parameter) const {
  const auto row_bytes = static_cast<std::size_t>(parameter.cols()) * sizeof(float);
  const auto rows = static_cast<std::int64_t>(bytes / std::max<std::size_t>(row_bytes, 1));
  return std::clamp<std::int64_t>(rows, 1, std::max<std::int64_t>(parameter.rows(), 1));
}

double GradientStats::norm() const {
  return finite() ? std::sqrt(sum_of_squares) : std::numeric_limits<double>::infinity();
}

// ---- what tile sinks share

TileSink::TileSink(Backend& backend, TileSize tile)
    : backend_(backend),
      tile_(tile),
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
  return {host[0] + gram_squares_, host[1]};
}

std::map<ParameterGroup const*, std::size_t> TileSink::waiting() const {
  std::map<ParameterGroup const*, std::size_t> counts;
  for (auto const& [group, offers] : waiting_) counts[group] = offers.size();
  return counts;
}

void TileSink::measure_group(ParameterGroup const& group, std::vector<Offer> const& offers,
                             float scale, NormMethod method) {
  if (auto const* sparse = only_rows(offers)) {
    backend_.measure(stats_, sparse->rows, scale);
    return;
  }
  if (method == NormMethod::cheapest) {
    if (const auto squared = gram_norm_squared(backend_, group, offers)) {
      gram_squares_ += double{scale} * double{scale} * *squared;
      return;
    }
  }
  for (std::size_t m = 0; m < group.members().size(); ++m) {
    const std::int64_t tile_rows = tile_.rows_for(group.members()[m].matrix().shape());
    for_each_tile(group, m, offers, tile_rows,
                  [&](std::int64_t, Tensor g) { backend_.measure(stats_, g, scale); });
  }
}

void TileSink::for_each_tile(ParameterGroup const& group, std::size_t member,
                             std::vector<Offer> const& offers, std::int64_t tile_rows,
                             TileUse const& use) {
  const Shape whole = group.members()[member].matrix().shape();  // (O,I)
  Buffer scratch = backend_.allocate(Shape(tile_rows, whole.cols()), DType::f32,
                                     Category::gradients, "gradient tile");
  for (std::int64_t first = 0; first < whole.rows(); first += tile_rows) {
    const std::int64_t rows = std::min(tile_rows, whole.rows() - first);
    const Tensor g = scratch.tensor().row_block(0, rows);  // (t,I)
    render(backend_, offers, group, member, first, g);
    use(first, g);
  }
}

// ---- LOMO

FusedUpdate::FusedUpdate(Backend& backend, TileSize tile, UpdateRule& rule, StepContext const& step,
                         std::size_t tensors)
    : TileSink(backend, tile), rule_(rule), step_(step) {
  if (tensors == 0) return;
  marks_ = backend.allocate(Shape(static_cast<std::int64_t>(tensors), 2), DType::f64,
                            Category::workspace, "gradient stats by tensor");
}

void FusedUpdate::mark(Parameter const& parameter) {
  if (!marks_) return;
  const auto row = static_cast<std::int64_t>(marked_.size());
  backend_.copy(marks_.tensor().row_block(row, 1), stats_.tensor().reshaped(Shape(1, 2)));
  marked_.push_back(parameter.name);
}

FusedUpdate::Outcome FusedUpdate::outcome() const {
  std::vector<double> host(2 * marked_.size());
  backend_.download(std::as_writable_bytes(std::span(host)),
                    marks_.tensor().row_block(0, static_cast<std::int64_t>(marked_.size())));
  Outcome outcome;
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
  const float scale = step_.gradient.scale;
  if (auto const* sparse = only_rows(offers); sparse != nullptr && rule_.takes_rows()) {
    backend_.measure(stats_, sparse->rows, scale);
    rule_.apply_rows(group.single(), sparse->ids, sparse->rows, step_, stats_);
    mark(group.single());
    return;
  }
  for (std::size_t m = 0; m < group.members().size(); ++m) {
    Parameter& parameter = group.members()[m];
    const Shape whole = parameter.matrix().shape();
    const std::int64_t tile_rows =
        rule_.residency() == Residency::tensor ? whole.rows() : tile_.rows_for(whole);
    for_each_tile(group, m, offers, tile_rows, [&](std::int64_t first, Tensor g) {
      backend_.measure(stats_, g, scale);
      rule_.apply(parameter, first, g, step_, stats_);
    });
    mark(parameter);
  }
}

// ---- the norm pass

NormProbe::NormProbe(Backend& backend, TileSize tile, float scale, NormMethod method)
    : TileSink(backend, tile), scale_(scale), method_(method) {}

void NormProbe::act(ParameterGroup& group, std::vector<Offer>& offers) {
  measure_group(group, offers, scale_, method_);
}

// ---- stored gradients

KeepGradients::KeepGradients(Backend& backend, TileSize tile,
                             std::vector<ParameterGroup*> const& groups, float scale)
    : TileSink(backend, tile), groups_(groups), scale_(scale) {
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
  for (std::size_t m = 0; m < group.members().size(); ++m) {
    const Tensor whole = gradient(group.members()[m]);  // (O,I)
    const std::int64_t tile_rows = tile_.rows_for(whole.shape());
    for (std::int64_t first = 0; first < whole.rows(); first += tile_rows) {
      const std::int64_t rows = std::min(tile_rows, whole.rows() - first);
      const Tensor g = whole.row_block(first, rows);
      render(backend_, offers, group, m, first, g);
      backend_.measure(stats_, g, scale_);
    }
  }
}

void KeepGradients::apply(UpdateRule& rule, StepContext const& step) {
  for (auto* group : groups_) {
    for (auto& parameter : group->members()) {
      rule.apply(parameter, 0, gradient(parameter), step, stats_);
    }
  }
}

}  // namespace lomo
