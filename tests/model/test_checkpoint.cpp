#include "lomo/model/checkpoint.h"

#include <cmath>
#include <cstring>
#include <functional>
#include <map>

#include "lomo/io/safetensors.h"
#include "support/data.h"
#include "support/errors.h"
#include "support/files.h"

using namespace lomo;
using test::contains;
using test::error_of;
using test::slurp;

namespace {

ModelConfig tiny(bool tied = false) {
  ModelConfig config;
  config.width = 8;
  config.layers = 2;
  config.heads = 2;
  config.kv_heads = 1;
  config.head_width = 4;
  config.ffn = 12;
  config.vocab = 10;
  config.context = 16;
  config.tied_embeddings = tied;
  return config;
}

/// A model's weights on the CPU engine.
struct Model {
  explicit Model(ModelConfig const& shape, DType dtype)
      : config(shape),
        backend(make_cpu_backend({.threads = 1, .memory = std::size_t{64} << 20})),
        weights(*backend, shape, dtype) {}

  LoadReport load(std::filesystem::path const& folder) {
    return load_weights(*backend, weights, folder);
  }
  void initialise(std::uint64_t seed) { initialise_weights(*backend, weights, config, seed); }
  void save(std::filesystem::path const& folder, std::filesystem::path const& source = {},
            std::size_t shard_bytes = std::size_t{5} << 30) {
    save_model(*backend, weights, config, folder,
               source.empty() ? AuxiliaryFiles{} : read_auxiliary_files(source), shard_bytes,
               backend->self_group());
  }
  std::map<std::string, Parameter const*> parameters() {
    std::map<std::string, Parameter const*> all;
    for (auto const* group : weights.groups()) {
      for (auto const& parameter : group->members()) all[parameter.name] = &parameter;
    }
    return all;
  }
  std::string bytes(std::string const& name) {
    Tensor value = parameters().at(name)->value;
    std::string text(value.bytes(), '\0');
    backend->download(std::as_writable_bytes(std::span(text)), value);
    return text;
  }

  ModelConfig config;
  std::unique_ptr<Backend> backend;
  DecoderWeights weights;
};

std::string bytes_of(CheckpointFolder const& folder, std::string const& name) {
  const auto [file, entry] = folder.find(name);
  REQUIRE(entry != nullptr);
  std::string text(entry->bytes, '\0');
  file->read(*entry, 0, std::as_writable_bytes(std::span(text)));
  return text;
}

/// Tensors of a file, to be changed and written again.
struct Stored {
  DType dtype;
  std::vector<std::int64_t> shape;
  std::string bytes;
};
using Tensors = std::map<std::string, Stored>;

void rewrite(std::filesystem::path const& folder, std::function<void(Tensors&)> const& change) {
  Tensors tensors;
  {
    const CheckpointFolder checkpoint(folder);
    for (auto const& name : checkpoint.names()) {
      auto const* entry = checkpoint.find(name).entry;
      tensors[name] = {entry->dtype, entry->shape, bytes_of(checkpoint, name)};
    }
  }
  change(tensors);
  std::vector<SafetensorsWriter::Tensor> header;
  for (auto const& [name, stored] : tensors) header.push_back({name, stored.dtype, stored.shape});
  SafetensorsWriter writer(folder / "model.safetensors", header, {});
  writer.create();
  std::size_t index = 0;
  for (auto const& [name, stored] : tensors) {
    writer.write(index++, 0, std::as_bytes(std::span(stored.bytes)));
  }
  writer.finish();
  writer.commit();
}

/// The error of loading a tiny f32 checkpoint after `change`.
std::string refusal(std::function<void(Tensors&)> const& change, DType dtype = DType::f32,
                    bool tied = false) {
  const test::TemporaryFolder folder;
  Model model(tiny(tied), DType::f32);
  model.initialise(1);
  model.save(folder.path());
  rewrite(folder.path(), change);
  Model into(tiny(tied), dtype);
  return error_of(Exit::data, [&] { into.load(folder.path()); });
}

void set_value(Stored& stored, std::size_t index, float value) {
  std::memcpy(stored.bytes.data() + index * sizeof value, &value, sizeof value);
}

std::vector<float> floats(std::string const& bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

const std::string kDown = "model.layers.1.mlp.down_proj.weight";  // (8, 12)
const std::string kNorm = "model.norm.weight";                    // (8)

}  // namespace

TEST_CASE("a saved model is loaded back bit for bit, in one file or in shards") {
  for (const bool tied : {false, true}) {
    for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
      for (const std::size_t shard_bytes : {std::size_t{1} << 30, std::size_t{700}}) {
        INFO(to_string(dtype) << " tied " << tied << " shards of " << shard_bytes);
        const test::TemporaryFolder folder;
        Model model(tiny(tied), dtype);
        model.initialise(7);
        model.save(folder.path(), {}, shard_bytes);
        Model again(read_model_config(folder / "config.json"), dtype);
        CHECK(again.config.dtype == dtype);
        CHECK(again.config.parameters() == model.config.parameters());
        CHECK(again.load(folder.path()).largest_rounding == 0);
        for (auto const& [name, parameter] : model.parameters()) {
          CHECK(again.bytes(name) == model.bytes(name));
        }
      }
    }
  }
}

