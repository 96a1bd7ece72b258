#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lomo/core/dtype.h"
#include "lomo/model/spec.h"

namespace lomo {

/// A decoder of the LLaMA kind: its shape, and in what it differs from LLaMA.
struct ModelConfig {
  std::string family = "llama";  // model_type
  std::int64_t width = 0;        // C, hidden_size
  std::int64_t layers = 0;       // L, num_hidden_layers
  std::int64_t heads = 0;        // H, num_attention_heads
  std::int64_t kv_heads = 0;     // G, num_key_value_heads
  std::int64_t head_width = 0;   // D, head_dim, default C / H
  std::int64_t ffn = 0;          // F, intermediate_size
  std::int64_t vocab = 0;        // V, vocab_size
  std::int64_t context = 0;      // max_position_embeddings
  float norm_eps = 1e-6f;
  double rope_theta = 10000;
  RopeScaling rope_scaling;
  std::int64_t rotary_width = 0;  // R, columns of a head that turn; 0: all D
  bool tied_embeddings = false;
  float init_range = 0.02f;   // initializer_range
  DType dtype = DType::bf16;  // torch_dtype: what the checkpoint stores

  bool qkv_bias = false, out_bias = false, mlp_bias = false;
  bool head_norm = false;                // an RMS norm of each query's and key's head
  bool fused_projections = false;        // on disk: q, k, v in one tensor, gate and up in another
  std::int64_t window = 0;               // see LayerSpec; 0: none
  std::vector<bool> windowed;            // L, layers with that window; empty: all
  std::vector<bool> rotates;             // L, see LayerSpec; empty: all do
  std::optional<float> attention_scale;  // none: 1 / sqrt(D)
  float embedding_scale = 1;             // of the embedded tokens
  float residual_scale = 1;              // see LayerSpec
  float logits_scale = 1;                // of the head's input

  /// Keys of its config.json that nobody knows; see unknown_key_warnings.
  std::vector<std::string> unknown_keys;

  LayerSpec layer(std::int64_t l) const;
  /// R.
  std::int64_t turned() const { return rotary_width > 0 ? rotary_width : head_width; }
  /// Elements of all weights.
  std::int64_t parameters() const;
  bool operator==(ModelConfig const&) const = default;
};

/// Angles per position of each rotary pair, (R/2): theta^(-2i/R), scaled as rope_scaling says.
std::vector<float> rope_frequencies(ModelConfig const& config);

}  // namespace lomo
