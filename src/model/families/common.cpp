#include "common.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

namespace lomo::reading {

namespace {

// Far above any model there is, and small enough that no product of them overflows.
constexpr std::int64_t kMaxWidth = 1 << 20;
constexpr std::int64_t kMaxLayers = 1 << 14;
constexpr std::int64_t kMaxRows = 1 << 26;

// Keys of transformers' PretrainedConfig, of its decoders and of popular exporters that do not take
// part in the computation of a forward pass.
constexpr std::string_view kInert[] = {"_attn_implementation",
                                       "_attn_implementation_autoset",
                                       "_attn_implementation_internal",
                                       "_commit_hash",
                                       "_flash_attn_2_enabled",
                                       "_model_name_or_path",
                                       "_name_or_path",
                                       "attn_implementation",
                                       "auto_map",
                                       "bad_words_ids",
                                       "begin_suppress_tokens",
                                       "bos_token_id",
                                       "cache_implementation",
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
                                       "gradient_checkpointing",
                                       "id2label",
                                       "ignore_index",
                                       "is_llama_config",
                                       "label2id",
                                       "length_penalty",
                                       "max_length",
                                       "max_new_tokens",
                                       "max_sequence_length",
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
                                       "pretraining_tp",
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
                                       "use_cache",
                                       "xla_device"};

/// The factor of yarn on turned queries and keys: its own key, or by the factor (0.1 m ln s + 1).
void read_yarn(JsonReader& scaling, ModelConfig& config) {
  RopeScaling& rope = config.rope_scaling;
  rope.original_context = static_cast<double>(config.context);
  scaling.get("original_max_position_embeddings", rope.original_context, {1.0, 1e12});
  scaling.get("beta_fast", rope.beta_fast, {1e-6, 1e6});
  scaling.get("beta_slow", rope.beta_slow, {1e-6, 1e6});
  scaling.get("truncate", rope.truncate);
  const auto scale_of = [&rope](double m) {
    return rope.factor <= 1 ? 1.0 : 0.1 * m * std::log(rope.factor) + 1;
  };
  double m = 0, m_all = 0;
  scaling.get("mscale", m, {0.0, 1e6});
  scaling.get("mscale_all_dim", m_all, {0.0, 1e6});
  rope.attention_factor = m > 0 && m_all > 0 ? scale_of(m) / scale_of(m_all) : scale_of(1);
  scaling.get("attention_factor", rope.attention_factor, {1e-6, 1e6});
}

/// `rope_scaling`, or what else rope_parameters holds.
void read_scaling(JsonReader& scaling, ModelConfig& config) {
  using Kind = RopeScaling::Kind;
  RopeScaling& rope = config.rope_scaling;
  std::vector<std::string> kinds;
  for (char const* key : {"rope_type", "type"}) {
    std::string kind;
    if (scaling.get(key, kind)) kinds.push_back(kind);
  }
  if (kinds.empty()) kinds.emplace_back("default");
  if (kinds.front() != kinds.back()) scaling.fail("type", "differs from rope_type");
  if (kinds.front() == "linear") {
    rope.kind = Kind::linear;
  } else if (kinds.front() == "llama3") {
    rope.kind = Kind::llama3;
  } else if (kinds.front() == "yarn") {
    rope.kind = Kind::yarn;
  } else if (kinds.front() != "default") {
    scaling.fail("rope_type", "\"" + kinds.front() +
                                  "\" is not supported; \"default\", \"linear\", \"llama3\" and "
                                  "\"yarn\" are");
  }
  if (rope.kind != Kind::none) {
    scaling.require("factor");
    scaling.get("factor", rope.factor, {1.0, 1e6});
  }
  if (rope.kind == Kind::llama3) {
    for (char const* key :
         {"low_freq_factor", "high_freq_factor", "original_max_position_embeddings"}) {
      scaling.require(key);
    }
    scaling.get("low_freq_factor", rope.low_freq_factor, {1e-6, 1e6});
    scaling.get("high_freq_factor", rope.high_freq_factor, {1e-6, 1e6});
    scaling.get("original_max_position_embeddings", rope.original_context, {1.0, 1e12});
    if (rope.high_freq_factor <= rope.low_freq_factor) {
      scaling.fail("high_freq_factor", "must be above low_freq_factor");
    }
  }
  if (rope.kind == Kind::yarn) read_yarn(scaling, config);
  scaling.finish();
}

/// rope_theta and rope_scaling, or transformers 5's rope_parameters, which holds both.
void read_rope(JsonReader& reader, ModelConfig& config, bool partial) {
  const Range<double> theta{1.0, 1e15};
  double share = 1;  // of a head's columns that turn
  reader.get("partial_rotary_factor", share, {0.0, 1.0});
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
    parameters->get("partial_rotary_factor", share, {0.0, 1.0});
    scaling = std::move(parameters);
  }
  const auto turned = static_cast<std::int64_t>(static_cast<double>(config.head_width) * share);
  if (turned < 2 || turned % 2 != 0) {
    reader.fail("partial_rotary_factor",
                std::to_string(turned) + " columns of a head would turn; they turn in pairs");
  }
  if (turned == config.head_width) {
    // whole heads turn
  } else if (partial) {
    config.rotary_width = turned;
  } else {
    reader.fail("partial_rotary_factor",
                "a partial rotary embedding is not supported in this family (only 1.0)");
  }
  if (scaling) read_scaling(*scaling, config);
}

void read_sizes(JsonReader& reader, ModelConfig& config, Defaults const& defaults) {
  for (char const* key : {"hidden_size", "intermediate_size", "num_hidden_layers",
                          "num_attention_heads", "vocab_size"}) {
    reader.require(key);
  }
  if (defaults.needs_kv_heads) {
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
  config.head_width = defaults.head_width;
  if (!reader.get("head_dim", config.head_width, {1, kMaxWidth}) && config.head_width == 0) {
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

}  // namespace

void read_common(JsonReader& reader, ModelConfig& config, Defaults const& defaults) {
  reader.null_means_absent();
  config.norm_eps = defaults.norm_eps;
  config.rope_theta = defaults.rope_theta;
  config.tied_embeddings = defaults.tied;
  read_sizes(reader, config, defaults);
  reader.get("rms_norm_eps", config.norm_eps, {1e-12f, 1.0f});
  reader.get("tie_word_embeddings", config.tied_embeddings);
  reader.get("initializer_range", config.init_range, {0.0f, 10.0f});
  read_rope(reader, config, defaults.partial_rotary);
  // transformers 5 takes this one before that in rope_scaling, 4 the other.
  double context = config.rope_scaling.original_context;
  reader.get("original_max_position_embeddings", context, {1.0, 1e12});
  const RopeScaling::Kind kind = config.rope_scaling.kind;
  const bool matters = kind == RopeScaling::Kind::llama3 || kind == RopeScaling::Kind::yarn;
  if (matters && context != config.rope_scaling.original_context) {
    reader.fail("original_max_position_embeddings",
                "differs from the one that goes with the rotary scaling; remove one of them");
  }
}

void read_windows(JsonReader& reader, ModelConfig& config, bool on, std::int64_t default_window,
                  std::vector<bool> windowed) {
  std::int64_t window = default_window;
  reader.get("sliding_window", window, {1, std::int64_t{1} << 40});
  std::vector<std::string> types;
  reader.get("layer_types", types);
  if (!types.empty() && std::cmp_not_equal(types.size(), config.layers)) {
    reader.fail("layer_types", "names " + std::to_string(types.size()) + " layers, and there are " +
                                   std::to_string(config.layers));
  }
  windowed.resize(static_cast<std::size_t>(config.layers), true);
  for (std::size_t l = 0; l < types.size(); ++l) {
    std::string const& type = types[l];
    if (type != "full_attention" && type != "sliding_attention") {
      reader.fail("layer_types", "\"" + type +
                                     "\" is not supported; \"full_attention\" and "
                                     "\"sliding_attention\" are");
    }
    windowed[l] = type == "sliding_attention";
  }
  if (!on && !types.empty() && std::ranges::find(windowed, true) != windowed.end()) {
    reader.fail("layer_types", "names layers with a window, and the model has none");
  }
  const bool any = std::ranges::find(windowed, true) != windowed.end();
  // A window of the model's whole context leaves nothing out.
  if (!on || window == 0 || !any || window >= config.context) return;
  config.window = window;
  if (std::ranges::find(windowed, false) != windowed.end()) config.windowed = windowed;
}

void only(JsonReader& reader, std::string_view key, Json const& supported, std::string const& why) {
  Json const* found = reader.raw(key);
  if (found == nullptr || found->is_null() || *found == supported) return;
  reader.fail(key, why + " is not supported (only " + supported.dump() + ")");
}

void refuse_unsupported(JsonReader& reader) {
  only(reader, "hidden_act", "silu", "this activation");
  only(reader, "attention_dropout", 0.0, "dropout");
  only(reader, "hidden_dropout", 0.0, "dropout");
  only(reader, "resid_pdrop", 0.0, "dropout");
  only(reader, "embd_pdrop", 0.0, "dropout");
  only(reader, "rope_interleaved", false, "the interleaved rotary layout");
  only(reader, "is_decoder", false, "this form of decoder");
  only(reader, "is_encoder_decoder", false, "an encoder");
  only(reader, "add_cross_attention", false, "cross attention");
  only(reader, "tie_encoder_decoder", false, "an encoder");
  only(reader, "cross_attention_hidden_size", nullptr, "cross attention");
  only(reader, "chunk_size_feed_forward", 0, "chunking");
  if (Json const* heads = reader.raw("pruned_heads"); heads != nullptr && !heads->empty()) {
    reader.fail("pruned_heads", "pruned heads are not supported");
  }
  if (reader.has("quantization_config")) {
    reader.fail("quantization_config",
                "quantized weights are not supported; use the model as it was before "
                "quantization, in float32, bfloat16 or float16");
  }
}

void know_inert(JsonReader& reader) {
  for (const std::string_view key : kInert) reader.has(key);
}

}  // namespace lomo::reading
