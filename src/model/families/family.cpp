#include "family.h"

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "common.h"

namespace lomo {

namespace {

bool flag(JsonReader& reader, std::string_view key, bool absent = false) {
  reader.get(key, absent);
  return absent;
}

/// Biases that the config turns on, those of attention in all four projections.
void read_biases(JsonReader& reader, ModelConfig& config) {
  config.qkv_bias = config.out_bias = flag(reader, "attention_bias");
  config.mlp_bias = flag(reader, "mlp_bias");
}

/// LLaMA (Touvron et al. 2023, arXiv 2302.13971), Llama 2 and 3.
void read_llama(JsonReader& reader, ModelConfig& config) {
  reading::read_common(reader, config, {});
  read_biases(reader, config);
  reading::only(reader, "use_sliding_window", false, "a sliding window");
  reading::read_windows(reader, config, /*on=*/false, 0);  // transformers has none here
  reader.has("max_window_layers");
}

/// Mistral (Jiang et al. 2023, arXiv 2310.06825): windows, of 4096 where the key is absent and none
/// where it is null.
void read_mistral(JsonReader& reader, ModelConfig& config) {
  Json const* const window = reader.raw("sliding_window");
  const bool off = window != nullptr && window->is_null();
  reading::read_common(reader, config, {.needs_kv_heads = true});
  reading::only(reader, "attention_bias", false, "a bias in attention");
  reading::only(reader, "mlp_bias", false, "a bias in the feed-forward layers");
  reading::read_windows(reader, config, !off, 4096);
  reader.has("max_window_layers");
}

/// Windows from layer max_window_layers on, if use_sliding_window asks for any.
void read_qwen_windows(JsonReader& reader, ModelConfig& config) {
  const bool on = flag(reader, "use_sliding_window");
  std::int64_t first = 28;
  reader.get("max_window_layers", first, {0, std::int64_t{1} << 31});
  std::vector<bool> windowed;
  for (std::int64_t l = 0; l < config.layers; ++l) windowed.push_back(l >= first);
  reading::read_windows(reader, config, on, 4096, windowed);
}

/// Qwen2, Qwen2.5 (arXiv 2407.10671): a bias on queries, keys and values.
void read_qwen2(JsonReader& reader, ModelConfig& config) {
  reading::read_common(reader, config, {.needs_kv_heads = true});
  config.qkv_bias = true;
  read_qwen_windows(reader, config);
}

/// Qwen3 (arXiv 2505.09388): a norm of each query's and key's head before they turn.
void read_qwen3(JsonReader& reader, ModelConfig& config) {
  reading::read_common(reader, config, {.needs_kv_heads = true, .head_width = 128});
  config.head_norm = true;
  config.qkv_bias = config.out_bias = flag(reader, "attention_bias");
  read_qwen_windows(reader, config);
}

/// Phi-3 and Phi-4 (arXiv 2404.14219): projections fused on disk, partial rotary embeddings.
void read_phi3(JsonReader& reader, ModelConfig& config) {
  reading::read_common(reader, config, {.norm_eps = 1e-5f, .partial_rotary = true});
  config.fused_projections = true;
  reading::only(reader, "attention_bias", false, "a bias in attention");
  reading::read_windows(reader, config, reader.has("sliding_window"), 0);
}

/// SmolLM3: layers whose queries and keys do not turn.
void read_smollm3(JsonReader& reader, ModelConfig& config) {
  reading::read_common(reader, config,
                       {.needs_kv_heads = true, .rope_theta = 2000000, .tied = true});
  read_biases(reader, config);
  std::int64_t interval = 4;  // every fourth layer does not turn
  reader.get("no_rope_layer_interval", interval, {1, std::int64_t{1} << 31});
  std::vector<std::int64_t> turns;  // 1: the layer turns
  if (!reader.get("no_rope_layers", turns, {0, 1})) {
    for (std::int64_t l = 0; l < config.layers; ++l) turns.push_back((l + 1) % interval != 0);
  }
  if (std::cmp_less(turns.size(), config.layers)) {
    reader.fail("no_rope_layers", "names " + std::to_string(turns.size()) +
                                      " layers, and there are " + std::to_string(config.layers));
  }
  turns.resize(static_cast<std::size_t>(config.layers));
  config.rotates.assign(turns.begin(), turns.end());
  // By default the layers that do not turn have the window.
  std::vector<bool> windowed = config.rotates;
  windowed.flip();
  const bool asked = flag(reader, "use_sliding_window") || reader.has("layer_types");
  reader.has("max_window_layers");
  reading::read_windows(reader, config, asked && reader.has("sliding_window"), 0, windowed);
}

/// Granite 3: four numbers that scale embeddings, scores, branches and logits.
void read_granite(JsonReader& reader, ModelConfig& config) {
  reading::read_common(reader, config, {});
  read_biases(reader, config);
  const Range<float> scale{1e-6f, 1e6f};
  float attention = 1, logits = 1;
  reader.get("embedding_multiplier", config.embedding_scale, scale);
  reader.get("residual_multiplier", config.residual_scale, scale);
  reader.get("attention_multiplier", attention, scale);
  reader.get("logits_scaling", logits, scale);
  config.attention_scale = attention;
  config.logits_scale = 1 / logits;
}

}  // namespace

std::span<Family const> families() {
  static constexpr std::array kFamilies = {Family{"llama", "LlamaForCausalLM", read_llama},
                                           Family{"mistral", "MistralForCausalLM", read_mistral},
                                           Family{"qwen2", "Qwen2ForCausalLM", read_qwen2},
                                           Family{"qwen3", "Qwen3ForCausalLM", read_qwen3},
                                           Family{"phi3", "Phi3ForCausalLM", read_phi3},
                                           Family{"smollm3", "SmolLM3ForCausalLM", read_smollm3},
                                           Family{"granite", "GraniteForCausalLM", read_granite}};
  return kFamilies;
}

std::string_view what_else(std::string_view model_type) {
  if (model_type.find("moe") != std::string_view::npos || model_type == "mixtral" ||
      model_type == "deepseek_v3" || model_type == "deepseek_v2" || model_type == "gpt_oss" ||
      model_type == "llama4") {
    return "a mixture of experts";
  }
  if (model_type.starts_with("gemma")) {
    return "a Gemma, which has norms, gates and soft caps of its own";
  }
  if (model_type.find("_vl") != std::string_view::npos || model_type == "llava" ||
      model_type == "mllama" || model_type == "idefics3") {
    return "a model that sees pictures too";
  }
  if (model_type.find("mamba") != std::string_view::npos || model_type == "jamba" ||
      model_type == "zamba2" || model_type == "lfm2" || model_type == "qwen3_next" ||
      model_type == "granitemoehybrid") {
    return "a hybrid with layers that are no attention";
  }
  return {};
}

}  // namespace lomo
