// Files as they lie on disk: gzipped, damaged, and of formats that are not read.
#include <filesystem>
#include <string>
#include <string_view>

#include "data/encoded.h"
#include "data/support.h"

using namespace lomo;
using namespace std::string_view_literals;
using test::has;
using test::refusal;
namespace fs = std::filesystem;

namespace {

// {"prompt": "2+2=", "answer": "4"} and a newline, by gzip -9.
constexpr std::string_view kRecord =
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\x2a\x28\xca\xcf\x2d\x28\x51\xb2\x52\x50"
    "\x32\xd2\x36\xb2\x55\xd2\x51\x50\x4a\xcc\x2b\x2e\x4f\x2d\x02\x89\x98\x28\xd5\x72\x01\x00"
    "\xb4\x88\xf0\xea\x22\x00\x00\x00"sv;
// A list of one conversation on two lines.
constexpr std::string_view kList =
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x8b\xae\x56\xca\x4d\x2d\x2e\x4e\x4c\x4f\x2d\x56"
    "\xb2\x52\x88\xae\x56\x2a\xca\xcf\x49\x05\xb2\x94\x4a\x8b\x53\x8b\x94\x74\x14\x94\x92\xf3"
    "\xf3\x4a\x52\xf3\x4a\x40\x42\x85\x4a\xb5\x3a\x5c\x0a\x08\x25\x89\xc5\xc5\x99\xc5\x25\x89"
    "\x40\x49\x54\x75\x89\x4a\xb5\xb1\xb5\xb1\x5c\x00\x71\xd2\x3e\x39\x5b\x00\x00\x00"sv;

fs::path file_of(std::string const& name, std::string_view bytes) {
  static const fs::path folder = test::scratch("bytes");
  return test::write_file(folder / name, std::string(bytes));
}

std::string refused(fs::path const& file) {
  return refusal(Exit::data, [&] { test::jsonl(file, {}); });
}

std::string cut(std::string_view bytes, std::size_t end) {
  return std::string(bytes.substr(0, bytes.size() - end));
}

}  // namespace

TEST_CASE("gzipped files are read whatever they are called") {
  for (char const* name : {"a.jsonl.gz", "a.jsonl", "a.bin"}) {
    const auto examples = test::jsonl(file_of(name, kRecord), {});
    REQUIRE(examples.size() == 1);
    CHECK(examples[0].prompt == "2+2=");
    CHECK(has(examples[0].where, std::string(name) + ":1"));
  }
  const auto texts = test::documents(file_of("t.txt.gz", kRecord), {});
  REQUIRE(texts.size() == 1);
  CHECK(texts[0].text == R"({"prompt": "2+2=", "answer": "4"})");
  TextOptions prompts;
  prompts.text_field = "prompt";
  CHECK(test::documents(file_of("t.jsonl.gz", kRecord), prompts)[0].text == "2+2=");
  const auto chats = test::conversations(file_of("c.json.gz", kList), ChatFormat::automatic);
  REQUIRE(chats.size() == 1);
  CHECK(chats[0].messages[1]["content"] == "a");
}

TEST_CASE("a gzip file may have many members, and zeros behind them") {
  std::string many;
  constexpr std::size_t kMany = 10000;
  for (std::size_t i = 0; i < kMany; ++i) many += kRecord;
  const auto examples = test::jsonl(file_of("many.gz", many + std::string(1000, '\0')), {});
  REQUIRE(examples.size() == kMany);
  CHECK(examples.back().answer == "4");
  CHECK(has(examples.back().where, "many.gz:10000"));
}

TEST_CASE("a gzip file that is cut off or damaged is refused") {
  for (const std::size_t end :
       {std::size_t{1}, std::size_t{8}, std::size_t{20}, kRecord.size() - 3}) {
    INFO(end);
    CHECK(has(refused(file_of("cut.gz", cut(kRecord, end))),
              "cut.gz: the gzip file ends in the middle"));
  }
  std::string sum(kRecord);
  sum[sum.size() - 6] ^= 1;  // of the checksum
  CHECK(has(refused(file_of("sum.gz", sum)),
            "sum.gz: the gzip file is damaged (incorrect data check)"));
  std::string inside(kRecord);
  inside[10] ^= 0x06;  // the kind of its first block
  CHECK(has(refused(file_of("inside.gz", inside)), "inside.gz: the gzip file is damaged"));
  CHECK(
      has(refused(file_of("more.gz", std::string(kRecord) + "more")), "the gzip file is damaged"));
}

TEST_CASE("tables and archives are named for what they are, with the way to convert them") {
  const fs::path parquet = file_of("train.parquet", "PAR1\x15\x04"sv);
  const std::string jsonl = (parquet.parent_path() / "train.jsonl").string();
  for (std::string const& message :
       {refused(parquet), refusal(Exit::data, [&] { test::conversations(parquet, {}); }),
        refusal(Exit::data, [&] { test::documents(parquet, {}); })}) {
    CHECK(has(message, "train.parquet: this is Parquet, which is not read"));
    CHECK(has(message, "python3 -c \"import pandas; pandas.read_parquet('" + parquet.string() +
                           "').to_json('" + jsonl + "', orient='records', lines=True)\""));
  }
  CHECK(has(refused(file_of("a.zst", "\x28\xb5\x2f\xfd..."sv)), "this is zstd"));
  CHECK(has(refused(file_of("a.jsonl.bz2", "BZh91AY"sv)), "bunzip2 -k"));
  CHECK(has(refused(file_of("a.zip", "PK\x03\x04.."sv)), "this is a zip archive"));
  CHECK(has(refused(file_of("a.xz", "\xfd\x37zXZ"sv)), "unxz -k"));
  CHECK(has(refused(file_of("a.arrow", "ARROW1"sv)), "read_feather"));
}

TEST_CASE("CSV and TSV are told by their name or by their look") {
  const fs::path csv = file_of("a.csv", "What is it, then?,nothing\n");
  CHECK(has(refused(csv), "a.csv: this is CSV, which is not read"));
  CHECK(has(refused(csv), "pandas.read_csv('" + csv.string() + "').to_json("));
  CHECK(has(refused(file_of("a.tsv", "q\ta\n")), "read_csv('" + csv.parent_path().string()));
  CHECK(has(refused(file_of("a.tsv", "q\ta\n")), "sep='\\t'"));
  CHECK(has(refused(file_of("look.jsonl", "prompt,answer\n1,2\n")), "this looks like CSV"));
  CHECK(has(refused(file_of("look.txt", "prompt\tanswer\n")), "this looks like TSV"));
  CHECK(has(refusal(Exit::data, [&] { test::conversations(csv, {}); }), "a.csv: this is CSV"));
  for (char const* other : {"Once, upon a time", "{\"prompt\": 1,", "word", "a,,b", ","}) {
    CHECK_FALSE(has(refused(file_of("other.jsonl", other)), "this looks like"));
  }
  // Whatever it is called, JSON is read.
  CHECK(test::jsonl(file_of("b.csv", R"({"prompt": "q", "answer": "a"})"), {}).size() == 1);
}
