#include "lomo/model/config_json.h"

#include "support/data.h"
#include "support/errors.h"
#include "support/files.h"

using namespace lomo;
using test::contains;
using test::error_of;

namespace {

/// The config.json of LLaMA 2 7B with `changes` merged in (null removes a key).
Json llama2(Json const& changes = Json::object()) {
  Json json = Json::parse(R"({"_name_or_path": "x", "architectures": ["LlamaForCausalLM"],
    "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "silu", "hidden_size": 4096,
    "initializer_range": 0.02, "intermediate_size": 11008, "max_position_embeddings": 4096,
    "model_type": "llama", "num_attention_heads": 32, "num_hidden_layers": 32,
    "num_key_value_heads": 32, "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_scaling": null,
    "tie_word_embeddings": false, "torch_dtype": "float16", "transformers_version": "4.31.0",
    "use_cache": true, "vocab_size": 32000})");
  json.update(changes);
  return json;
}

ModelConfig read(Json const& json) {
  return model_config_from_json(JsonReader(json, "config.json", Exit::data));
}

std::string refusal(Json const& changes) {
  INFO(changes.dump());
  return error_of(Exit::data, [&] { read(llama2(changes)); });
}

Json const kLlama3 = {{"factor", 8.0},
                      {"low_freq_factor", 1.0},
                      {"high_freq_factor", 4.0},
                      {"original_max_position_embeddings", 8192},
                      {"rope_type", "llama3"}};

}  // namespace

TEST_CASE("a LLaMA 2 config is read") {
  const ModelConfig config = read(llama2());
  CHECK(config.width == 4096);
  CHECK(config.layers == 32);
  CHECK(config.heads == 32);
  CHECK(config.kv_heads == 32);
  CHECK(config.head_width == 128);
  CHECK(config.ffn == 11008);
  CHECK(config.vocab == 32000);
  CHECK(config.context == 4096);
  CHECK(config.norm_eps == 1e-5f);
  CHECK(config.rope_theta == 10000);
  CHECK(config.rope_scaling == RopeScaling{});
  CHECK_FALSE(config.tied_embeddings);
  CHECK(config.init_range == 0.02f);
  CHECK(config.dtype == DType::f16);
}

TEST_CASE("absent keys take transformers' defaults") {
  const ModelConfig config = read({{"hidden_size", 64},
                                   {"intermediate_size", 172},
                                   {"num_hidden_layers", 5},
                                   {"num_attention_heads", 8},
                                   {"vocab_size", 512}});
  CHECK(config.kv_heads == 8);
  CHECK(config.context == 2048);
  CHECK(config.norm_eps == 1e-6f);
  CHECK(config.rope_theta == 10000);
  CHECK(config.init_range == 0.02f);
  CHECK(config.dtype == DType::f32);
  for (char const* key : {"hidden_size", "intermediate_size", "num_hidden_layers",
                          "num_attention_heads", "vocab_size"}) {
    CHECK(contains(refusal({{key, nullptr}}), std::string("the key \"") + key + "\" is missing"));
  }
}

TEST_CASE("rotary settings in all their spellings") {
  const RopeScaling linear{.kind = RopeScaling::Kind::linear, .factor = 4};
  CHECK(read(llama2({{"rope_scaling", {{"type", "linear"}, {"factor", 4.0}}}})).rope_scaling ==
        linear);
  CHECK(read(llama2({{"rope_scaling", {{"rope_type", "linear"}, {"factor", 4}}}})).rope_scaling ==
        linear);
  const RopeScaling llama3{RopeScaling::Kind::llama3, 8, 1, 4, 8192};
  const auto old_form = read(llama2({{"rope_theta", 500000.0}, {"rope_scaling", kLlama3}}));
  CHECK(old_form.rope_scaling == llama3);
  CHECK(old_form.rope_theta == 500000);
  Json parameters = kLlama3;
  parameters["rope_theta"] = 500000.0;
  CHECK(read(llama2({{"rope_parameters", parameters}})) == old_form);
  const auto plain = read(llama2(
      {{"rope_parameters", {{"rope_type", "default"}, {"rope_theta", 1e6}, {"factor", nullptr}}}}));
  CHECK(plain.rope_scaling == RopeScaling{});
  CHECK(plain.rope_theta == 1e6);
  CHECK(read(llama2({{"rope_scaling", {{"rope_type", "default"}}}})).rope_scaling == RopeScaling{});

  for (char const* type : {"dynamic", "longrope", "su"}) {
    CHECK(contains(refusal({{"rope_scaling", {{"type", type}, {"factor", 4.0}}}}),
                   "/rope_scaling/rope_type: \"" + std::string(type) + "\" is not supported"));
  }
  CHECK(contains(refusal({{"rope_scaling", {{"type", "linear"}}}}), "\"factor\" is missing"));
  CHECK(contains(refusal({{"rope_scaling", {{"type", "linear"}, {"factor", 0}}}}), "factor"));
  CHECK(contains(refusal({{"rope_scaling", {{"type", "linear"}, {"rope_type", "llama3"}}}}),
                 "differs"));
  CHECK(contains(refusal({{"rope_scaling", {{"type", "linear"}, {"factor", 2}, {"ntk", 1}}}}),
                 "/rope_scaling/ntk: unknown key"));
  Json short_llama3 = kLlama3;
  short_llama3.erase("low_freq_factor");
  CHECK(contains(refusal({{"rope_scaling", short_llama3}}), "\"low_freq_factor\" is missing"));
  CHECK(contains(refusal({{"rope_parameters", parameters}, {"rope_theta", 1e4}}), "differs"));
  CHECK(contains(refusal({{"rope_parameters", parameters}, {"rope_scaling", kLlama3}}),
                 "rope_scaling as well"));
}

