#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "lomo/data/data_cache.h"
#include "lomo/train/inputs.h"
#include "support/catch.h"
#include "support/files.h"

using namespace lomo;
namespace fs = std::filesystem;

namespace {

std::string number_lines(int from, int count) {
  std::string text;
  for (int i = from; i < from + count; ++i) {
    text += "{\"ids\": [1, 2, " + std::to_string(i) + "]}\n";
  }
  return text;
}

TrainConfig config_with(test::TemporaryFolder const& folder, std::string const& data) {
  return parse_config(
      Json::parse(R"({"model": {"path": ")" + folder.path().string() +
                  R"("}, "optimizer": {"lr": 0.01}, "data": {"task": "ids", )" + data + "}}"),
      "c.json");
}

/// How often each last id is learnt.
std::map<std::int32_t, int> counts_of(Dataset const& data) {
  std::map<std::int32_t, int> counts;
  for (SequenceView const& sequence : data.all()) ++counts[sequence.targets.back()];
  return counts;
}

}  // namespace

TEST_CASE("Files are in the data as often as their repeat says") {
  const test::TemporaryFolder folder;
  const std::string a = folder.put("a.jsonl", number_lines(100, 10)).string();
  const std::string b = folder.put("b.jsonl", number_lines(200, 40)).string();
  const auto load = [&](std::string const& repeat, std::string const& more = "") {
    return load_inputs(config_with(folder, R"("train": [")" + a + R"(", {"path": ")" + b +
                                               R"(", "repeat": )" + repeat + "}]" + more),
                       nullptr, {}, {});
  };
  CHECK(load("1").train.size() == 50);
  const auto twice = counts_of(load("2").train);
  CHECK(twice.at(100) == 1);
  CHECK(std::ranges::all_of(twice,
                            [](auto const& c) { return c.second == (c.first < 200 ? 1 : 2); }));
  // A fraction takes every so many, from a place that the seed chooses.
  const auto half = counts_of(load("0.5").train);
  CHECK(half.size() == 30);
  CHECK(counts_of(load("0.5").train) == half);
  const auto more = counts_of(load("2.25").train);
  CHECK(more.size() == 50);
  const auto in_all = [](auto const& counts) {
    int all = 0;
    for (auto const& [id, count] : counts) all += count;
    return all;
  };
  CHECK(in_all(more) == 10 + 90);
  // What is held out is there once, and not in the training data.
  const Inputs held = load("3", R"(, "validation_share": 0.2)");
  CHECK(held.eval.data.size() == 10);
  for (auto const& [id, count] : counts_of(held.eval.data)) {
    CHECK(count == 1);
    CHECK_FALSE(counts_of(held.train).contains(id));
  }
  // A cap counts examples, not copies.
  CHECK(load("4", R"(, "train_examples": 20, "sampling": "first")").train.size() == 10 + 40);
  CHECK_THROWS_WITH(load("0"), Catch::Contains("/data/train/1/repeat"));
  CHECK_THROWS_WITH(load("\"2\""), Catch::Contains("/data/train/1/repeat"));
}

TEST_CASE("A config writes repeats as it reads them") {
  const test::TemporaryFolder folder;
  const TrainConfig config =
      config_with(folder, R"("train": ["a", {"path": "b", "repeat": 2.5}], "cache": "off")");
  const TrainConfig again = parse_config(Json::parse(to_json(config).dump()), "again.json");
  CHECK(again.data.train == std::vector<std::string>{"a", "b"});
  CHECK(again.data.repeats == std::vector<double>{1, 2.5});
  CHECK(again.data.cache == "off");
  CHECK(config_with(folder, R"("train": {"path": "b", "repeat": 2})").data.repeats ==
        std::vector<double>{2});
  CHECK_THROWS_WITH(config_with(folder, R"("train": [{"path": "b", "repaet": 2}])"),
                    Catch::Contains("repaet"));
  CHECK_THROWS_WITH(config_with(folder, R"("train": [{"repeat": 2}])"), Catch::Contains("path"));
  CHECK_THROWS_WITH(config_with(folder, R"("train": ["a", 3])"), Catch::Contains("/data/train"));
}

TEST_CASE("Data from the cache are the data without it, until something changes") {
  const test::TemporaryFolder folder;
  const std::string file = folder.put("a.jsonl", number_lines(100, 30)).string();
  const std::string cache = (folder.path() / "cache").string();
  const auto load = [&](std::string const& more = "", std::string const& where = "") {
    return load_inputs(
        config_with(folder, R"("train": ")" + file + R"(", "validation_share": 0.2, "cache": ")" +
                                (where.empty() ? cache : where) + "\"" + more),
        nullptr, {}, {});
  };
  const Inputs plain = load("", "off");
  const auto same = [&](Inputs const& inputs) {
    return content_hash(inputs.train) == content_hash(plain.train) &&
           content_hash(inputs.eval.data) == content_hash(plain.eval.data) &&
           inputs.train.where(0) == plain.train.where(0) &&
           inputs.train.statistics.examples == plain.train.statistics.examples;
  };
  const auto entries = [&] { return DataCache(cache).list().size(); };
  CHECK(same(load()));
  CHECK(entries() == 1);
  CHECK(same(load()));
  CHECK(entries() == 1);

  // Damage is seen, and what was damaged made anew.
  const std::string key = DataCache(cache).list().front().key;
  const fs::path ids = fs::path(cache) / ("data-" + key) / "train.ids";
  std::string bytes = test::slurp(ids);
  bytes[8] ^= 1;
  std::ofstream(ids, std::ios::binary) << bytes;
  CHECK(same(load()));
  CHECK(entries() == 1);
  fs::remove(fs::path(cache) / ("data-" + key) / "about.json");
  CHECK(same(load()));

  // Other settings, another file, another tokenizer: other entries.
  load(R"(, "max_length": 64)");
  CHECK(entries() == 2);
  folder.put("a.jsonl", number_lines(100, 31));
  CHECK(load().train.size() + load().eval.data.size() == 31);
  CHECK(entries() == 3);
  folder.put("tokenizer_config.json", "{}");
  load();
  CHECK(entries() == 4);

  // A cache that cannot be written stops nothing.
  folder.put("a.jsonl", number_lines(100, 30));
  CHECK(same(load("", file + "/below")));
  // What is wrong with the data is said as without a cache, and nothing is kept.
  folder.put("a.jsonl", number_lines(100, 3) + "{\"ids\": [-1]}\n");
  CHECK_THROWS_WITH(load(), Catch::Contains("a.jsonl:4"));
  CHECK(entries() == 4);
}
