#include "lomo/io/safetensors.h"

#include <initializer_list>

#include "support/data.h"
#include "support/errors.h"
#include "support/files.h"
#include "support/safetensors.h"

using namespace lomo;
using test::contains;
using test::error_of;
using test::safetensors;

namespace {

const std::string kTwo =
    R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},)"
    R"("b":{"dtype":"BF16","shape":[3],"data_offsets":[8,14]}})";
const std::string kPayload = "01234567abcdef";

std::string refusal(std::string const& bytes) {
  const test::TemporaryFolder folder;
  const auto path = folder.put("x.safetensors", bytes);
  const std::string message = error_of(Exit::data, [&] { SafetensorsFile file(path); });
  CHECK(contains(message, "x.safetensors"));
  return message;
}

std::string refusal(std::string const& header, std::string const& payload) {
  return refusal(safetensors(header, payload));
}

/// A header of one tensor "a".
std::string one(std::string const& dtype, std::string const& shape, std::string const& offsets) {
  return R"({"a":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets +
         "}}";
}

std::string text_of(SafetensorsFile const& file, SafetensorsEntry const& entry) {
  std::string text(entry.bytes, '\0');
  file.read(entry, 0, std::as_writable_bytes(std::span(text)));
  return text;
}

}  // namespace

TEST_CASE("a safetensors file gives its tensors, metadata and bytes") {
  const test::TemporaryFolder folder;
  const SafetensorsFile file(folder.put("x.safetensors", safetensors(kTwo, kPayload)));
  REQUIRE(file.entries().size() == 2);
  SafetensorsEntry const* b = file.find("b");
  REQUIRE(b != nullptr);
  CHECK(b->dtype == DType::bf16);
  CHECK(b->shape == std::vector<std::int64_t>{3});
  CHECK(b->shape_text() == "(3)");
  CHECK(b->numel() == 3);
  CHECK(text_of(file, *b) == "abcdef");
  CHECK(text_of(file, *file.find("a")) == "01234567");
  CHECK(file.find("c") == nullptr);
  CHECK(file.metadata().at("format") == "pt");
  std::string part(2, '\0');
  file.read(*b, 3, std::as_writable_bytes(std::span(part)));
  CHECK(part == "de");
  CHECK_THROWS_AS(file.read(*b, 5, std::as_writable_bytes(std::span(part))), Error);
}

TEST_CASE("empty tensors and scalars are legal") {
  const test::TemporaryFolder folder;
  const std::string header = R"({"e":{"dtype":"F32","shape":[0,4],"data_offsets":[0,0]},)"
                             R"("s":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})";
  const SafetensorsFile file(folder.put("x", safetensors(header, "1234")));
  CHECK(file.find("e")->numel() == 0);
  CHECK(file.find("s")->numel() == 1);
}

