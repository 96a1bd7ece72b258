#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "data/support.h"
#include "lomo/data/dataset.h"

using namespace lomo;
using test::refusal;

namespace {

/// Sequence i has 1 + (i * 7) % 13 tokens, all of them the id i.
Dataset sample_data(int count) {
  Dataset data;
  for (int i = 0; i < count; ++i) {
    const std::size_t tokens = 1 + static_cast<std::size_t>(i * 7 % 13);
    Sequence sequence{std::vector<std::int32_t>(tokens, i),
                      std::vector<std::int32_t>(tokens, kNoTarget)};
    sequence.targets.back() = i;
    data.add(sequence, "train.jsonl:" + std::to_string(i + 1), i);
  }
  return data;
}

std::vector<std::int32_t> drawn(Batch const& batch) {
  std::vector<std::int32_t> ids;
  for (std::int64_t s = 0; s < batch.sequences(); ++s) {
    const std::int32_t start = batch.starts[static_cast<std::size_t>(s)];
    ids.push_back(batch.tokens[static_cast<std::size_t>(start)]);
  }
  return ids;
}

}  // namespace

TEST_CASE("Every sequence comes once an epoch, in an order of the seed's and the epoch's") {
  const Dataset data = sample_data(50);
  Sampler sampler(data, 8, 40, 42);
  std::vector<std::vector<std::int32_t>> epochs;
  for (int epoch = 0; epoch < 3; ++epoch) {
    std::vector<std::int32_t> seen;
    std::int64_t batches = 0;
    for (; sampler.position().epoch == epoch; ++batches) {
      const Batch batch = sampler.next();
      CHECK(batch.rows() <= 40);
      CHECK(batch.sequences() <= 8);
      const auto ids = drawn(batch);
      seen.insert(seen.end(), ids.begin(), ids.end());
    }
    CHECK(batches == sampler.batches_per_epoch(epoch));
    CHECK(seen.size() == 50);
    epochs.push_back(seen);
    std::sort(seen.begin(), seen.end());
    CHECK(std::adjacent_find(seen.begin(), seen.end()) == seen.end());
  }
  CHECK(epochs[0] != epochs[1]);
  CHECK(epochs[1] != epochs[2]);
  Sampler other(data, 50, 0, 43);
  CHECK(drawn(other.next()) != epochs[0]);
  Sampler again(data, 50, 0, 42);
  CHECK(drawn(again.next()) == epochs[0]);
}

TEST_CASE("Without a shuffle batches follow the file") {
  const Dataset data = sample_data(7);
  Sampler sampler(data, 3, 0, 1, false);
  CHECK(drawn(sampler.next()) == std::vector<std::int32_t>{0, 1, 2});
  CHECK(drawn(sampler.next()) == std::vector<std::int32_t>{3, 4, 5});
  CHECK(drawn(sampler.next()) == std::vector<std::int32_t>{6});
  CHECK(sampler.position() == DataPosition{1, 0});
}

TEST_CASE("A sampler put at a saved position draws the same batches") {
  const Dataset data = sample_data(31);
  Sampler straight(data, 4, 25, 9);
  for (int skipped = 0; skipped < 30; ++skipped) {
    Sampler resumed(data, 4, 25, 9);
    resumed.seek(straight.position());
    Sampler ahead(data, 4, 25, 9);
    ahead.seek(straight.position());
    for (int i = 0; i < 12; ++i) CHECK(resumed.next().tokens == ahead.next().tokens);
    resumed.seek(straight.position());
    CHECK(resumed.next().tokens == straight.next().tokens);
  }
  Sampler end(data, 4, 25, 9);
  end.seek({2, 31});
  CHECK(end.position() == DataPosition{3, 0});
  CHECK(test::has(refusal(Exit::data, [&] { end.seek({0, 32}); }), "31 sequences"));
}

