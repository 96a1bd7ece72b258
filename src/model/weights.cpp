#include "lomo/model/weights.h"

#include <string>
#include <utility>

#include "lomo/model/name_map.h"

namespace lomo {

namespace {

using Specs = std::vector<ParameterGroup::Spec>;  // names and rows

/// Weights that lie side by side: matrices that read the same `inputs`, or a vector (inputs 0).
/// `fused`: the one tensor that they are on disk, or empty.
struct GroupShape {
  Specs members;
  std::int64_t inputs = 0;
  bool biased = false;
  std::string fused = {};
};

/// One decoder layer.
struct BlockShape {
  GroupShape norm1, qkv, q_norm, k_norm, out, norm2, gate_up, down;
  BlockShape(ModelConfig const& c, std::int64_t layer) {
    const NameMap::Layer name = NameMap().layer(layer);
    const std::int64_t query = c.heads * c.head_width, key = c.kv_heads * c.head_width;
    norm1 = {{{name.norm1, c.width}}};
    qkv = {{{name.q, query}, {name.k, key}, {name.v, key}}, c.width, c.qkv_bias};
    if (c.head_norm) {
      q_norm = {{{name.q_norm, c.head_width}}};
      k_norm = {{{name.k_norm, c.head_width}}};
    }
    out = {{{name.out, c.width}}, query, c.out_bias};
    norm2 = {{{name.norm2, c.width}}};
    gate_up = {{{name.gate, c.ffn}, {name.up, c.ffn}}, c.width, c.mlp_bias};
    down = {{{name.down, c.width}}, c.ffn, c.mlp_bias};
    if (c.fused_projections) {
      qkv.fused = name.qkv;
      gate_up.fused = name.gate_up;
    }
  }
  std::vector<GroupShape const*> all() const {
    return {&norm1, &qkv, &q_norm, &k_norm, &out, &norm2, &gate_up, &down};
  }
};

GroupShape embedding_shape(ModelConfig const& c) {
  return {{{NameMap().embedding, c.vocab}}, c.width};
}
GroupShape norm_shape(ModelConfig const& c) {
  return {{{NameMap().norm, c.width}}};
}
GroupShape head_shape(ModelConfig const& c) {
  return {{{NameMap().head, c.vocab}}, c.width};
}

void list(GroupShape const& shape, std::vector<WeightShape>& all) {
  if (!shape.fused.empty()) {
    std::int64_t rows = 0;
    for (auto const& member : shape.members) rows += member.rows;
    all.push_back({shape.fused, {rows, shape.inputs}, shape.members});
  } else {
    for (auto const& member : shape.members) {
      all.push_back({member.name, {member.rows}});
      if (shape.inputs > 0) all.back().shape.push_back(shape.inputs);
    }
  }
  if (!shape.biased) return;
  for (auto const& member : shape.members) {
    all.push_back({NameMap::bias_of(member.name), {member.rows}});
  }
}

/// Makes the groups of weights at one place.
struct Maker {
  Backend& backend;
  DType dtype;
  RankInfo info;

  ParameterGroup matrix(GroupShape const& shape) const {
    return {backend, dtype, shape.members, shape.inputs, info};
  }
  RmsNorm norm(GroupShape const& shape) const {
    return {{backend, dtype, shape.members.front().name, shape.members.front().rows}};
  }
  std::optional<RmsNorm> norm_if_any(GroupShape const& shape) const {
    if (shape.members.empty()) return std::nullopt;
    return norm(shape);
  }
  Linear linear(GroupShape const& shape) const {
    Linear linear{matrix(shape), {}};
    if (!shape.biased) return linear;
    for (auto const& member : shape.members) {
      linear.biases.emplace_back(backend, dtype, NameMap::bias_of(member.name), member.rows);
    }
    return linear;
  }
  BlockWeights block(BlockShape const& shape) const {
    return {.norm1 = norm(shape.norm1),
            .qkv = linear(shape.qkv),
            .q_norm = norm_if_any(shape.q_norm),
            .k_norm = norm_if_any(shape.k_norm),
            .out = linear(shape.out),
            .norm2 = norm(shape.norm2),
            .gate_up = linear(shape.gate_up),
            .down = linear(shape.down)};
  }
};

template <class Block, class Group>
std::vector<Group*> groups_of(Block& block) {
  std::vector<Group*> all;
  const auto add = [&all](auto& linear) {
    all.push_back(&linear.weight);
    for (auto& bias : linear.biases) all.push_back(&bias);
  };
  all.push_back(&block.norm1.weight);
  add(block.qkv);
  if (block.q_norm) all.push_back(&block.q_norm->weight);
  if (block.k_norm) all.push_back(&block.k_norm->weight);
  add(block.out);
  all.push_back(&block.norm2.weight);
  add(block.gate_up);
  add(block.down);
  return all;
}

}  // namespace

std::vector<ParameterGroup*> BlockWeights::groups() {
  return groups_of<BlockWeights, ParameterGroup>(*this);
}

std::vector<ParameterGroup const*> BlockWeights::groups() const {
  return groups_of<BlockWeights const, ParameterGroup const>(*this);
}

DecoderWeights::DecoderWeights(Backend& backend, ModelConfig const& c, DType dtype, RankInfo info)
    : embedding(Maker{backend, dtype, info}.matrix(embedding_shape(c))),
      norm(Maker{backend, dtype, info}.norm(norm_shape(c))),
      on_disk(weight_shapes(c)) {
  const Maker make{backend, dtype, info};
  blocks.reserve(static_cast<std::size_t>(c.layers));
  for (std::int64_t layer = 0; layer < c.layers; ++layer) {
    blocks.push_back(make.block(BlockShape(c, layer)));
  }
  if (!c.tied_embeddings) {
    lm_head = std::make_unique<ParameterGroup>(make.matrix(head_shape(c)));
  }
}

std::vector<ParameterGroup*> DecoderWeights::groups() {
  std::vector<ParameterGroup*> all{&embedding};
  for (auto& block : blocks) {
    for (ParameterGroup* group : block.groups()) all.push_back(group);
  }
  all.push_back(&norm.weight);
  if (lm_head) all.push_back(lm_head.get());
  return all;
}

std::vector<WeightShape> weight_shapes(ModelConfig const& c) {
  std::vector<WeightShape> all;
  list(embedding_shape(c), all);
  for (std::int64_t layer = 0; layer < c.layers; ++layer) {
    const BlockShape block(c, layer);
    for (GroupShape const* group : block.all()) list(*group, all);
  }
  list(norm_shape(c), all);
  if (!c.tied_embeddings) list(head_shape(c), all);
  return all;
}

std::int64_t ModelConfig::parameters() const {
  ModelConfig one = *this;
  one.layers = 1;
  const auto elements = [](ModelConfig const& config) {
    std::int64_t sum = 0;
    for (WeightShape const& weight : weight_shapes(config)) {
      std::int64_t product = 1;
      for (const std::int64_t extent : weight.shape) product *= extent;
      sum += product;
    }
    return sum;
  };
  ModelConfig none = one;
  none.layers = 0;
  const std::int64_t rest = elements(none);
  return rest + layers * (elements(one) - rest);  // layers are alike
}

}  // namespace lomo