TEST_CASE("hostile safetensors headers each give one clear error") {
  const std::string p8 = "01234567";
  CHECK(contains(refusal(""), "it has only 0 bytes"));
  CHECK(contains(refusal(std::string(8, '\xff') + "{}"), "above the limit"));
  CHECK(contains(refusal(std::string("\x50\0\0\0\0\0\0\0{}", 10)), "only 2 are there"));
  CHECK(contains(refusal("[1]", ""), "does not start with {"));
  CHECK(contains(refusal("{\"a\":", ""), "header:1:"));
  CHECK(contains(refusal("{\"a\xff\":1}", ""), "not valid JSON"));
  CHECK(contains(refusal("{\"a\":" + std::string(1000, '['), ""), "64 levels"));
  CHECK(contains(refusal(R"({"a":7})", ""), "expected an object"));
  CHECK(contains(refusal(R"({"__metadata__":{"x":1}})", ""), "__metadata__"));
  CHECK(contains(refusal(one("F32", "[-2]", "[0,8]"), p8), "shape"));
  CHECK(contains(refusal(one("F32", "[2.5]", "[0,8]"), p8), "shape"));
  CHECK(contains(refusal(one("F32", "[1,1,1,1,1,1,1,1,2]", "[0,8]"), p8), "too many dimensions"));
  CHECK(contains(refusal(one("F32", "[3]", "[0,8]"), p8), "not a F32 tensor of shape (3)"));
  // 2^62 * 4 bytes wraps to 0, and 2^61 * 4 does not fit 63 bits.
  CHECK(contains(refusal(one("F32", "[4611686018427387904]", "[0,0]"), ""), "not a F32 tensor"));
  CHECK(contains(refusal(one("F32", "[2305843009213693952]", "[0,8]"), p8), "not a F32 tensor"));
  CHECK(contains(refusal(one("F32", "[4294967296,4294967296]", "[0,0]"), ""), "not a F32"));
  CHECK(contains(refusal(one("F32", "[2]", "[8,0]"), p8), "begin <= end"));
  CHECK(contains(refusal(one("F32", "[2]", "[0]"), p8), "begin <= end"));
  CHECK(contains(refusal(one("F32", "[2]", "[0,-8]"), p8), "data_offsets"));
  CHECK(contains(refusal(one("F32", "[4]", "[0,16]"), p8), "cut short"));
  CHECK(contains(refusal(one("F32", "[2]", "[0,18446744073709551615]"), p8), "data_offsets"));
  CHECK(contains(refusal(one("F32", "[1]", "[4,8]"), p8), "the one before it ends at 0"));
  CHECK(
      contains(refusal(one("F32", "[1]", "[0,4]"), p8), "at its end it has 4 bytes of no tensor"));
  CHECK(contains(refusal("{}", p8), "at its end it has 8 bytes of no tensor"));
  CHECK(contains(refusal(R"({"a":{"dtype":"F32","shape":[1]}})", "1234"), "\"data_offsets\""));
  CHECK(contains(refusal(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}})", "1234"),
                 "unknown key"));
  const std::string a = R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
  CHECK(contains(refusal("{" + a + "," + a + "}", "1234"), "\"a\" is there twice"));
  const std::string overlapping = R"("b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]})";
  CHECK(contains(refusal("{" + a + "," + overlapping + "}", "123456"), "\"b\" begins at byte 2"));
  const std::string same = R"("b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
  CHECK(contains(refusal("{" + a + "," + same + "}", "1234"), "ends at 4"));
}

TEST_CASE("a safetensors file cut at any length is refused") {
  const std::string whole = safetensors(kTwo, kPayload);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    INFO("cut to " << length);
    refusal(whole.substr(0, length));
  }
}

TEST_CASE("any changed byte of a safetensors header is refused or harmless") {
  const std::string whole = safetensors(kTwo, kPayload);
  const test::TemporaryFolder folder;
  int refused = 0;
  for (std::size_t i = 0; i < whole.size() - kPayload.size(); ++i) {
    for (const int flip : {1, 2, 4, 8, 16, 32, 64, 128, 255}) {
      std::string bad = whole;
      bad[i] = static_cast<char>(bad[i] ^ flip);
      const auto path = folder.put("x", bad);
      try {
        const SafetensorsFile file(path);
        for (auto const& entry : file.entries()) CHECK(text_of(file, entry).size() == entry.bytes);
      } catch (Error const& error) {
        CHECK(error.code() == Exit::data);
        ++refused;
      }
    }
  }
  CHECK(refused > 1000);  // the rest only renames a tensor or changes metadata
}

TEST_CASE("a file written in pieces, in any order, by two writers is read back whole") {
  const test::TemporaryFolder folder;
  const auto path = folder / "x.safetensors";
  const std::vector<SafetensorsWriter::Tensor> tensors = {{"z", DType::f32, {2}},
                                                          {"a", DType::bf16, {1, 3}},
                                                          {"e", DType::f16, {0}},
                                                          {"m", DType::f64, {1}},
                                                          {"i", DType::i32, {1}}};
  const std::string payload = "01234567abcdef01234567wxyz";
  const auto part = [&](std::size_t at, std::size_t count) {
    return std::as_bytes(std::span(payload).subspan(at, count));
  };
  {
    SafetensorsWriter first(path, tensors, {{"format", "pt"}});
    SafetensorsWriter second(path, tensors, {{"format", "pt"}});
    first.create();
    second.write(4, 0, part(22, 4));
    second.write(1, 2, part(10, 4));
    first.write(1, 0, part(8, 2));
    first.write(3, 0, part(14, 8));
    second.write(0, 0, part(0, 8));
    CHECK(contains(error_of(Exit::failure, [&] { first.write(1, 3, part(0, 4)); }), "more bytes"));
    first.finish();
    second.finish();
    CHECK_FALSE(std::filesystem::exists(path));
    first.commit();
  }
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
  const SafetensorsFile file(path);
  REQUIRE(file.entries().size() == tensors.size());
  std::string all;
  for (auto const& entry : file.entries()) all += text_of(file, entry);
  CHECK(all == payload);
  for (auto const& tensor : tensors) {
    INFO(tensor.name);
    SafetensorsEntry const* entry = file.find(tensor.name);
    REQUIRE(entry != nullptr);
    CHECK(entry->dtype == tensor.dtype);
    CHECK(entry->shape == tensor.shape);
    CHECK((entry->numel() == 0 || entry->name == "a" || entry->offset % 2 == 0));
  }
  CHECK(file.metadata().at("format") == "pt");
  CHECK(file.entries().front().offset % 8 == 0);
  CHECK_THROWS_AS(SafetensorsWriter(path, {{"a", DType::f32, {1}}, {"a", DType::f32, {1}}}, {}),
                  Error);
}

