#include "lomo/model/weights.h"

#include <string>

namespace lomo {

BlockWeights::BlockWeights(Backend& backend, ModelConfig const& c, DType dtype, std::int64_t layer,
                           RankInfo info)
    : BlockWeights(backend, c, dtype, "model.layers." + std::to_string(layer) + ".", info) {}

BlockWeights::BlockWeights(Backend& backend, ModelConfig const& c, DType dtype,
                           std::string const& prefix, RankInfo info)
    : norm1(backend, dtype, prefix + "input_layernorm.weight", c.width),
      qkv(backend, dtype,
          {{prefix + "self_attn.q_proj.weight", c.heads * c.head_width},
           {prefix + "self_attn.k_proj.weight", c.kv_heads * c.head_width},
           {prefix + "self_attn.v_proj.weight", c.kv_heads * c.head_width}},
          c.width, info),
      out(backend, dtype, {{prefix + "self_attn.o_proj.weight", c.width}}, c.heads * c.head_width,
          info),
      norm2(backend, dtype, prefix + "post_attention_layernorm.weight", c.width),
      gate_up(backend, dtype,
              {{prefix + "mlp.gate_proj.weight", c.ffn}, {prefix + "mlp.up_proj.weight", c.ffn}},
              c.width, info),
      down(backend, dtype, {{prefix + "mlp.down_proj.weight", c.width}}, c.ffn, info) {}

LlamaWeights::LlamaWeights(Backend& backend, ModelConfig const& c, DType dtype, RankInfo info)
    : embedding(backend, dtype, {{"model.embed_tokens.weight", c.vocab}}, c.width, info),
      norm(backend, dtype, "model.norm.weight", c.width) {
  blocks.reserve(static_cast<std::size_t>(c.layers));
  for (std::int64_t layer = 0; layer < c.layers; ++layer) {
    blocks.emplace_back(backend, c, dtype, layer, info);
  }
  if (!c.tied_embeddings) {
    lm_head = std::make_unique<ParameterGroup>(
        backend, dtype, std::vector<ParameterGroup::Spec>{{"lm_head.weight", c.vocab}}, c.width,
        info);
  }
}

std::vector<ParameterGroup*> LlamaWeights::groups() {
  std::vector<ParameterGroup*> all{&embedding};
  for (auto& block : blocks) {
    for (auto* group :
         {&block.norm1, &block.qkv, &block.out, &block.norm2, &block.gate_up, &block.down}) {
      all.push_back(group);
    }
  }
  all.push_back(&norm);
  if (lm_head) all.push_back(lm_head.get());
  return all;
}

std::vector<WeightShape> weight_shapes(ModelConfig const& c) {
  const std::int64_t query = c.heads * c.head_width, key = c.kv_heads * c.head_width;
  std::vector<WeightShape> all{{"model.embed_tokens.weight", {c.vocab, c.width}}};
  for (std::int64_t layer = 0; layer < c.layers; ++layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    all.push_back({prefix + "input_layernorm.weight", {c.width}});
    all.push_back({prefix + "self_attn.q_proj.weight", {query, c.width}});
    all.push_back({prefix + "self_attn.k_proj.weight", {key, c.width}});
    all.push_back({prefix + "self_attn.v_proj.weight", {key, c.width}});
    all.push_back({prefix + "self_attn.o_proj.weight", {c.width, query}});
    all.push_back({prefix + "post_attention_layernorm.weight", {c.width}});
    all.push_back({prefix + "mlp.gate_proj.weight", {c.ffn, c.width}});
    all.push_back({prefix + "mlp.up_proj.weight", {c.ffn, c.width}});
    all.push_back({prefix + "mlp.down_proj.weight", {c.width, c.ffn}});
  }
  all.push_back({"model.norm.weight", {c.width}});
  if (!c.tied_embeddings) all.push_back({"lm_head.weight", {c.vocab, c.width}});
  return all;
}

}  // namespace lomo
