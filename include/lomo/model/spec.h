#pragma once
#include <cstdint>

namespace lomo {

/// Rotary position scaling as Hugging Face's `rope_scaling` names it.
struct RopeScaling {
  enum class Kind : std::uint8_t { none, linear, llama3 };
  Kind kind = Kind::none;
  double factor = 1;
  double low_freq_factor = 1;      // llama3
  double high_freq_factor = 4;     // llama3
  double original_context = 8192;  // llama3: original_max_position_embeddings
  bool operator==(RopeScaling const&) const = default;
};

/// What one decoder layer computes: all that src/model/layers asks about a model.
struct LayerSpec {
  std::int64_t width = 0;       // C
  std::int64_t heads = 0;       // H
  std::int64_t kv_heads = 0;    // G
  std::int64_t head_width = 0;  // D
  std::int64_t ffn = 0;         // F
  float norm_eps = 1e-6f;
};

}  // namespace lomo