namespace {

/// A folder with an index and two one-tensor shards; `index` replaces the index.
std::string folder_refusal(std::string const& index) {
  const test::TemporaryFolder folder;
  folder.put("one.safetensors", safetensors(one("F32", "[2]", "[0,8]"), "01234567"));
  folder.put("model.safetensors.index.json", index);
  return error_of(Exit::data, [&] { CheckpointFolder checkpoint(folder.path()); });
}

}  // namespace

TEST_CASE("an index must be true to its shards and stay inside its folder") {
  CHECK(contains(folder_refusal(R"({"weight_map":{"a":"../one.safetensors"}})"),
                 "/weight_map/a: expected the name of a file in this folder"));
  CHECK(contains(folder_refusal(R"({"weight_map":{"a":"/etc/passwd"}})"), "in this folder"));
  CHECK(contains(folder_refusal(R"({"weight_map":{"a":".."}})"), "in this folder"));
  CHECK(contains(folder_refusal(R"({"weight_map":{"a":""}})"), "in this folder"));
  CHECK(contains(folder_refusal(R"({"weight_map":{"a":7}})"), "in this folder"));
  CHECK(contains(folder_refusal(R"({"weight_map":{"a":"x\u0000y"}})"), "in this folder"));
  CHECK(contains(folder_refusal(R"({"weight_map":{}})"), "names no tensors"));
  CHECK(contains(folder_refusal(R"({})"), "\"weight_map\" is missing"));
  CHECK(contains(folder_refusal(R"({"weight_map":[]})"), "expected an object"));
  CHECK(contains(folder_refusal(R"({"weight_map":{"a":"two.safetensors"}})"),
                 "1 of the 1 files that the index names are not there"));
  CHECK(contains(folder_refusal(R"({"weight_map":{"a":"one.safetensors","b":"one.safetensors"}})"),
                 "/weight_map/b: this tensor is not in one.safetensors"));
  CHECK(contains(folder_refusal(R"({"weight_map":{"b":"one.safetensors"}})"), "not in one"));
  CHECK(contains(folder_refusal("{"), "index.json:1:1"));
}

TEST_CASE("a tensor the index does not place is refused") {
  const test::TemporaryFolder folder;
  folder.put("one.safetensors", safetensors(kTwo, kPayload));
  folder.put("model.safetensors.index.json", R"({"weight_map":{"a":"one.safetensors"}})");
  CHECK(contains(error_of(Exit::data, [&] { CheckpointFolder checkpoint(folder.path()); }),
                 "holds the tensor \"b\""));
}

TEST_CASE("a file that is something else under this name is called what it is") {
  const auto refusing = [](std::string const& text) {
    const test::TemporaryFolder folder;
    const auto path = folder.put("model.safetensors", text);
    return error_of(Exit::data, [&] { SafetensorsFile file(path); });
  };
  CHECK(
      contains(refusing("version https://git-lfs.github.com/spec/v1\noid sha256:1\n"), "git-lfs"));
  CHECK(contains(refusing("<!DOCTYPE html><html>Not found</html>"), "a web page"));
  CHECK(contains(refusing("GGUF and so on, for a while"), "a GGUF file"));
}

TEST_CASE("tensors of types that are not read may be there, and are not found") {
  const test::TemporaryFolder folder;
  const auto path =
      folder.put("model.safetensors", safetensors(one("I64", "[1]", "[0,8]"), "01234567"));
  const SafetensorsFile file(path);
  REQUIRE(file.entries().size() == 1);
  CHECK_FALSE(file.entries().front().readable);
  CHECK(file.entries().front().type == "I64");
  CHECK(file.find("a") == nullptr);
}

