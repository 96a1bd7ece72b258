#pragma once
#include <cstdint>

namespace lomo {

/// Rotary position scaling as Hugging Face's `rope_scaling` names it.
struct RopeScaling {
  enum class Kind : std::uint8_t { none, linear, llama3, yarn };
  Kind kind = Kind::none;
  double factor = 1;
  double low_freq_factor = 1;      // llama3
  double high_freq_factor = 4;     // llama3
  double original_context = 8192;  // llama3, yarn: original_max_position_embeddings
  // ---- yarn (Peng et al. 2023, arXiv 2309.00071)
  double beta_fast = 32,
         beta_slow = 1;         // turns within the original context: kept above, slowed below
  double attention_factor = 1;  // of the turned queries and keys
  bool truncate = true;         // the bounds between are whole pairs
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
  float attention_scale = 0;  // of the scores
  float residual_scale = 1;   // of what a branch adds to the residual stream
  bool rotates = true;        // queries and keys, by their positions
  float rotary_scale = 1;     // of what turns
  std::int64_t window = 0;    // keys a query sees, its own among them; 0: all before it
};

}  // namespace lomo
