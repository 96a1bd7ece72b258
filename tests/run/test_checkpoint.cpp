#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "lomo/config/change.h"
#include "lomo/io/manifest.h"
#include "lomo/model/checkpoint.h"
#include "lomo/run/run_folder.h"
#include "lomo/run/training_state.h"
#include "lomo/run/verify.h"
#include "model/tiny.h"
#include "retention.h"
#include "support/catch.h"
#include "support/errors.h"
#include "support/files.h"

using namespace lomo;
using lomo::test::contains;
using lomo::test::error_of;
namespace fs = std::filesystem;

namespace {

TrainConfig small_config() {
  return parse_config(Json::parse(R"({"model": {"path": "m"}, "data": {"task": "ids",
                                      "train": "t.jsonl"}, "optimizer": {"lr": 0.01}})"),
                      "test");
}

/// A tiny model with a rule that has state, saved under step-1, step-2, ... of a run folder.
struct Saved {
  test::TemporaryFolder scratch;
  std::unique_ptr<Backend> backend = test::make_cpu(1);
  Decoder model{*backend, test::tiny_config(false), DType::f32};
  std::unique_ptr<UpdateRule> rule;
  Saved() {
    test::fill_weights(model, 1);
    OptimizerOptions options;
    options.kind = OptimizerKind::adalomo;
    rule = make_update_rule(*backend, options, model.weights().groups());
    for (StoredTensor const& tensor : rule->state()) backend->zero(tensor.value);
    fs::create_directories(scratch.path() / "checkpoints");
  }

  fs::path step(std::int64_t n) const {
    return scratch.path() / "checkpoints" / ("step-" + std::to_string(n));
  }
  void save(std::int64_t n) {
    TrainingState state;
    state.batches = state.trainer.applied = n;
    state.train_hash = "0123456789abcdef";
    state.config = Json::parse(to_json(small_config()).dump());
    save_checkpoint(step(n), model, *rule, state, {}, 20000, model.ranks());
  }
  void poison() {
    std::vector<float> values(101 * 40, 0.5f);
    values[57] = std::numeric_limits<float>::quiet_NaN();
    backend->upload(model.weights().head().stacked(), std::as_bytes(std::span(values)));
  }
};

