#include <array>
#include <charconv>
#include <string_view>

#include "lomo/core/error.h"
#include "lomo/io/files.h"
#include "lomo/model/config_json.h"

namespace lomo {
namespace {

/// The double that prints with the fewest digits that give this float: 1e-05, not 9.99999974e-06.
double shortest(float value) {
  std::array<char, 32> text{};
  auto const [end, status] = std::to_chars(text.data(), text.data() + text.size(), value);
  double out = value;
  std::from_chars(text.data(), end, out);
  return out;
}

std::string_view hugging_face_name(DType dtype) {
  return dtype == DType::f32 ? "float32" : dtype == DType::bf16 ? "bfloat16" : "float16";
}

Json rope_scaling_json(RopeScaling const& rope) {
  switch (rope.kind) {
    case RopeScaling::Kind::none:
      return nullptr;
    case RopeScaling::Kind::linear:  // "type" as well: transformers before 4.43 reads only that
      return {{"rope_type", "linear"}, {"type", "linear"}, {"factor", rope.factor}};
    case RopeScaling::Kind::yarn:
      return {
          {"rope_type", "yarn"},
          {"factor", rope.factor},
          {"original_max_position_embeddings", static_cast<std::int64_t>(rope.original_context)},
          {"beta_fast", rope.beta_fast},
          {"beta_slow", rope.beta_slow},
          {"truncate", rope.truncate},
          {"attention_factor", rope.attention_factor}};
    case RopeScaling::Kind::llama3:
      return {
          {"rope_type", "llama3"},
          {"factor", rope.factor},
          {"low_freq_factor", rope.low_freq_factor},
          {"high_freq_factor", rope.high_freq_factor},
          {"original_max_position_embeddings", static_cast<std::int64_t>(rope.original_context)}};
  }
  return nullptr;
}

/// The keys of a LLaMA in the spelling of transformers 4, which 5 reads too.
void write_llama(Json& json, ModelConfig const& config) {
  for (char const* key : {"dtype", "rope_parameters", "layer_types"}) json.erase(key);
  json["architectures"] = {"LlamaForCausalLM"};
  json["model_type"] = "llama";
  json["hidden_act"] = "silu";
  json["attention_bias"] = config.qkv_bias;
  json["mlp_bias"] = config.mlp_bias;
  json["hidden_size"] = config.width;
  json["intermediate_size"] = config.ffn;
  json["num_hidden_layers"] = config.layers;
  json["num_attention_heads"] = config.heads;
  json["num_key_value_heads"] = config.kv_heads;
  json["head_dim"] = config.head_width;
  json["vocab_size"] = config.vocab;
  json["max_position_embeddings"] = config.context;
  json["rms_norm_eps"] = shortest(config.norm_eps);
  json["rope_theta"] = config.rope_theta;
  json["rope_scaling"] = rope_scaling_json(config.rope_scaling);
  json["tie_word_embeddings"] = config.tied_embeddings;
  json["initializer_range"] = shortest(config.init_range);
}

}  // namespace

void write_model_config(std::filesystem::path const& config_json, ModelConfig const& config,
                        Json const& original) {
  Json json = original.is_object() ? original : Json::object();
  if (config.family == "llama") {
    write_llama(json, config);
  } else if (!original.is_object()) {
    throw Error(config_json.string() + ": there is no config.json of a " + config.family +
                " to write again");
  }
  json[json.contains("dtype") ? "dtype" : "torch_dtype"] = hugging_face_name(config.dtype);
  write_file(config_json, json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

}  // namespace lomo
