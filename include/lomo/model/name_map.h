#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace lomo {

/// Hugging Face names of a model's weights, by the part that each plays. What reads, writes,
/// checks, counts or initialises weights has their names from here.
struct NameMap {
  std::string embedding, norm, head;

  /// Those of one decoder layer.
  struct Layer {
    std::string norm1, q, k, v, out, norm2, gate, up, down;
  };
  Layer layer(std::int64_t l) const;

  /// Whether checkpoints may hold such a tensor beside the weights, which nothing reads.
  static bool is_ignored(std::string_view name);
};

/// The names of the LLaMA family (src/model/families).
NameMap llama_names();

}  // namespace lomo