std::vector<fs::path> files_of(fs::path const& folder) {
  std::vector<fs::path> files;
  for (auto const& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

void write(fs::path const& file, std::string const& text) {
  std::ofstream(file, std::ios::binary | std::ios::trunc) << text;
}

/// LOMO_TEST_DAMAGE=1000: so many damages of each kind and file instead of a few.
int damages() {
  char const* wanted = std::getenv("LOMO_TEST_DAMAGE");
  return wanted == nullptr ? 12 : std::atoi(wanted);
}

}  // namespace

TEST_CASE("every flipped bit and every cut of a checkpoint is found, and the one before is used") {
  Saved saved;
  saved.save(9);
  saved.save(10);
  REQUIRE(find_checkpoint(saved.scratch.path()) == saved.step(10));
  CHECK(verify_folder(saved.step(10)).problems.empty());
  REQUIRE(files_of(saved.step(10)).size() > 4);  // weights in shards, among others

  std::mt19937_64 random(3);
  for (fs::path const& file : files_of(saved.step(10))) {
    const std::string whole = test::slurp(file);
    REQUIRE_FALSE(whole.empty());
    const auto must_be_found = [&](std::string const& bytes) {
      write(file, bytes);
      CHECK_FALSE(check_checkpoint(saved.step(10)).empty());
      CHECK_FALSE(verify_folder(saved.step(10)).problems.empty());
    };
    for (int i = 0; i < damages(); ++i) {
      INFO(file << " damage " << i);
      const std::size_t at = i == 0 ? 0 : i == 1 ? whole.size() - 1 : random() % whole.size();
      std::string flipped = whole;
      flipped[at] = static_cast<char>(flipped[at] ^ (1 << (random() % 8)));
      must_be_found(flipped);
      must_be_found(whole.substr(0, at));
    }
    CHECK(find_checkpoint(saved.scratch.path()) == saved.step(9));
    const std::string message = error_of(Exit::data, [&] { find_checkpoint(saved.step(10)); });
    CHECK(contains(message, "damaged"));
    fs::remove(file);
    CHECK_FALSE(check_checkpoint(saved.step(10)).empty());
    write(file, whole);
  }
  CHECK(find_checkpoint(saved.scratch.path()) == saved.step(10));

  write(saved.step(9) / "manifest.json", "{}");
  write(saved.step(10) / "manifest.json", "");
  CHECK(contains(error_of(Exit::data, [&] { find_checkpoint(saved.scratch.path()); }), "whole"));
}

TEST_CASE("folders that are no checkpoints of the run are not looked at") {
  Saved saved;
  CHECK_FALSE(newest_checkpoint(saved.scratch.path()));
  error_of(Exit::data, [&] { find_checkpoint(saved.scratch.path()); });
  saved.save(9);
  for (char const* name : {".partial-step-12", "step-x", "step--3", "set-aside"}) {
    fs::create_directories(saved.scratch.path() / "checkpoints" / name);
  }
  CHECK(newest_checkpoint(saved.scratch.path()) == saved.step(9));
  fs::create_directories(saved.step(11));  // without a manifest
  CHECK(newest_checkpoint(saved.scratch.path()) == saved.step(9));
  CHECK(find_checkpoint(saved.step(9)) == saved.step(9));
}

TEST_CASE("weights that are not finite are not saved and leave nothing behind") {
  Saved saved;
  saved.save(1);
  saved.poison();
  const std::string message = error_of(Exit::diverged, [&] { saved.save(2); });
  CHECK(contains(message, "lm_head.weight"));
  CHECK(contains(message, "[1, 17]"));  // 57 = 1 * 40 + 17
  CHECK(files_of(saved.scratch.path() / "checkpoints").size() == 1);
  CHECK(newest_checkpoint(saved.scratch.path()) == saved.step(1));
}

TEST_CASE("the hash of the weights does not depend on how they are split") {
  Saved saved;
  const fs::path one = saved.scratch.path() / "one", many = saved.scratch.path() / "many";
  fs::create_directory(one);
  fs::create_directory(many);
  save_model(*saved.backend, saved.model.weights(), saved.model.config(), one, {}, 1u << 30,
             saved.model.ranks());
  save_model(*saved.backend, saved.model.weights(), saved.model.config(), many, {}, 9000,
             saved.model.ranks());
  REQUIRE(files_of(many).size() > files_of(one).size() + 2);
  const Verification a = verify_folder(one), b = verify_folder(many);
  CHECK(a.problems.empty());
  CHECK(b.problems.empty());
  CHECK_FALSE(a.manifest);
  CHECK(a.weights_hash == b.weights_hash);
  CHECK(a.elements == saved.model.config().parameters());

  saved.poison();
  const fs::path bad = saved.scratch.path() / "bad";
  fs::create_directory(bad);
  save_model(*saved.backend, saved.model.weights(), saved.model.config(), bad, {}, 1u << 30,
             saved.model.ranks());
  const Verification c = verify_folder(bad);
  CHECK(c.weights_hash != a.weights_hash);
  REQUIRE(c.problems.size() == 1);
  CHECK(contains(c.problems[0], "lm_head.weight"));
  CHECK(contains(c.problems[0], "not finite"));
}

TEST_CASE("a model folder whose shapes are not those of its config is found out") {
  Saved saved;
  const fs::path folder = saved.scratch.path() / "model";
  fs::create_directory(folder);
  save_model(*saved.backend, saved.model.weights(), saved.model.config(), folder, {}, 1u << 30,
             saved.model.ranks());
  Json config = Json::parse(test::slurp(folder / "config.json"));
  config["intermediate_size"] = config["intermediate_size"].get<int>() + 8;
  config["num_hidden_layers"] = config["num_hidden_layers"].get<int>() + 1;
  write(folder / "config.json", config.dump());
  const Verification result = verify_folder(folder);
  CHECK(std::any_of(result.problems.begin(), result.problems.end(), [](auto const& p) {
    return contains(p, "gate_proj") && contains(p, "shape");
  }));
  CHECK(std::any_of(result.problems.begin(), result.problems.end(),
                    [](auto const& p) { return contains(p, "missing"); }));
  error_of(Exit::data, [&] { verify_folder(saved.scratch.path() / "nothing"); });
}

TEST_CASE("the list of weights without memory is the list of those with it") {
  for (const bool tied : {false, true}) {
    const auto backend = test::make_cpu(1);
    Decoder model(*backend, test::tiny_config(tied), DType::f32);
    std::vector<std::string> real, listed;
    for (ParameterGroup* group : model.weights().groups()) {
      for (Parameter const& p : group->members()) real.push_back(p.name + p.value.shape().str());
    }
    for (WeightShape const& w : weight_shapes(test::tiny_config(tied))) {
      const Shape shape = w.shape.size() == 1 ? Shape(w.shape[0]) : Shape(w.shape[0], w.shape[1]);
      listed.push_back(w.name + shape.str());
    }
    CHECK(real == listed);
  }
}

TEST_CASE("retention keeps the last, every m-th and the best, and always the newest") {
  std::vector<Kept> all;
  for (int i = 1; i <= 8; ++i) all.push_back({i * 10, {}});
  all[1].metric = 0.5;
  all[3].metric = 0.2;
  all[5].metric = 0.9;
  using Steps = std::vector<std::int64_t>;
  SaveSection save;
  save.keep_last = 2;
  CHECK(to_discard(all, save, true) == Steps{10, 20, 30, 40, 50, 60});
  save.keep_every = 30;
  CHECK(to_discard(all, save, true) == Steps{10, 20, 40, 50});
  save.keep_best = 1;
  CHECK(to_discard(all, save, true) == Steps{10, 20, 50});
  CHECK(to_discard(all, save, false) == Steps{10, 20, 40, 50});
  save.keep_best = 9;
  CHECK(to_discard(all, save, true) == Steps{10, 50});
  save.keep_last = 0;
  CHECK(to_discard(all, save, true).empty());
  save.keep_last = 99;
  CHECK(to_discard(all, save, true).empty());
  CHECK(to_discard({}, save, true).empty());
}

TEST_CASE("a resumed run may change its rate and its length, not its data or its model") {
  const TrainConfig before = small_config();
  CHECK(config_changes(before, before).empty());
  TrainConfig now = before;
  now.optimizer.lr = 0.5;
  now.train.epochs = 9;
  now.save.keep_last = 5;
  now.output = "elsewhere";
  CHECK(config_changes(before, now).size() == 3);
  now.train.seed = 1;
  now.batch.sequences = 3;
  now.optimizer.kind = OptimizerKind::adamw;
  const std::string message =
      error_of(Exit::usage, [&] { static_cast<void>(config_changes(before, now)); });
  CHECK(contains(message, "train.seed: 42 -> 1"));
  CHECK(contains(message, "batch.sequences: 16 -> 3"));
  CHECK(contains(message, "optimizer.name"));
  CHECK_FALSE(contains(message, "optimizer.lr"));
}

TEST_CASE("newer checkpoints are set aside, never mixed up and never lost") {
  test::TemporaryFolder scratch;
  {
    const RunFolder folder = RunFolder::create(scratch.path());
    for (int step : {5, 10, 15}) fs::create_directories(folder.checkpoint(step));
  }
  for (std::size_t round = 1; round <= 2; ++round) {
    const RunFolder folder = RunFolder::reopen(scratch.path());
    CHECK(folder.set_aside_after(5).size() == 2);
    CHECK(list_checkpoints(folder.checkpoints()).size() == 1);
    CHECK(files_of(folder.checkpoints() / "set-aside").size() == 2 * round);
    for (int step : {10, 15}) fs::create_directories(folder.checkpoint(step));
  }
}

TEST_CASE("a metrics line that a crash cut short is dropped when the run goes on") {
  test::TemporaryFolder scratch;
  { RunFolder::create(scratch.path()).metric({{"event", "step"}}); }
  std::ofstream(scratch.path() / "metrics.jsonl", std::ios::app) << std::string(9000, 'x');
  RunFolder::reopen(scratch.path()).metric({{"event", "resume"}});
  CHECK(test::slurp(scratch.path() / "metrics.jsonl") ==
        "{\"event\":\"step\"}\n{\"event\":\"resume\"}\n");
}

TEST_CASE("leftovers of a save that was cut short are removed") {
  test::TemporaryFolder scratch;
  { const RunFolder folder = RunFolder::create(scratch.path()); }
  fs::create_directories(scratch.path() / "checkpoints" / ".partial-step-5" / "x");
  fs::create_directories(scratch.path() / "checkpoints" / ".discard-step-1");
  fs::create_directories(scratch.path() / ".partial-model");
  const RunFolder folder = RunFolder::reopen(scratch.path());
  CHECK(fs::is_empty(scratch.path() / "checkpoints"));
  CHECK_FALSE(fs::exists(scratch.path() / ".partial-model"));
}

TEST_CASE("two runs cannot share a folder, and the lock of one that ended is free") {
  test::TemporaryFolder scratch;
  {
    const RunFolder folder = RunFolder::create(scratch.path());
    const std::string message = error_of(Exit::usage, [&] { RunFolder::reopen(scratch.path()); });
    CHECK(contains(message, "another process"));
  }
  CHECK_NOTHROW(RunFolder::reopen(scratch.path()));
}
