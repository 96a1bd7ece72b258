// Every family beside transformers: loss, logits, gradients, ten steps of LOMO and of AdaLomo, and
// what is saved. The fixtures come from tests/reference/make_families.py.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "lomo/backend/process_group.h"
#include "lomo/io/safetensors.h"
#include "lomo/model/checkpoint.h"
#include "lomo/model/config_json.h"
#include "lomo/optim/sinks/keep_gradients.h"
#include "lomo/train/trainer.h"
#include "model/tiny.h"
#include "support/catch.h"
#include "support/files.h"
#include "support/source_dir.h"

using namespace lomo;
using namespace lomo::test;
namespace fs = std::filesystem;

namespace {

fs::path fixtures() {
  return source_dir() / "tests/fixtures/families";
}

std::vector<std::string> all_cases() {
  std::vector<std::string> names;
  for (auto const& entry : fs::directory_iterator(fixtures())) {
    names.push_back(entry.path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

/// What transformers made of a model, its batch among it.
class Expected {
 public:
  explicit Expected(fs::path const& folder) : file_(folder / "expected.safetensors") {}

  template <class T>
  std::vector<T> read(std::string const& name) const {
    SafetensorsEntry const* entry = file_.find(name);
    REQUIRE(entry != nullptr);
    std::vector<T> values(static_cast<std::size_t>(entry->numel()));
    file_.read(*entry, 0, std::as_writable_bytes(std::span(values)));
    return values;
  }
  double rate(std::string const& name) const { return std::stod(file_.metadata().at(name)); }
  std::vector<float> floats(std::string const& name) const { return read<float>(name); }

  /// Of a parameter, which may be a part of a tensor that is fused on disk.
  std::vector<float> of(std::string const& prefix, Parameter const& p,
                        ModelConfig const& config) const {
    if (file_.find(prefix + p.name) != nullptr) return floats(prefix + p.name);
    const std::int64_t query = config.heads * config.head_width;
    const std::int64_t key = config.kv_heads * config.head_width;
    for (auto const& [part, whole, row] : {std::tuple{"q_proj", "qkv_proj", std::int64_t{0}},
                                           {"k_proj", "qkv_proj", query},
                                           {"v_proj", "qkv_proj", query + key},
                                           {"gate_proj", "gate_up_proj", std::int64_t{0}},
                                           {"up_proj", "gate_up_proj", config.ffn}}) {
      const std::size_t at = p.name.find(std::string(".") + part);
      if (at == std::string::npos) continue;
      std::string name = p.name;
      name.replace(at + 1, std::string(part).size(), whole);
      const std::vector<float> all = floats(prefix + name);
      const auto first = all.begin() + row * p.whole.cols();
      return {first, first + p.whole.numel()};
    }
    FAIL("nothing is expected of " << p.name);
    return {};
  }

  Batch batch() const {
    const auto ids = read<std::int32_t>("ids"), starts = read<std::int32_t>("starts");
    const auto from = read<std::int32_t>("loss_from");
    std::vector<Sequence> sequences;
    for (std::size_t s = 0; s + 1 < starts.size(); ++s) {
      const std::vector<std::int32_t> own(ids.begin() + starts[s], ids.begin() + starts[s + 1]);
      sequences.push_back(make_sequence(own, static_cast<std::size_t>(from[s])));
    }
    return make_batch(sequences);
  }

 private:
  SafetensorsFile file_;
};

/// The model of a folder, in f32.
struct Loaded {
  explicit Loaded(fs::path const& folder, char const* config_name = "config.json")
      : config(read_model_config(folder / config_name)), model(*backend, config, DType::f32) {
    load_weights(*backend, model.weights(), folder);
  }
  void each(std::function<void(Parameter&)> const& f) {
    for (auto* group : model.weights().groups()) {
      for (auto& p : group->members()) f(p);
    }
  }
  std::unique_ptr<Backend> backend = make_cpu(2);
  ModelConfig config;
  Decoder model;
};

double mean_loss(Decoder& model, Batch const& batch) {
  double sum = 0;
  const std::vector<float> losses = model.losses(batch);
  for (const float loss : losses) sum += loss;
  return sum / static_cast<double>(losses.size());
}

/// |a - b| <= share |b|, of whole tensors.
void check_near(std::string const& what, std::vector<float> const& a, std::vector<float> const& b,
                double share) {
  REQUIRE(a.size() == b.size());
  std::vector<float> difference;
  for (std::size_t i = 0; i < a.size(); ++i) difference.push_back(a[i] - b[i]);
  INFO(what);
  CHECK(norm(difference) <= share * norm(b) + 1e-7);
}

}  // namespace

TEST_CASE("a model of every family has transformers' loss, logits and gradients") {
  const std::vector<std::string> cases = all_cases();
  REQUIRE(cases.size() >= 18);
  for (std::string const& name : cases) {
    const fs::path folder = fixtures() / name;
    const Expected expected(folder);
    for (char const* spelling : {"config.json", "config_v4.json"}) {
      if (!fs::exists(folder / spelling)) continue;
      INFO(name << ", " << spelling);
      Loaded loaded(folder, spelling);
      CHECK(loaded.config.unknown_keys.empty());
      const Batch batch = expected.batch();
      CHECK(mean_loss(loaded.model, batch) ==
            Approx(expected.floats("loss").front()).epsilon(1e-5));

      // One token after the other, by keys and values that are kept.
      const std::vector<float> logits = expected.floats("logits");
      const auto vocab = static_cast<std::size_t>(loaded.config.vocab);
      const std::size_t length = logits.size() / vocab;
      KeyValueCache cache = loaded.model.make_cache(static_cast<std::int64_t>(length));
      const auto ids = expected.read<std::int32_t>("ids");
      std::vector<float> ours;
      for (std::size_t i = 0; i < length; ++i) {
        const std::vector<float> row = loaded.model.extend(cache, {ids[i]});
        ours.insert(ours.end(), row.begin(), row.end());
      }
      check_near("logits", ours, logits, 1e-5);

      for (const Recompute recompute : {Recompute::none, Recompute::block}) {
        const Gradients gradients = gradients_of(loaded.model, batch, recompute,
                                                 1 / static_cast<float>(batch.loss_count()));
        loaded.each([&](Parameter& p) {
          check_near(p.name, gradients.at(p.name), expected.of("grad.", p, loaded.config), 1e-4);
        });
      }
    }
  }
}

TEST_CASE("ten steps of LOMO and of AdaLomo change every family as PyTorch does") {
  for (std::string const& name : all_cases()) {
    const fs::path folder = fixtures() / name;
    const Expected expected(folder);
    for (const OptimizerKind kind : {OptimizerKind::lomo, OptimizerKind::adalomo}) {
      const bool lomo = kind == OptimizerKind::lomo;
      INFO(name << (lomo ? ", LOMO" : ", AdaLomo"));
      Loaded loaded(folder);
      TrainConfig config;
      config.optimizer.kind = kind;
      config.optimizer.lr = expected.rate(lomo ? "lomo.lr" : "adalomo.lr");
      config.optimizer.rounding = Rounding::nearest;
      config.clip.norm = lomo ? 1 : 0;
      config.memory.tile_bytes = 512;
      Trainer trainer(loaded.model, config,
                      Schedule(ScheduleKind::constant, config.optimizer.lr, 0, 10));
      const std::string prefix = lomo ? "lomo." : "adalomo.";
      for (const float loss : expected.floats(prefix + "losses")) {
        CHECK(trainer.step(expected.batch()).loss == Approx(loss).epsilon(2e-5));
      }
      loaded.each([&](Parameter& p) {
        check_near(p.name, raw_values<float>(*loaded.backend, p.value),
                   expected.of(prefix, p, loaded.config), 1e-4);
      });
    }
  }
}

TEST_CASE("a saved model of every family is the same files and the same model") {
  for (std::string const& name : all_cases()) {
    INFO(name);
    const fs::path folder = fixtures() / name;
    Loaded loaded(folder);
    const TemporaryFolder scratch;
    save_model(*loaded.backend, loaded.model.weights(), loaded.config, scratch.path(),
               read_auxiliary_files(folder), std::size_t{1} << 30, loaded.backend->self_group());
    const SafetensorsFile before(folder / "model.safetensors");
    const SafetensorsFile after(scratch.path() / "model.safetensors");
    REQUIRE(before.entries().size() == after.entries().size());
    for (SafetensorsEntry const& entry : before.entries()) {
      INFO(entry.name);
      SafetensorsEntry const* again = after.find(entry.name);
      REQUIRE(again != nullptr);
      CHECK(again->shape == entry.shape);
      CHECK(again->dtype == entry.dtype);
    }
    Loaded again(scratch.path());
    CHECK(again.config == loaded.config);
    CHECK(weight_bits(again.model) == weight_bits(loaded.model));
  }
}