TEST_CASE("Mistral's window is read, and left out where it leaves nothing out") {
  const Json mistral = {
      {"model_type", "mistral"},          {"architectures", {"MistralForCausalLM"}},
      {"num_key_value_heads", 8},         {"intermediate_size", 14336},
      {"max_position_embeddings", 32768}, {"sliding_window", nullptr}};
  const ModelConfig config = read(llama2(mistral));
  CHECK(config.family == "mistral");
  CHECK(config.kv_heads == 8);
  CHECK(config.context == 32768);
  CHECK(config.window == 0);
  Json changed = mistral;
  changed["sliding_window"] = 32768;
  CHECK(read(llama2(changed)) == config);
  changed["sliding_window"] = 4000;
  CHECK(read(llama2(changed)).window == 4000);
  changed.erase("sliding_window");  // transformers takes 4096 then
  CHECK(read(llama2(changed)).window == 4096);
  changed["max_position_embeddings"] = 4096;
  CHECK(read(llama2(changed)).window == 0);
  changed["num_key_value_heads"] = nullptr;
  CHECK(contains(refusal(changed), "num_key_value_heads"));
}

TEST_CASE("which layers have a window, by each of its spellings") {
  const Json qwen = {{"model_type", "qwen2"},      {"architectures", {"Qwen2ForCausalLM"}},
                     {"num_hidden_layers", 3},     {"num_key_value_heads", 8},
                     {"use_sliding_window", true}, {"sliding_window", 100},
                     {"max_window_layers", 1}};
  const ModelConfig config = read(llama2(qwen));
  CHECK(config.window == 100);
  CHECK(config.windowed == std::vector<bool>{false, true, true});
  CHECK(config.layer(0).window == 0);
  CHECK(config.layer(2).window == 100);
  Json changed = qwen;
  changed["layer_types"] = {"full_attention", "sliding_attention", "sliding_attention"};
  changed.erase("max_window_layers");
  CHECK(read(llama2(changed)) == config);
  changed["layer_types"] = {"full_attention", "linear_attention", "sliding_attention"};
  CHECK(contains(refusal(changed), "/layer_types: \"linear_attention\" is not supported"));
  changed["layer_types"] = {"full_attention"};
  CHECK(contains(refusal(changed), "names 1 layers, and there are 3"));
  changed = qwen;
  changed["use_sliding_window"] = false;
  CHECK(read(llama2(changed)).window == 0);
}

TEST_CASE("a key that nobody knows is listed, one that is known to be inert is not") {
  const auto unknown = [](Json const& changes) { return read(llama2(changes)).unknown_keys; };
  CHECK(unknown({{"something_new", 3}, {"attention_bais", true}}) ==
        std::vector<std::string>{"attention_bais", "something_new"});
  CHECK(unknown({{"_name_or_path", "x"},
                 {"_model_name_or_path", "x"},
                 {"pretraining_tp", 2},
                 {"use_cache", true},
                 {"auto_map", {{"AutoModel", "x.Model"}}},
                 {"gradient_checkpointing", false}})
            .empty());
  const ModelConfig config = read(llama2({{"attention_bais", true}}));
  const auto warnings = unknown_key_warnings(config, "config.json");
  REQUIRE(warnings.size() == 1);
  CHECK(contains(warnings.front(), "attention_bais"));
}

TEST_CASE("models of another kind are refused for what they are") {
  CHECK(contains(refusal({{"model_type", "mixtral"}}), "a mixture of experts"));
  CHECK(contains(refusal({{"model_type", "qwen3_moe"}}), "a mixture of experts"));
  CHECK(contains(refusal({{"model_type", "gemma3"}}), "Gemma"));
  CHECK(contains(refusal({{"model_type", "qwen2_vl"}}), "sees pictures"));
  CHECK(contains(refusal({{"model_type", "jamba"}}), "hybrid"));
  CHECK(contains(refusal({{"model_type", "gpt2"}}), "known are llama, mistral, qwen2"));
}

