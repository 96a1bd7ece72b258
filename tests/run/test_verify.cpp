// What verify finds in a folder that a run would load.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "lomo/model/checkpoint.h"
#include "lomo/run/verify.h"
#include "model/tiny.h"
#include "support/catch.h"
#include "support/data.h"
#include "support/errors.h"
#include "support/files.h"

using namespace lomo;
using lomo::test::contains;
namespace fs = std::filesystem;

namespace {

constexpr char const* kPointer =
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:9e556afd44213b6bd1be2b850ebbbd98f5481437a8021afaf58ee7fb1818d347\nsize 499723\n";

/// The folder of a tiny model.
struct Folder {
  test::TemporaryFolder scratch;
  std::unique_ptr<Backend> backend = test::make_cpu(1);
  Decoder model;

  explicit Folder(bool tied = false) : model(*backend, test::tiny_config(tied), DType::f32) {
    test::fill_weights(model, 1);
    save();
  }
  void save() {
    fs::remove(scratch / "model.safetensors");
    save_model(*backend, model.weights(), model.config(), scratch.path(), {}, 1u << 30,
               model.ranks());
  }
  /// Writes `value` over every element of a group, or over its first one.
  void fill(ParameterGroup const& group, double value, bool all) {
    auto weights = test::values(*backend, group.stacked());
    for (std::size_t i = 0; i < (all ? weights.size() : 1); ++i) weights[i] = value;
    test::fill(*backend, group.stacked(), weights);
    save();
  }
  /// Changes config.json.
  void set(std::function<void(Json&)> const& change) const {
    Json config = Json::parse(test::slurp(scratch / "config.json"));
    change(config);
    std::ofstream(scratch / "config.json") << config.dump();
  }
  Verification verify() const { return verify_folder(scratch.path()); }
  /// The one problem there is.
  std::string problem() const {
    const Verification result = verify();
    INFO(result.problems.size());
    REQUIRE(result.problems.size() == 1);
    return result.problems.front();
  }
};

}  // namespace

TEST_CASE("a folder without a tokenizer is whole, and verify says what it lacks") {
  const Folder folder;
  const Verification result = folder.verify();
  CHECK(result.problems.empty());
  REQUIRE(result.notes.size() == 1);
  CHECK(contains(result.notes[0], "no tokenizer"));
  CHECK(result.unread.empty());
}

TEST_CASE("tensors of zeros and absurd magnitudes are named") {
  Folder zeros;
  zeros.fill(zeros.model.weights().blocks[1].down.weight, 0, true);
  CHECK(contains(zeros.problem(), "layers.1.mlp.down_proj.weight\" is all zeros"));
  Folder norm;
  norm.fill(norm.model.weights().norm.weight, 0, true);
  CHECK(contains(norm.problem(), "model.norm.weight\" is all zeros"));
  Folder one;  // of many
  one.fill(one.model.weights().norm.weight, 0, false);
  CHECK(one.verify().problems.empty());
  Folder huge;
  huge.fill(huge.model.weights().head(), -1e30, false);
  CHECK(contains(huge.problem(), "magnitude 1e+30"));
  Folder large;
  large.fill(large.model.weights().head(), 9e3, false);
  CHECK(large.verify().problems.empty());
}

TEST_CASE("what the loader refuses, verify finds") {
  const auto both = [](Folder& folder) {
    const std::string found = folder.problem();
    std::string refused;
    try {
      Decoder other(*folder.backend, read_model_config(folder.scratch / "config.json"), DType::f32);
      load_weights(*folder.backend, other.weights(), folder.scratch.path());
    } catch (Error const& error) {
      refused = error.what();
    }
    CHECK_FALSE(refused.empty());
    return found;
  };
  Folder untied;  // with a head of its own
  untied.set([](Json& config) { config["tie_word_embeddings"] = true; });
  CHECK(contains(both(untied), "differs from the embedding"));
  Folder missing(true);
  missing.set([](Json& config) { config["tie_word_embeddings"] = false; });
  CHECK(contains(both(missing), "\"lm_head.weight\""));
  Folder nan;
  nan.fill(nan.model.weights().norm.weight, std::nan(""), false);
  CHECK(contains(both(nan), "not finite"));
}

TEST_CASE("special ids beyond the vocabulary are named with their file") {
  for (char const* file : {"config.json", "generation_config.json"}) {
    const Folder folder;
    Json config = fs::exists(folder.scratch / file)
                      ? Json::parse(test::slurp(folder.scratch / file))
                      : Json::object();
    config["eos_token_id"] = Json::array({2, 101});  // the tiny model has 101 rows
    std::ofstream(folder.scratch / file) << config.dump();
    const std::string problem = folder.problem();
    CHECK(contains(problem, file));
    CHECK(contains(problem, "/eos_token_id is 101"));
  }
  const Folder text;
  text.scratch.put("generation_config.json", R"({"bos_token_id": "one", "eos_token_id": null})");
  CHECK(contains(text.problem(), "must be a token id"));
}

TEST_CASE("JSON beside the weights that cannot be read is named, once") {
  for (char const* file : {"generation_config.json", "tokenizer_config.json",
                           "special_tokens_map.json", "added_tokens.json", "tokenizer.json"}) {
    const Folder folder;
    for (char const* text : {"{", "[]", "{} {}", ""}) {
      INFO(file << ' ' << text);
      folder.scratch.put(file, text);
      CHECK(contains(folder.problem(), file));
    }
  }
  const Folder folder;
  folder.scratch.put("config.json", "{");
  CHECK(contains(folder.problem(), "config.json"));
}

TEST_CASE("pointers of git-lfs are named, whatever they stand for") {
  for (char const* file : {"tokenizer.model", "generation_config.json", "tokenizer.json",
                           "pytorch_model.bin", "README.md"}) {
    const Folder folder;
    folder.scratch.put(file, kPointer);
    INFO(file);
    const std::string problem = folder.problem();
    CHECK(contains(problem, file));
    CHECK(contains(problem, "git lfs pull"));
  }
}

TEST_CASE("files that nobody looked at are listed") {
  const Folder folder;
  folder.scratch.put("README.md", "a model");
  folder.scratch.put("old.safetensors", "not read by anybody");
  fs::create_directory(folder.scratch / "onnx");
  folder.scratch.put("generation_config.json", "{}");
  const Verification result = folder.verify();
  CHECK(result.problems.empty());
  CHECK(result.unread == std::vector<std::string>{"README.md", "old.safetensors", "onnx/"});
}

TEST_CASE("a tokenizer is read as training reads it, and must not have more pieces than rows") {
  LOMO_NEEDS_DATA();
  const fs::path model = test::data_dir() / "checkpoints/stories260K/hf/tokenizer.model";
  const Folder folder;  // of 101 rows
  const std::string bytes = test::slurp(model);
  folder.scratch.put("tokenizer.model", bytes);
  CHECK(
      contains(folder.problem(), "the embedding has 101 rows, and the first token beyond them is"));
  const Verification whole = verify_folder(model.parent_path());
  CHECK(whole.problems.empty());
  CHECK(whole.notes.empty());
  CHECK(contains(whole.tokenizer, "512 tokens, bos 1, eos 2"));

  folder.scratch.put("tokenizer.model", bytes.substr(0, bytes.size() / 2));
  CHECK(contains(folder.problem(), "tokenizer.model"));
  folder.scratch.put("tokenizer.model", "");
  CHECK(contains(folder.problem(), "tokenizer.model"));
}
