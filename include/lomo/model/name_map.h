#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace lomo {

/// Hugging Face names of a model's weights, by the part that each plays. What reads, writes,
/// checks, counts or initialises weights has their names from here.
struct NameMap {
  std::string embedding = "model.embed_tokens.weight", norm = "model.norm.weight",
              head = "lm_head.weight";

  /// Those of one decoder layer.
  struct Layer {
    std::string norm1, q, k, v, out, norm2, gate, up, down;
    std::string q_norm, k_norm;  // of heads
    std::string qkv, gate_up;    // on disk in place of q, k, v and gate, up where those are fused
  };
  Layer layer(std::int64_t l) const;

  /// "a.bias" of "a.weight".
  static std::string bias_of(std::string_view weight);
  static bool is_bias(std::string_view name) { return name.ends_with(".bias"); }
  /// Whether it names a weight that some layer of some family has.
  static bool is_of_a_layer(std::string_view name);
  /// Whether checkpoints may hold such a tensor beside the weights, which nothing reads.
  static bool is_ignored(std::string_view name);
};

}  // namespace lomo