TEST_CASE("what would change the computation is refused by name") {
  const std::pair<char const*, Json> unsupported[] = {
      {"hidden_act", "gelu"},
      {"attention_dropout", 0.1},
      {"partial_rotary_factor", 0.5},
      {"rope_interleaved", true},
      {"pruned_heads", {{"0", {1}}}},
      {"quantization_config", {{"quant_method", "gptq"}}},
      {"layer_types", {"full_attention", "linear_attention"}},
      {"model_type", "gemma"},
      {"architectures", {"LlamaForSequenceClassification"}},
      {"torch_dtype", "float64"},
  };
  for (auto const& [key, value] : unsupported) {
    CHECK(contains(refusal({{key, value}}), std::string("config.json: /") + key));
  }
  CHECK_NOTHROW(read(llama2({{"attention_dropout", 0.0},
                             {"attention_bias", false},
                             {"mlp_bias", false},
                             {"pruned_heads", Json::object()},
                             {"something_new", nullptr},
                             {"num_hidden_layers", 1},
                             {"layer_types", {"full_attention"}}})));
}

TEST_CASE("sizes that cannot be are refused") {
  CHECK(contains(refusal({{"num_attention_heads", 0}}), "/num_attention_heads"));
  CHECK(contains(refusal({{"hidden_size", -4096}}), "/hidden_size"));
  CHECK(contains(refusal({{"hidden_size", 1e18}}), "/hidden_size"));
  CHECK(contains(refusal({{"hidden_size", "4096"}}), "/hidden_size: expected a whole number"));
  CHECK(contains(refusal({{"vocab_size", 4294967296}}), "/vocab_size"));
  CHECK(contains(refusal({{"num_key_value_heads", 5}}), "5 does not divide the 32"));
  CHECK(contains(refusal({{"num_key_value_heads", 64}}), "64 does not divide the 32"));
  CHECK(contains(refusal({{"hidden_size", 4100}}), "not a multiple"));
  CHECK(contains(refusal({{"head_dim", 127}}), "odd"));
  CHECK(contains(refusal({{"rms_norm_eps", 0}}), "/rms_norm_eps"));
  CHECK(contains(refusal({{"rope_theta", 0}}), "/rope_theta"));
  CHECK(read(llama2({{"head_dim", 64}})).head_width == 64);
}

TEST_CASE("a shape inside a training config names its place there") {
  const Json json = {{"model", {{"path", "x"}, {"shape", llama2({{"hidden_act", "gelu"}})}}}};
  CHECK(
      error_of(Exit::usage, [&] {
        JsonReader reader(json, "run.json");
        model_config_from_json(*reader.object("model")->object("shape"));
      }) == "run.json: /model/shape/hidden_act: this activation is not supported (only \"silu\")");
}

TEST_CASE("a config that is written is read back, with the original's other keys") {
  const test::TemporaryFolder folder;
  const Json changes = {
      {"rope_parameters", {{"rope_type", "linear"}, {"factor", 2.5}, {"rope_theta", 1e6}}},
      {"pad_token_id", 7},
      {"tie_word_embeddings", true}};
  const auto original = folder.put("original.json", llama2(changes).dump());
  ModelConfig config = read_model_config(original);
  config.dtype = DType::bf16;
  const auto written = folder / "config.json";
  write_model_config(written, config, read_json(original, Exit::data));
  CHECK(read_model_config(written) == config);
  const Json json = read_json(written, Exit::data);
  CHECK(json.at("torch_dtype") == "bfloat16");
  CHECK(json.at("model_type") == "llama");
  CHECK(json.at("architectures") == Json{"LlamaForCausalLM"});
  CHECK(json.at("pad_token_id") == 7);
  CHECK(json.at("bos_token_id") == 1);
  CHECK(json.at("rope_theta") == 1e6);
  CHECK(json.at("rms_norm_eps").dump() == "1e-05");
  CHECK_FALSE(json.contains("rope_parameters"));

  write_model_config(written, config);
  CHECK(read_model_config(written) == config);
  config.rope_scaling = {RopeScaling::Kind::llama3, 8, 1, 4, 8192};
  config.tied_embeddings = false;
  config.head_width = 64;
  write_model_config(written, config);
  CHECK(read_model_config(written) == config);
}

TEST_CASE("a config file cut at any length or with any byte changed never crashes") {
  const test::TemporaryFolder folder;
  const std::string whole = llama2({{"rope_scaling", kLlama3}}).dump();
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const auto path = folder.put("config.json", whole.substr(0, length));
    CHECK(contains(error_of(Exit::data, [&] { read_model_config(path); }), "config.json"));
  }
  int refused = 0;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (const int flip : {1, 4, 16, 128}) {
      std::string bad = whole;
      bad[i] = static_cast<char>(bad[i] ^ flip);
      const auto path = folder.put("config.json", bad);
      try {
        const ModelConfig config = read_model_config(path);
        CHECK(config.parameters() > 0);
      } catch (Error const& error) {
        CHECK(error.code() == Exit::data);
        ++refused;
      }
    }
  }
  CHECK(refused > static_cast<int>(whole.size()));
}

TEST_CASE("the real configs are read") {
  LOMO_NEEDS_DATA();
  const auto checkpoints = test::data_dir() / "checkpoints";
  const auto stories = read_model_config(checkpoints / "stories260K" / "hf" / "config.json");
  CHECK(stories.parameters() == 260032);
  CHECK(stories.kv_heads == 4);
  CHECK(stories.dtype == DType::f32);
  CHECK(read_model_config(checkpoints / "zh-poem-750K" / "hf" / "config.json").parameters() ==
        750624);
}