TEST_CASE("largest() is the largest batch that is drawn") {
  const Dataset data = sample_data(29);
  Sampler sampler(data, 5, 30, 3);
  Sampler::Largest seen;
  std::int64_t drawn = 0;
  for (; sampler.position().epoch < 4; ++drawn) {
    const Batch batch = sampler.next();
    seen.tokens = std::max(seen.tokens, batch.rows());
    seen.targets = std::max(seen.targets, batch.loss_count());
  }
  const Sampler::Largest told = sampler.largest(drawn);
  CHECK(told.tokens == seen.tokens);
  CHECK(told.targets == seen.targets);
  CHECK(sampler.batches_in(4, 0) == drawn);
  CHECK(sampler.batches_in(4, drawn - 1) == drawn - 1);
}

TEST_CASE("as many epochs are looked at as a run takes, however many it may") {
  const Dataset data = sample_data(29);
  constexpr std::int64_t kEver = std::numeric_limits<std::int64_t>::max();
  const Sampler capped(data, 5, 30, 3), counted(data, 5, 0, 3);
  CHECK(capped.batches_in(kEver, 5) == 5);
  CHECK(counted.batches_in(kEver, 5) == 5);
  CHECK(counted.batches_in(kEver, 0) == kEver);  // and does not overflow
  CHECK(counted.batches_in(3, 0) == 18);
}

TEST_CASE("With no count a batch is filled up to the cap") {
  const Dataset data = sample_data(40);
  Sampler sampler(data, 0, 60, 3, false);
  const Batch batch = sampler.next();
  const std::size_t following = static_cast<std::size_t>(batch.sequences());
  CHECK(batch.rows() <= 60);
  CHECK(batch.rows() + data.length(following) > 60);
}

TEST_CASE("A sampler that cannot work says why") {
  const Dataset data = sample_data(3);
  const std::string message = refusal(Exit::data, [&] { Sampler(data, 4, 7, 0); });
  CHECK(message.find("train.jsonl:2 has 8 tokens") != std::string::npos);
  CHECK(refusal(Exit::usage, [&] { Sampler(data, 0, 0, 0); }).find("size") != std::string::npos);
  CHECK_FALSE(refusal(Exit::data, [&] { Sampler(Dataset{}, 4, 0, 0); }).empty());
}

TEST_CASE("Ids outside the vocabulary are counted") {
  Dataset data = sample_data(12);
  CHECK_NOTHROW(check_ids(data, 12));
  const std::string message = refusal(Exit::data, [&] { check_ids(data, 10); });
  // Sequence 10 has 1 + 70 % 13 = 6 tokens and one target, 11 has 1 + 77 % 13 = 13 and one.
  CHECK(message.find("21 token ids") != std::string::npos);
  CHECK(message.find("train.jsonl:11") != std::string::npos);
  CHECK(message.find("example 11") != std::string::npos);
  data.add(Sequence{{-5}, {1}}, "train.jsonl:13", 12);
  CHECK(refusal(Exit::data, [&] { check_ids(data, 12); }).find("-5") != std::string::npos);
}

TEST_CASE("A share is kept for validation") {
  const Split split = split_validation(100, 0.1, 7);
  CHECK(split.validation.size() == 10);
  CHECK(split.train.size() == 90);
  std::vector<std::int64_t> all = split.train;
  all.insert(all.end(), split.validation.begin(), split.validation.end());
  std::sort(all.begin(), all.end());
  for (std::size_t i = 0; i < all.size(); ++i) CHECK(all[i] == static_cast<std::int64_t>(i));
  CHECK(split_validation(100, 0.1, 7).validation == split.validation);
  CHECK(split_validation(100, 0.1, 8).validation != split.validation);
  CHECK(split_validation(5, 0.01, 1).validation.size() == 1);
  CHECK(split_validation(5, 0.99, 1).train.size() == 1);
  CHECK(split_validation(5, 0.0, 1).validation.empty());
  CHECK_THROWS_AS(split_validation(5, 1.0, 1), Error);
}
