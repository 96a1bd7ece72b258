#include "lomo/optim/sinks/fused_update.h"

#include <utility>

namespace lomo {

FusedUpdate::FusedUpdate(SinkContext context, StepContext const& step, std::size_t tensors)
    : TileSink(std::move(context)), step_(step) {
  if (tensors == 0) return;
  marks_ = backend_.allocate(Shape(static_cast<std::int64_t>(tensors), 2), DType::f64,
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
  const TileRequest request = tiles_of(group, offers);
  if (request.members.empty() || apply_rows(group, offers)) return;
  const auto rule_of = [&](std::size_t m) -> UpdateRule& {
    return *policies_.of(group.members()[m]).rule;
  };
  std::vector<std::size_t> by_tile;
  bool fuse =
      validated() && comes_in_parts(group, offers, gradient_comm_);  // a check needs the sum
  for (const std::size_t m : request.members) {
    if (rule_of(m).residency() == Residency::tensor) {
      apply_whole(group, request, m);
    } else {
      by_tile.push_back(m);
      fuse = fuse && rule_of(m).fuses_reduction();
    }
  }
  TileRequest tiles = request;
  tiles.members = by_tile;
  fuse ? apply_partial_tiles(group, tiles) : apply_tiles(group, tiles);
}

/// A sparse gradient that its rule takes as it is.
bool FusedUpdate::apply_rows(ParameterGroup& group, std::vector<Offer> const& offers) {
  auto const* sparse = only_rows(offers);
  if (sparse == nullptr || !locally_complete(offers, gradient_comm_.ranks)) return false;
  Parameter& parameter = group.single();
  UpdateRule& rule = *policies_.of(parameter).rule;
  const StepContext step = step_for(parameter, step_);
  if (!rule.takes_rows(step)) return false;
  validate(parameter, sparse->rows);
  rule.apply_rows(parameter, sparse->ids, sparse->rows, step, found_inf());
  mark(parameter);
  return true;
}

void FusedUpdate::apply_tiles(ParameterGroup& group, TileRequest const& request) {
  TileStream tiles(backend_, gradient_comm_, request);
  while (const auto tile = tiles.next()) {
    Parameter& parameter = group.members()[tile->member];
    validate(parameter, tile->g);
    policies_.of(parameter).rule->apply(parameter, tile->rows.first, tile->g,
                                        step_for(parameter, step_), found_inf());
    if (tile->last) mark(parameter);
  }
}

void FusedUpdate::apply_partial_tiles(ParameterGroup& group, TileRequest const& request) {
  PartialTileStream tiles(backend_, gradient_comm_, request);
  while (const auto tile = tiles.next()) {
    Parameter& parameter = group.members()[tile->member];
    policies_.of(parameter).rule->apply_partials(parameter, tile->rows, tile->partials,
                                                 step_for(parameter, step_), /*found_inf=*/{});
  }
}

/// For a rule that wants all of a member at once.
void FusedUpdate::apply_whole(ParameterGroup& group, TileRequest request, std::size_t member) {
  Parameter& parameter = group.members()[member];
  const Tensor value = parameter.matrix();
  const Buffer gradient =
      backend_.allocate(value.shape(), DType::f32, Category::gradients, "gradient tile");
  request.members = {member};
  if (gradient_comm_.ranks.size() == 1) request.rows = value.rows();
  request.destination = [&gradient](std::size_t, std::int64_t first, std::int64_t rows) {
    return gradient.tensor().row_block(first, rows);
  };
  {
    TileStream tiles(backend_, gradient_comm_, request);
    while (const auto tile = tiles.next()) validate(parameter, tile->g);
  }
  policies_.of(parameter).rule->apply(parameter, 0, gradient, step_for(parameter, step_),
                                      found_inf());
  mark(parameter);
}

}  // namespace lomo