TEST_CASE("names are found without what wrappers of training put before them") {
  const auto names_of = [](std::vector<std::string> const& names) {
    std::string header;
    for (std::size_t i = 0; i < names.size(); ++i) {
      header += (i > 0 ? "," : "") + ("\"" + names[i]) +
                R"(":{"dtype":"F32","shape":[1],"data_offsets":[)" + std::to_string(4 * i) + "," +
                std::to_string(4 * i + 4) + "]}";
    }
    const test::TemporaryFolder folder;
    folder.put("model.safetensors",
               safetensors("{" + header + "}", std::string(4 * names.size(), 'x')));
    const CheckpointFolder checkpoint(folder.path());
    return std::pair(checkpoint.names(), checkpoint.notes().size());
  };
  const std::vector<std::string> plain{"lm_head.weight", "model.embed_tokens.weight",
                                       "model.norm.weight"};
  CHECK(names_of(plain) == std::pair(plain, std::size_t{0}));
  CHECK(names_of({"module.lm_head.weight", "module.model.embed_tokens.weight",
                  "module.model.norm.weight"}) == std::pair(plain, std::size_t{1}));
  CHECK(names_of({"_orig_mod.lm_head.weight",
                  "_orig_mod._fsdp_wrapped_module.model.embed_tokens.weight",
                  "_orig_mod.model._fsdp_wrapped_module.norm.weight"}) ==
        std::pair(plain, std::size_t{1}));
  CHECK(names_of({"lm_head.weight", "embed_tokens.weight", "norm.weight"}) ==
        std::pair(plain, std::size_t{1}));
  CHECK_THROWS_WITH(names_of({"module.norm.weight", "norm.weight"}),
                    Catch::Contains("two tensors are both"));
}

TEST_CASE("of a single file beside an index the file is read, and said so") {
  const test::TemporaryFolder folder;
  folder.put("model.safetensors", safetensors(one("F32", "[2]", "[0,8]"), "01234567"));
  folder.put("model.safetensors.index.json", "{");
  const CheckpointFolder checkpoint(folder.path());
  CHECK(checkpoint.names() == std::vector<std::string>{"a"});
  REQUIRE(checkpoint.notes().size() == 1);
  CHECK(contains(checkpoint.notes().front(), "as transformers does"));
}

TEST_CASE("folders without safetensors say how to convert") {
  const auto refusing = [](std::initializer_list<char const*> files) {
    const test::TemporaryFolder folder;
    for (char const* file : files) folder.put(file, "x");
    return error_of(Exit::data, [&] { CheckpointFolder checkpoint(folder.path()); });
  };
  CHECK(contains(refusing({"pytorch_model.bin"}), "holds pytorch_model.bin: no safetensors"));
  CHECK(contains(refusing({"pytorch_model-00001-of-00002.bin", "pytorch_model.bin.index.json"}),
                 "safe_serialization=True"));
  CHECK(contains(refusing({"consolidated.01.pth", "consolidated.00.pth", "params.json"}),
                 "holds consolidated.00.pth"));
  CHECK(contains(refusing({"config.json"}), "holds no weights"));
  CHECK(contains(refusing({"adapter_config.json", "adapter_model.safetensors"}), "LoRA adapter"));
  CHECK(contains(refusing({"model-q4.gguf"}), "GGUF"));
  CHECK(contains(refusing({"consolidated.safetensors"}), "Mistral's own format"));
  CHECK(contains(refusing({"__0_0.distcp"}), "FSDP"));
  CHECK(contains(refusing({"weights.00.npz"}), "MLX"));
  CHECK(contains(refusing({"model-00001-of-00002.safetensors"}), "without their index"));
  CHECK(contains(error_of(Exit::data, [] { CheckpointFolder checkpoint("/no/such"); }),
                 "/no/such is not a folder"));
}

TEST_CASE("the real checkpoints' headers are read") {
  LOMO_NEEDS_DATA();
  const auto checkpoints = test::data_dir() / "checkpoints";
  const CheckpointFolder stories(checkpoints / "stories260K" / "hf");
  CHECK(stories.files().size() == 2);
  CHECK(stories.names().size() == 5 * 9 + 2);
  std::int64_t parameters = 0;
  for (auto const& name : stories.names()) parameters += stories.find(name).entry->numel();
  CHECK(parameters == 260032);
  CHECK(stories.find("model.layers.4.self_attn.k_proj.weight").entry->shape ==
        std::vector<std::int64_t>{32, 64});
  CHECK(stories.find("lm_head.weight").entry == nullptr);
  const CheckpointFolder poem(checkpoints / "zh-poem-750K" / "hf");
  CHECK(poem.files().size() == 1);
}