TEST_CASE("a config without a dtype takes that of the weights beside it") {
  const test::TemporaryFolder folder;
  Model model(tiny(), DType::f16);
  model.initialise(7);
  model.save(folder.path());
  Json json = read_json(folder / "config.json", Exit::data);
  json["torch_dtype"] = nullptr;
  folder.put("config.json", json.dump());
  CHECK(read_model_config(folder / "config.json").dtype == DType::f16);
  std::filesystem::remove(folder / "model.safetensors");
  CHECK(read_model_config(folder / "config.json").dtype == DType::f32);
}

TEST_CASE("shards hold at most their size and the index counts all bytes") {
  const test::TemporaryFolder folder;
  Model model(tiny(), DType::f32);
  model.initialise(7);
  const std::size_t limit = 700;  // above every tensor
  model.save(folder.path(), {}, limit);
  const Json index = read_json(folder / "model.safetensors.index.json", Exit::data);
  CHECK(index.at("metadata").at("total_size") == 4 * tiny().parameters());
  CHECK(index.at("weight_map").size() == 2 * 9 + 3);
  const CheckpointFolder checkpoint(folder.path());
  REQUIRE(checkpoint.files().size() > 2);
  const std::string last = std::to_string(checkpoint.files().size());
  CHECK(contains(checkpoint.files().front().path().string(),
                 "model-00001-of-" + std::string(5 - last.size(), '0') + last + ".safetensors"));
  for (auto const& file : checkpoint.files()) {
    CHECK(file.metadata().at("format") == "pt");
    std::uint64_t bytes = 0;
    for (auto const& entry : file.entries()) bytes += entry.bytes;
    CHECK(bytes <= limit);
  }
}

TEST_CASE("a tensor larger than a shard gets its own") {
  const test::TemporaryFolder folder;
  Model model(tiny(), DType::f32);
  model.initialise(7);
  model.save(folder.path(), {}, 1);
  CHECK(CheckpointFolder(folder.path()).files().size() == 2 * 9 + 3);
}

TEST_CASE("saving copies tokenizer files and refuses to mix with other weights") {
  const test::TemporaryFolder source, folder;
  source.put("config.json", R"({"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2,
      "num_attention_heads": 2, "vocab_size": 10, "pad_token_id": 3})");
  for (char const* name : {"tokenizer.model", "tokenizer_config.json", "special_tokens_map.json",
                           "generation_config.json", "chat_template.jinja", "tokenizer.json",
                           "added_tokens.json", "model.safetensors", "README.md"}) {
    source.put(name, std::string("contents of ") + name);
  }
  Model model(tiny(), DType::bf16);
  model.initialise(7);
  model.save(folder.path(), source.path());
  CHECK(slurp(folder / "tokenizer.model") == "contents of tokenizer.model");
  CHECK(slurp(folder / "chat_template.jinja") == "contents of chat_template.jinja");
  CHECK_FALSE(std::filesystem::exists(folder / "README.md"));
  CHECK(read_json(folder / "config.json", Exit::data).at("pad_token_id") == 3);
  CHECK(CheckpointFolder(folder.path()).files().size() == 1);
  model.save(folder.path(), source.path());  // the same names are replaced
  CHECK(contains(error_of(Exit::usage, [&] { model.save(folder.path(), {}, 700); }),
                 "already holds model.safetensors"));
  const test::TemporaryFolder sharded;
  model.save(sharded.path(), {}, 700);
  CHECK(contains(error_of(Exit::usage, [&] { model.save(sharded.path()); }), "already holds"));
  CHECK(contains(error_of(Exit::failure, [&] { model.save(folder / "none"); }), "none"));
}

