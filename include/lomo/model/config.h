#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lomo/core/dtype.h"
#include "lomo/model/spec.h"

namespace lomo {

/// The shape of a LLaMA-architecture model.
struct ModelConfig {
  std::int64_t width = 0;       // C, hidden_size
  std::int64_t layers = 0;      // L, num_hidden_layers
  std::int64_t heads = 0;       // H, num_attention_heads
  std::int64_t kv_heads = 0;    // G, num_key_value_heads
  std::int64_t head_width = 0;  // D, head_dim, default C / H
  std::int64_t ffn = 0;         // F, intermediate_size
  std::int64_t vocab = 0;       // V, vocab_size
  std::int64_t context = 0;     // max_position_embeddings
  float norm_eps = 1e-6f;
  double rope_theta = 10000;
  RopeScaling rope_scaling;
  bool tied_embeddings = false;
  float init_range = 0.02f;   // initializer_range
  DType dtype = DType::bf16;  // torch_dtype: what the checkpoint stores

  LayerSpec layer() const { return {width, heads, kv_heads, head_width, ffn, norm_eps}; }
  /// Elements of all weights.
  std::int64_t parameters() const;
  bool operator==(ModelConfig const&) const = default;
};

/// Angles per position of each rotary pair, (D/2): theta^(-2i/D), scaled as rope_scaling says.
std::vector<float> rope_frequencies(ModelConfig const& config);

}  // namespace lomo
