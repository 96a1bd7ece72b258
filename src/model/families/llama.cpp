// LLaMA (Touvron et al. 2023, arXiv 2302.13971) and Mistral (Jiang et al. 2023, arXiv 2310.06825):
// one architecture, whose configs differ in what absent keys mean.
#include <string>
#include <vector>

#include "family.h"
#include "lomo/model/name_map.h"

namespace lomo {

NameMap llama_names() {
  return {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"};
}

NameMap::Layer NameMap::layer(std::int64_t l) const {
  const std::string at = "model.layers." + std::to_string(l) + ".";
  return {at + "input_layernorm.weight",  at + "self_attn.q_proj.weight",
          at + "self_attn.k_proj.weight", at + "self_attn.v_proj.weight",
          at + "self_attn.o_proj.weight", at + "post_attention_layernorm.weight",
          at + "mlp.gate_proj.weight",    at + "mlp.up_proj.weight",
          at + "mlp.down_proj.weight"};
}

/// Rotary tables of old checkpoints.
bool NameMap::is_ignored(std::string_view name) {
  return name.ends_with("rotary_emb.inv_freq");
}

namespace {

// Far above any model there is, and small enough that no product of them overflows.
constexpr std::int64_t kMaxWidth = 1 << 20;
constexpr std::int64_t kMaxLayers = 1 << 14;
constexpr std::int64_t kMaxRows = 1 << 26;

// Keys of transformers' PretrainedConfig, LlamaConfig, MistralConfig and of popular exporters that
// do not take part in the computation of a forward pass.
constexpr std::string_view kInert[] = {"_attn_implementation",
                                       "_attn_implementation_autoset",
                                       "_commit_hash",
                                       "_flash_attn_2_enabled",
                                       "_name_or_path",
                                       "attn_implementation",
                                       "bad_words_ids",
                                       "begin_suppress_tokens",
                                       "bos_token_id",
                                       "decoder_start_token_id",
                                       "diversity_penalty",
                                       "do_sample",
                                       "early_stopping",
                                       "encoder_no_repeat_ngram_size",
                                       "eos_token_id",
                                       "exponential_decay_length_penalty",
                                       "finetuning_task",
                                       "forced_bos_token_id",
                                       "forced_eos_token_id",
                                       "id2label",
                                       "is_llama_config",
                                       "label2id",
                                       "length_penalty",
                                       "max_length",
                                       "max_sequence_length",
                                       "max_window_layers",
                                       "min_length",
                                       "model_max_length",
                                       "no_repeat_ngram_size",
                                       "num_beam_groups",
                                       "num_beams",
                                       "num_return_sequences",
                                       "output_attentions",
                                       "output_hidden_states",
                                       "output_scores",
                                       "pad_token_id",
                                       "prefix",
                                       "problem_type",
                                       "remove_invalid_values",
                                       "repetition_penalty",
                                       "return_dict",
                                       "return_dict_in_generate",
                                       "sep_token_id",
                                       "suppress_tokens",
                                       "task_specific_params",
                                       "temperature",
                                       "tf_legacy_loss",
                                       "tokenizer_class",
                                       "top_k",
                                       "top_p",
                                       "torchscript",
                                       "transformers.js_config",
                                       "transformers_version",
                                       "typical_p",
                                       "unk_token_id",
                                       "unsloth_fixed",
                                       "unsloth_version",
                                       "use_bfloat16",
                                       "use_cache"};

/// Refuses the key unless it is absent or has the one value that leaves the computation alone.
void only(JsonReader& reader, std::string_view key, Json const& supported, std::string const& why) {
  Json const* found = reader.raw(key);
  if (found == nullptr || *found == supported) return;
  reader.fail(key, why + " is not supported (only " + supported.dump() + ")");
}

/// Keys that some LLaMA-like models have and that would change the computation.
void refuse_unsupported(JsonReader& reader) {
  only(reader, "hidden_act", "silu", "this activation");
  only(reader, "attention_bias", false, "a bias in attention");
  only(reader, "mlp_bias", false, "a bias in the feed-forward layers");
  only(reader, "attention_dropout", 0.0, "dropout");
  only(reader, "hidden_dropout", 0.0, "dropout");
  only(reader, "resid_pdrop", 0.0, "dropout");
  only(reader, "embd_pdrop", 0.0, "dropout");
  only(reader, "pretraining_tp", 1, "slicing of the linear layers");
  only(reader, "partial_rotary_factor", 1.0, "a partial rotary embedding");
  only(reader, "rope_interleaved", false, "the interleaved rotary layout");
  only(reader, "is_decoder", false, "this form of decoder");
  only(reader, "is_encoder_decoder", false, "an encoder");
  only(reader, "add_cross_attention", false, "cross attention");
  only(reader, "tie_encoder_decoder", false, "an encoder");
  only(reader, "cross_attention_hidden_size", nullptr, "cross attention");
  only(reader, "chunk_size_feed_forward", 0, "chunking");
  only(reader, "use_sliding_window", false, "a sliding window");
  if (Json const* heads = reader.raw("pruned_heads"); heads != nullptr && !heads->empty()) {
    reader.fail("pruned_heads", "pruned heads are not supported");
  }
  if (reader.has("quantization_config")) {
    reader.fail("quantization_config",
                "quantized weights are not supported; use the model as it was before "
                "quantization, in float32, bfloat16 or float16");
  }
  std::vector<std::string> layers;
  reader.get("layer_types", layers);
  for (std::string const& layer : layers) {
    if (layer != "full_attention") reader.fail("layer_types", layer + " is not supported");
  }
}

/// rope_theta and rope_scaling, or transformers 5's rope_parameters, which holds both.
void read_rope(JsonReader& reader, ModelConfig& config) {
  const Range<double> theta{1.0, 1e15};
  const bool theta_here = reader.get("rope_theta", config.rope_theta, theta);
  auto scaling = reader.object("rope_scaling");
  if (auto parameters = reader.object("rope_parameters")) {
    double inner = config.rope_theta;
    parameters->get("rope_theta", inner, theta);
    if (theta_here && inner != config.rope_theta) {
      parameters->fail("rope_theta", "differs from /rope_theta; remove one of them");
    }
    if (scaling) parameters->fail("", "there is a rope_scaling as well; remove one of them");
    config.rope_theta = inner;
    only(*parameters, "partial_rotary_factor", 1.0, "a partial rotary embedding");
    scaling = std::move(parameters);
  }
  if (!scaling) return;

  using Kind = RopeScaling::Kind;
  RopeScaling& rope = config.rope_scaling;
  std::vector<std::string> kinds;
  for (char const* key : {"rope_type", "type"}) {
    std::string kind;
    if (scaling->get(key, kind)) kinds.push_back(kind);
  }
  if (kinds.empty()) kinds.emplace_back("default");
  if (kinds.front() != kinds.back()) scaling->fail("type", "differs from rope_type");
  if (kinds.front() == "linear") {
    rope.kind = Kind::linear;
  } else if (kinds.front() == "llama3") {
    rope.kind = Kind::llama3;
  } else if (kinds.front() != "default") {
    scaling->fail("rope_type", "\"" + kinds.front() +
                                   "\" is not supported; \"default\", \"linear\" and \"llama3\" "
                                   "are");
  }
  if (rope.kind != Kind::none) {
    scaling->require("factor");
    scaling->get("factor", rope.factor, {1.0, 1e6});
  }
  if (rope.kind == Kind::llama3) {
    for (char const* key :
         {"low_freq_factor", "high_freq_factor", "original_max_position_embeddings"}) {
      scaling->require(key);
    }
    scaling->get("low_freq_factor", rope.low_freq_factor, {1e-6, 1e6});
    scaling->get("high_freq_factor", rope.high_freq_factor, {1e-6, 1e6});
    scaling->get("original_max_position_embeddings", rope.original_context, {1.0, 1e12});
    if (rope.high_freq_factor <= rope.low_freq_factor) {
      scaling->fail("high_freq_factor", "must be above low_freq_factor");
    }
  }
  scaling->finish();
}

void read_sizes(JsonReader& reader, ModelConfig& config, bool mistral) {
  for (char const* key : {"hidden_size", "intermediate_size", "num_hidden_layers",
                          "num_attention_heads", "vocab_size"}) {
    reader.require(key);
  }
  if (mistral) {  // transformers' defaults for these are one particular model's
    for (char const* key : {"num_key_value_heads", "max_position_embeddings"}) reader.require(key);
  }
  reader.get("hidden_size", config.width, {1, kMaxWidth});
  reader.get("intermediate_size", config.ffn, {1, kMaxRows});
  reader.get("num_hidden_layers", config.layers, {1, kMaxLayers});
  reader.get("num_attention_heads", config.heads, {1, kMaxWidth});
  reader.get("vocab_size", config.vocab, {1, kMaxRows});
  config.kv_heads = config.heads;
  reader.get("num_key_value_heads", config.kv_heads, {1, kMaxWidth});
  config.context = 2048;
  reader.get("max_position_embeddings", config.context, {1, std::int64_t{1} << 31});
  if (config.heads % config.kv_heads != 0) {
    reader.fail("num_key_value_heads", std::to_string(config.kv_heads) + " does not divide the " +
                                           std::to_string(config.heads) + " attention heads");
  }
  if (!reader.get("head_dim", config.head_width, {1, kMaxWidth})) {
    if (config.width % config.heads != 0) {
      reader.fail("hidden_size", std::to_string(config.width) + " is not a multiple of the " +
                                     std::to_string(config.heads) +
                                     " attention heads, and there is no head_dim");
    }
    config.head_width = config.width / config.heads;
  }
  if (config.head_width % 2 != 0) {
    reader.fail("", "the head width " + std::to_string(config.head_width) +
                        " is odd; the rotary embedding needs pairs");
  }
  if (config.heads * config.head_width > kMaxRows) {
    reader.fail("head_dim", "the attention is wider than " + std::to_string(kMaxRows));
  }
}

/// `off`: the key is there and null. Absent means 4096 to transformers in a Mistral config.
void read_window(JsonReader& reader, ModelConfig const& config, bool mistral, bool off) {
  std::int64_t window = 4096;
  const bool given = reader.get("sliding_window", window);
  if (off || (!given && !mistral)) return;
  if (window < config.context) {
    reader.fail("sliding_window",
                "attention within a window of " + std::to_string(window) +
                    " is not supported; the model's context is " + std::to_string(config.context) +
                    ". Set max_position_embeddings to the window to train within it");
  }
}

void read(JsonReader& reader, ModelConfig& config, bool mistral) {
  Json const* window = reader.raw("sliding_window");
  const bool window_off = window != nullptr && window->is_null();
  reader.null_means_absent();
  read_sizes(reader, config, mistral);
  read_window(reader, config, mistral, window_off);
  refuse_unsupported(reader);
  reader.get("rms_norm_eps", config.norm_eps, {1e-12f, 1.0f});
  reader.get("tie_word_embeddings", config.tied_embeddings);
  reader.get("initializer_range", config.init_range, {0.0f, 10.0f});
  read_rope(reader, config);
  for (const std::string_view key : kInert) reader.has(key);
}

}  // namespace

void read_llama(JsonReader& reader, ModelConfig& config) {
  read(reader, config, /*mistral=*/false);
}
void read_mistral(JsonReader& reader, ModelConfig& config) {
  read(reader, config, /*mistral=*/true);
}

}  // namespace lomo
