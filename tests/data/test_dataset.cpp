#include <numeric>

#include "data/encoded.h"
#include "data/support.h"
#include "lomo/data/dataset.h"
#include "lomo/data/encoding_stream.h"

using namespace lomo;
namespace fs = std::filesystem;
using Ids = std::vector<std::int32_t>;

namespace {

/// Three sequences of three kinds: a document in two pieces, an answer, and one with a hole.
Dataset sample() {
  Dataset data;
  data.add_document(Ids{1, 2, 3, 4, 5}, 3, "a.txt:1", 0);
  data.add(Ids{6, 7, 8}, 2, "b.jsonl:1", 1);
  data.add(Sequence{{1, 9, 3}, {9, kNoTarget, 2}}, "c.jsonl:4", 2);
  return data;
}

void check_same(Dataset const& a, Dataset const& b) {
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    CHECK(test::list(a[i].tokens) == test::list(b[i].tokens));
    CHECK(test::list(a[i].targets) == test::list(b[i].targets));
    CHECK(a.where(i) == b.where(i));
    CHECK(a.item(i) == b.item(i));
    CHECK(a.length(i) == b.length(i));
    CHECK(a.targets(i) == b.targets(i));
  }
  CHECK(a.tokens() == b.tokens());
  CHECK(a.targets() == b.targets());
  CHECK(a.smallest_id() == b.smallest_id());
  CHECK(a.largest_id() == b.largest_id());
  CHECK(content_hash(a) == content_hash(b));
}

}  // namespace

TEST_CASE("A data set gives back what was added") {
  const Dataset data = sample();
  REQUIRE(data.size() == 4);
  CHECK(test::list(data[0].tokens) == Ids{1, 2, 3});
  CHECK(test::list(data[0].targets) == Ids{2, 3, 4});
  CHECK(test::list(data[1].tokens) == Ids{4});
  CHECK(test::list(data[1].targets) == Ids{5});
  CHECK(test::list(data[2].targets) == Ids{kNoTarget, 8});
  CHECK(test::list(data[3].targets) == Ids{9, kNoTarget, 2});
  CHECK(data.where(1) == "a.txt:1");
  CHECK(test::items(data) == std::vector<std::int64_t>{0, 0, 1, 2});
  CHECK(data.tokens() == 9);
  CHECK(data.targets() == 7);
  CHECK(data.largest_id() == 9);
}

TEST_CASE("A data set in files is the one in memory, and a damaged file is refused") {
  const fs::path folder = test::scratch("dataset_files");
  const auto fill = [](DatasetWriter& writer) {
    writer.append(sample(), 0);
    writer.append(sample(), 3, Ids{2, 1, 0});
    return writer.finish();
  };
  DatasetWriter memory, files(folder, "train");
  const Dataset a = fill(memory);
  check_same(a, fill(files));
  const DatasetFacts facts = facts_of(a);
  check_same(a, map_dataset(folder, "train", facts));
  REQUIRE(a.size() == 9);
  CHECK(test::items(a) == std::vector<std::int64_t>{0, 0, 1, 2, 3, 3, 3, 3, 4});
  CHECK(a.where(8) == "b.jsonl:1");

  DatasetWriter nothing(folder, "empty");
  CHECK(nothing.finish().empty());
  CHECK(map_dataset(folder, "empty", facts_of({})).empty());

  CHECK(test::has(test::refusal(Exit::data, [&] { map_dataset(folder, "train", facts_of({})); }),
                  "is damaged"));
  fs::resize_file(folder / "train.ids", 4);
  CHECK(test::has(test::refusal(Exit::data, [&] { map_dataset(folder, "train", facts); }),
                  "is damaged"));
  fs::remove(folder / "train.where");
  CHECK(test::has(test::refusal(Exit::data, [&] { map_dataset(folder, "train", facts); }),
                  "train.where"));
}

TEST_CASE("Items that are encoded on many threads stay in order, and the first error is thrown") {
  std::vector<IdList> lists(5000);
  for (std::size_t i = 0; i < lists.size(); ++i) {
    lists[i].ids.assign(i % 7 + 2, static_cast<std::int32_t>(i));
    lists[i].where = "x:" + std::to_string(i + 1);
  }
  const Encode<IdList> encode = [](std::span<IdList const> some) {
    for (IdList const& list : some) {
      if (list.loss_from < 0) throw Error(Exit::data, list.where);
    }
    return encode_id_lists(some, {});
  };
  DatasetWriter once, streamed, stepwise;
  once.append(encode(lists), 0);
  const Dataset whole = once.finish();
  for (const int threads : {1, 3}) {
    CAPTURE(threads);
    DatasetWriter out;
    EncodingStream<IdList> stream(out, encode, threads);
    for (IdList const& list : lists) stream.add(list, 4096);
    stream.finish();
    check_same(out.finish(), whole);
    DatasetWriter all;
    encode_all<IdList>(lists, encode, threads, all);
    check_same(all.finish(), whole);
  }
  lists[4200].loss_from = lists[1234].loss_from = -1;
  const std::string message = test::refusal(Exit::data, [&] {
    DatasetWriter out;
    EncodingStream<IdList> stream(out, encode, 2);
    for (IdList const& list : lists) stream.add(list, 1);
    stream.finish();
  });
  CHECK(message == "x:1235");
}