TEST_CASE("weights that do not fit the config are named") {
  CHECK(contains(refusal([](Tensors& t) { t.erase(kDown); }), "missing: " + kDown));
  const std::string many = refusal([](Tensors& t) {
    std::erase_if(t, [](auto const& item) { return contains(item.first, "layers.0."); });
  });
  CHECK(contains(many, "model.layers.0.self_attn.o_proj.weight and 4 more"));
  CHECK(contains(refusal([](Tensors& t) { t.erase("lm_head.weight"); }), "tie_word_embeddings"));
  const std::string bias = "model.layers.0.self_attn.q_proj.bias";
  CHECK(contains(refusal([&](Tensors& t) { t[bias] = t.at(kNorm); }),
                 "not asked for by it: " + bias));
  CHECK(contains(refusal([](Tensors& t) {
                   t.at(kDown).shape = {12, 8};
                 }),
                 kDown + "\" has shape (12, 8), but config.json asks for (8, 12)"));
  CHECK(contains(refusal([](Tensors& t) { t.at(kNorm).shape = {8, 1}; }), "shape (8, 1)"));
  CHECK(contains(refusal([](Tensors& t) { t.at(kNorm).dtype = DType::i32; }), "holds I32"));
}

TEST_CASE("values that are not finite are named with their place") {
  const float nan = std::nanf("");
  CHECK(contains(refusal([&](Tensors& t) { set_value(t.at(kDown), 12 * 3 + 5, nan); }),
                 kDown + "\" at [3, 5] is not finite"));
  CHECK(contains(refusal([&](Tensors& t) { set_value(t.at(kNorm), 7, -INFINITY); }),
                 kNorm + "\" at [7] is not finite"));
  CHECK(contains(refusal([&](Tensors& t) { set_value(t.at(kNorm), 7, nan); }, DType::bf16),
                 "is not finite"));
  CHECK(contains(refusal([&](Tensors& t) { set_value(t.at(kNorm), 7, 65520.0f); }, DType::f16),
                 kNorm + "\" at [7] is too large for f16"));
}

TEST_CASE("a tied model may carry its head again, but not another one") {
  const std::string embedding = "model.embed_tokens.weight";
  CHECK(contains(refusal(
                     [&](Tensors& t) {
                       t["lm_head.weight"] = t.at(embedding);
                       set_value(t["lm_head.weight"], 79, 2.0f);
                     },
                     DType::f32, true),
                 "lm_head.weight differs from the embedding"));
  CHECK(contains(refusal(
                     [&](Tensors& t) {
                       t["lm_head.weight"] = t.at(embedding);
                       t["lm_head.weight"].shape = {8, 10};
                     },
                     DType::f32, true),
                 "differs from the embedding"));
  const test::TemporaryFolder folder;
  Model model(tiny(true), DType::f32);
  model.initialise(1);
  model.save(folder.path());
  rewrite(folder.path(), [&](Tensors& t) {
    t["lm_head.weight"] = t.at(embedding);
    t["model.layers.0.self_attn.rotary_emb.inv_freq"] = {DType::f32, {2}, "01234567"};
  });
  Model again(tiny(true), DType::f32);
  CHECK_NOTHROW(again.load(folder.path()));
  CHECK(again.bytes(embedding) == model.bytes(embedding));
}

TEST_CASE("conversions round to nearest and report the largest relative error") {
  const test::TemporaryFolder folder;
  Model model(tiny(), DType::f32);
  model.initialise(1);
  model.save(folder.path());
  rewrite(folder.path(), [](Tensors& t) { set_value(t.at(kNorm), 2, 1.0f + 0x1p-8f); });  // a tie
  Model half(tiny(), DType::bf16);
  const LoadReport report = half.load(folder.path());
  // The tie is the worst that can happen to a bf16: half a step of 2^-7 at 1.
  CHECK(report.largest_rounding == 0x1p-8 / (1 + 0x1p-8));
  CHECK(report.worst_tensor == kNorm);
  const CheckpointFolder original(folder.path());
  for (auto const& [name, parameter] : half.parameters()) {
    const auto exact = floats(bytes_of(original, name));
    const std::string rounded = half.bytes(name);
    for (std::size_t i = 0; i < exact.size(); ++i) {
      std::uint16_t bits = 0;
      std::memcpy(&bits, rounded.data() + 2 * i, 2);
      if (bits != to_bf16(exact[i]).bits) FAIL(name << " " << i);
    }
  }
  // bf16 to f32 and back is exact.
  const test::TemporaryFolder bf16_folder, f32_folder;
  half.save(bf16_folder.path());
  Model wide(tiny(), DType::f32);
  CHECK(wide.load(bf16_folder.path()).largest_rounding == 0);
  wide.save(f32_folder.path());
  Model back(tiny(), DType::bf16);
  CHECK(back.load(f32_folder.path()).largest_rounding == 0);
  CHECK(back.bytes(kDown) == half.bytes(kDown));
}

