#include "lomo/model/name_map.h"

namespace lomo {

NameMap::Layer NameMap::layer(std::int64_t l) const {
  const std::string at = "model.layers." + std::to_string(l) + ".";
  const std::string attention = at + "self_attn.", mlp = at + "mlp.";
  return {.norm1 = at + "input_layernorm.weight",
          .q = attention + "q_proj.weight",
          .k = attention + "k_proj.weight",
          .v = attention + "v_proj.weight",
          .out = attention + "o_proj.weight",
          .norm2 = at + "post_attention_layernorm.weight",
          .gate = mlp + "gate_proj.weight",
          .up = mlp + "up_proj.weight",
          .down = mlp + "down_proj.weight",
          .q_norm = attention + "q_norm.weight",
          .k_norm = attention + "k_norm.weight",
          .qkv = attention + "qkv_proj.weight",
          .gate_up = mlp + "gate_up_proj.weight"};
}

std::string NameMap::bias_of(std::string_view weight) {
  constexpr std::string_view kWeight = "weight";
  return std::string(weight.substr(0, weight.size() - kWeight.size())) + "bias";
}

bool NameMap::is_of_a_layer(std::string_view name) {
  const bool in_layer = name.starts_with("model.layers.");
  return in_layer &&
         (is_bias(name) || name.ends_with("norm.weight") || name.ends_with("_proj.weight"));
}

/// Rotary tables of old checkpoints.
bool NameMap::is_ignored(std::string_view name) {
  return name.ends_with("rotary_emb.inv_freq");
}

}  // namespace lomo
