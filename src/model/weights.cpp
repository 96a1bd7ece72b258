#include "lomo/model/weights.h"

#include <string>
#include <utility>

#include "lomo/model/name_map.h"

namespace lomo {

namespace {

/// Weights that lie side by side: matrices that read the same `inputs`, or a vector (inputs 0).
struct GroupShape {
  std::vector<ParameterGroup::Spec> members;  // name and rows
  std::int64_t inputs = 0;
};

/// One decoder layer.
struct BlockShape {
  GroupShape norm1, qkv, out, norm2, gate_up, down;
  BlockShape(ModelConfig const& c, std::int64_t layer) {
    const NameMap::Layer name = llama_names().layer(layer);
    const std::int64_t query = c.heads * c.head_width, key = c.kv_heads * c.head_width;
    norm1 = {{{name.norm1, c.width}}};
    qkv = {{{name.q, query}, {name.k, key}, {name.v, key}}, c.width};
    out = {{{name.out, c.width}}, query};
    norm2 = {{{name.norm2, c.width}}};
    gate_up = {{{name.gate, c.ffn}, {name.up, c.ffn}}, c.width};
    down = {{{name.down, c.width}}, c.ffn};
  }
};

GroupShape embedding_shape(ModelConfig const& c) {
  return {{{llama_names().embedding, c.vocab}}, c.width};
}
GroupShape norm_shape(ModelConfig const& c) {
  return {{{llama_names().norm, c.width}}};
}
GroupShape head_shape(ModelConfig const& c) {
  return {{{llama_names().head, c.vocab}}, c.width};
}

ParameterGroup make(Backend& backend, DType dtype, GroupShape const& shape, RankInfo info) {
  if (shape.inputs > 0) return {backend, dtype, shape.members, shape.inputs, info};
  return {backend, dtype, shape.members.front().name, shape.members.front().rows};
}

void list(GroupShape const& shape, std::vector<WeightShape>& all) {
  for (ParameterGroup::Spec const& member : shape.members) {
    all.push_back({member.name, {member.rows}});
    if (shape.inputs > 0) all.back().shape.push_back(shape.inputs);
  }
}

}  // namespace

BlockWeights::BlockWeights(Backend& backend, ModelConfig const& c, DType dtype, std::int64_t layer,
                           RankInfo info)
    : norm1{make(backend, dtype, BlockShape(c, layer).norm1, info)},
      qkv{make(backend, dtype, BlockShape(c, layer).qkv, info)},
      out{make(backend, dtype, BlockShape(c, layer).out, info)},
      norm2{make(backend, dtype, BlockShape(c, layer).norm2, info)},
      gate_up{make(backend, dtype, BlockShape(c, layer).gate_up, info)},
      down{make(backend, dtype, BlockShape(c, layer).down, info)} {}

std::vector<ParameterGroup*> BlockWeights::groups() {
  return {&norm1.weight, &qkv.weight, &out.weight, &norm2.weight, &gate_up.weight, &down.weight};
}

LlamaWeights::LlamaWeights(Backend& backend, ModelConfig const& c, DType dtype, RankInfo info)
    : embedding(make(backend, dtype, embedding_shape(c), info)),
      norm{make(backend, dtype, norm_shape(c), info)} {
  blocks.reserve(static_cast<std::size_t>(c.layers));
  for (std::int64_t layer = 0; layer < c.layers; ++layer) {
    blocks.emplace_back(backend, c, dtype, layer, info);
  }
  if (!c.tied_embeddings) {
    lm_head = std::make_unique<ParameterGroup>(make(backend, dtype, head_shape(c), info));
  }
}

std::vector<ParameterGroup*> LlamaWeights::groups() {
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
    for (GroupShape const* group :
         {&block.norm1, &block.qkv, &block.out, &block.norm2, &block.gate_up, &block.down}) {
      list(*group, all);
    }
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