TEST_CASE("initial weights are normal, keyed by seed and name, the same in any shape of blocks") {
  ModelConfig config = tiny(true);
  config.layers = 1;
  config.vocab = 40000;  // more than one block of the transfer, begun inside a group of four
  config.width = 33;
  Model model(config, DType::f32);
  model.initialise(5);
  const std::string name = "model.embed_tokens.weight";
  const auto values = floats(model.bytes(name));
  double sum = 0, squares = 0;
  for (const float value : values) {
    sum += value;
    squares += static_cast<double>(value) * value;
  }
  const auto n = static_cast<double>(values.size());
  const double sigma = config.init_range;
  // Six standard errors of mean and variance of n normals.
  CHECK(std::abs(sum / n) < 6 * sigma / std::sqrt(n));
  CHECK(std::abs(squares / n - sigma * sigma) < 6 * sigma * sigma * std::sqrt(2 / n));
  for (const float value : floats(model.bytes(kNorm))) CHECK(value == 1.0f);

  config.vocab = 20000;
  config.width = 66;  // the same elements cut elsewhere
  Model other(config, DType::f32);
  other.initialise(5);
  CHECK(floats(other.bytes(name)) == values);
  other.initialise(6);
  CHECK(floats(other.bytes(name)) != values);
  CHECK(other.bytes("model.layers.0.mlp.gate_proj.weight") !=
        other.bytes("model.layers.0.mlp.up_proj.weight"));
}

TEST_CASE("a checkpoint cut short is refused, and so is one whose shard is missing") {
  const test::TemporaryFolder folder;
  Model model(tiny(), DType::f32);
  model.initialise(1);
  model.save(folder.path(), {}, 2000);
  const auto shard = CheckpointFolder(folder.path()).files().back().path();
  const std::string whole = slurp(shard);
  for (const std::size_t length :
       {std::size_t{0}, std::size_t{4}, whole.size() / 2, whole.size() - 1}) {
    std::filesystem::resize_file(shard, length);
    CHECK(contains(error_of(Exit::data, [&] { model.load(folder.path()); }), shard.string()));
  }
  std::filesystem::remove(shard);
  CHECK(contains(error_of(Exit::data, [&] { model.load(folder.path()); }), "1 of the "));
}

TEST_CASE("real checkpoints are loaded and saved without changing a byte") {
  LOMO_NEEDS_DATA();
  for (char const* name : {"stories260K", "zh-poem-750K"}) {
    const auto source = test::data_dir() / "checkpoints" / name / "hf";
    const CheckpointFolder original(source);
    Model model(read_model_config(source / "config.json"), DType::f32);
    CHECK(model.load(source).largest_rounding == 0);
    for (const std::size_t shard_bytes : {std::size_t{1} << 30, std::size_t{300000}}) {
      INFO(name << " shards of " << shard_bytes);
      const test::TemporaryFolder folder;
      model.save(folder.path(), source, shard_bytes);
      const CheckpointFolder saved(folder.path());
      CHECK((saved.files().size() > 1) == (shard_bytes == 300000));
      REQUIRE(saved.names() == original.names());
      for (auto const& tensor : saved.names()) {
        CHECK(bytes_of(saved, tensor) == bytes_of(original, tensor));
        CHECK(saved.find(tensor).entry->shape == original.find(tensor).entry->shape);
      }
      CHECK(read_model_config(folder / "config.json") == model.config);
      CHECK(std::filesystem::exists(folder / "tokenizer.model") ==
            std::filesystem::exists(source / "tokenizer.model"));
    }
    Model half(model.config, DType::bf16);
    const LoadReport report = half.load(source);
    CHECK(report.largest_rounding > 0);
    CHECK(report.largest_rounding <= 0x1p-8);
    CHECK_FALSE(report.worst_tensor.empty());
  }
}
