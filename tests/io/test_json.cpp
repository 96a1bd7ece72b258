#include <string>

#include "lomo/io/json.h"
#include "support/errors.h"
#include "support/files.h"

using namespace lomo;
using test::contains;
using test::error_of;

namespace {

std::string parse_error(std::string const& text) {
  return error_of(Exit::usage, [&] { parse_json(text, "a.json", Exit::usage); });
}

/// The error that f(reader of `text`) raises.
template <class F>
std::string read_error(std::string const& text, F&& f) {
  const Json json = parse_json(text, "a.json", Exit::usage);
  return error_of(Exit::usage, [&] {
    JsonReader reader(json, "a.json");
    f(reader);
  });
}

}  // namespace

TEST_CASE("a JSON error names file, line and column") {
  CHECK(contains(parse_error("{\n  \"a\": tru\n}"), "a.json:2:11: not valid JSON"));
  CHECK(contains(parse_error("{\"a\": 1,}"), "a.json:1:9"));
  CHECK(contains(parse_error(""), "a.json:1:1: not valid JSON"));
  CHECK(contains(parse_error("{\"a\": 1} x"), "a.json:1:10"));
  CHECK(contains(parse_error("{\"a\": 1 // no\n}"), "a.json:1:"));
  CHECK(contains(parse_error("{\"a\": 1e999}"), "a.json"));
  CHECK(parse_json("{\"a\": [1, 2]}", "", Exit::usage) == Json{{"a", {1, 2}}});
}

TEST_CASE("duplicate keys, deep nesting and invalid UTF-8 are refused with their line") {
  CHECK(parse_error("{\"a\": 1,\n \"b\": {\"c\": 1},\n  \"a\": 2}") ==
        "a.json:3:5: the key \"a\" is there twice");
  CHECK_NOTHROW(parse_json("{\"a\": {\"x\": 1}, \"b\": {\"x\": 1}}", "", Exit::usage));
  CHECK(contains(parse_error(std::string(100000, '[')), "nested more than 64 levels"));
  std::string objects;
  for (int i = 0; i < 1000; ++i) objects += "{\"a\":";
  CHECK(contains(parse_error(objects), "nested more than 64 levels"));
  CHECK(contains(parse_error("{\n\"a\": \"\xff\"}"), "a.json:2:"));
  CHECK(contains(parse_error(std::string("{\"a\": \0}", 8)), "a.json:1:7"));
}

TEST_CASE("a JSON error says what to write instead, and repeats little of the input") {
  CHECK(parse_error("{'a': 1}") ==
        "a.json:1:2: not valid JSON: invalid literal; last read: '{\''; expected string literal; "
        "JSON has double quotes");
  CHECK(contains(parse_error("{\"a\": [1,\n 2,\n]}"),
                 "a.json:3:1: not valid JSON: unexpected ']'; "));
  CHECK(contains(parse_error("[1, 2, ]"), "leave out the comma before the bracket"));
  CHECK(contains(parse_error("{\"a\": True}"), "JSON writes true for True"));
  CHECK(contains(parse_error("[None]"), "JSON writes null for None"));
  CHECK(contains(parse_error("[1, NaN]"), "JSON writes null or a number for NaN"));
  CHECK(contains(parse_error("[-Infinity]"), "JSON writes a number for "));
  CHECK(contains(parse_error("{\"a\": \"\xC3\xA9\", b}"), "a.json:1:12"));  // characters, not bytes
  const std::string endless(1 << 20, 'x');
  for (std::string const& text :
       {"[\"" + endless, "[" + endless, "[" + std::string(1 << 20, '9') + "]",
        "[1e" + std::string(1 << 20, '9') + "]", "{\"" + endless + "\" 1}"}) {
    const std::string message = parse_error(text);
    CHECK(contains(message, "not valid JSON"));
    CHECK(message.size() < 200);
    CHECK_FALSE(contains(message, "json.exception"));
  }
}

TEST_CASE("records of data are as bounded as configs, and know where they begin") {
  const auto refusal = [](std::string const& text, TextPosition start) {
    return error_of(Exit::data, [&] { parse_record(text, "d/x.jsonl", start); });
  };
  CHECK(contains(refusal(R"({"a": 1, "a": 2})", {}), "the key \"a\" is there twice"));
  CHECK(contains(refusal("{\"a\": }", {57, 1}), "d/x.jsonl:57:7: not valid JSON: unexpected '}'"));
  CHECK(contains(refusal("{\n\"a\":\n}", {4, 9}), "d/x.jsonl:6:1: "));
  CHECK(contains(refusal("{\"a\"}", {4, 9}), "d/x.jsonl:4:13: "));
  CHECK(contains(refusal("{\"a\": " + std::string(300000, '['), {2, 1}),
                 "d/x.jsonl:2:70: nested more than 64 levels deep"));
  CHECK(contains(refusal(std::string(300000, '[') + std::string(300000, ']'), {}), "nested"));
  // Brackets inside a text are no levels, and quotes may be escaped.
  CHECK_NOTHROW(parse_record("[\"" + std::string(300000, '[') + "\"]", "x", {}));
  CHECK_NOTHROW(parse_record("[\"\\\"" + std::string(300000, '{') + "\"]", "x", {}));
  CHECK(contains(refusal("[\"\\\\\"" + std::string(100, '[') + "]", {}), "nested"));
  CHECK_FALSE(json_or_nothing("plain text", "--set a", Exit::usage).has_value());
  CHECK(json_or_nothing("[1]", "--set a", Exit::usage) == Json{1});
  CHECK(
      contains(error_of(Exit::usage,
                        [] { json_or_nothing(std::string(300000, '['), "--set a", Exit::usage); }),
               "--set a:1:65: nested more than 64 levels deep"));
}

TEST_CASE("what an error shows of a value is short whatever the value") {
  CHECK(preview(Json{{"a", {1, "x"}}}) == "{\"a\":[1,\"x\"]}");
  CHECK(preview(Json::array()) == "[]");
  for (Json const& value : {Json(std::string(1 << 22, 'x')), Json(std::vector<int>(1 << 20, 7)),
                            Json{{std::string(1 << 20, 'k'), 1}}}) {
    CHECK(preview(value).size() <= 60);
    CHECK(preview(value).ends_with("..."));
  }
  std::string text = "x";
  for (int i = 0; i < 100; ++i) text += "\xC3\xA9";
  CHECK(preview(Json(text)).ends_with("\xC3\xA9..."));  // between characters
  CHECK(preview(Json("\xff")) == "\"\xEF\xBF\xBD\"");
}

TEST_CASE("a file that is missing or too large is an error with its name") {
  const test::TemporaryFolder folder;
  CHECK(contains(error_of(Exit::usage, [&] { read_json(folder / "no.json", Exit::usage); }),
                 "no.json: No such file"));
  const auto file = folder.put("big.json", "[1, 2, 3]");
  CHECK(read_json(file, Exit::data).size() == 3);
  CHECK(contains(error_of(Exit::data, [&] { read_json(file, Exit::data, 8); }), "9 bytes"));
  CHECK(contains(error_of(Exit::data, [&] { read_json(folder.path(), Exit::data); }),
                 "Is a directory"));
}

TEST_CASE("getters fill what is there and leave the rest alone") {
  const Json json = parse_json(R"({"flag": true, "n": 7, "big": 18446744073709551615, "x": 0.5,
      "e": 1e3, "name": "abc", "list": ["a", "b"], "sizes": [1, 2], "half": "half", "none": null,
      "inner": {"y": 2}, "rows": [{"z": 1}, {"z": 2}]})",
                               "a.json", Exit::usage);
  JsonReader reader(json, "a.json");
  bool flag = false;
  int n = 0, e = 0, absent = 42;
  std::uint64_t big = 0;
  double x = 0;
  std::string name;
  std::vector<std::string> list;
  std::vector<std::int64_t> sizes;
  std::optional<double> none = 1.0, some;
  enum class Part { whole, half } part = Part::whole;
  CHECK(reader.get("flag", flag));
  CHECK(reader.get("n", n, {1, 10}));
  CHECK(reader.get("e", e));
  CHECK(reader.get("big", big));
  CHECK(reader.get("x", x, positive<double>()));
  CHECK(reader.get("name", name));
  CHECK(reader.get("list", list));
  CHECK(reader.get("sizes", sizes));
  CHECK(reader.get("none", none));
  CHECK(reader.get("x", some));
  CHECK(reader.get("half", part, {{"whole", Part::whole}, {"half", Part::half}}));
  CHECK_FALSE(reader.get("absent", absent));
  CHECK(flag);
  CHECK(n == 7);
  CHECK(e == 1000);
  CHECK(absent == 42);
  CHECK(big == UINT64_MAX);
  CHECK(x == 0.5);
  CHECK(name == "abc");
  CHECK(list == std::vector<std::string>{"a", "b"});
  CHECK(sizes == std::vector<std::int64_t>{1, 2});
  CHECK_FALSE(none.has_value());
  CHECK(some == 0.5);
  CHECK(part == Part::half);
  int y = 0, z = 0;
  auto inner = reader.object("inner");
  REQUIRE(inner);
  CHECK(inner->get("y", y));
  inner->finish();
  for (JsonReader& row : reader.objects("rows")) CHECK((row.get("z", z) && z > 0));
  CHECK_FALSE(reader.object("absent"));
  reader.finish();
}

TEST_CASE("a wrong value says what was expected and found, and where") {
  int n = 0;
  std::uint64_t u = 0;
  float f = 0;
  double x = 0;
  bool b = false;
  std::string s;
  std::vector<std::string> list;
  std::size_t bytes = 0;
  const auto reading = [](auto& value, auto... range) {
    return [&value, range...](JsonReader& r) { r.get("k", value, range...); };
  };
  CHECK(read_error(R"({"k": "7"})", reading(n)) ==
        "a.json: /k: expected a whole number, found \"7\"");
  CHECK(read_error(R"({"k": 11})", reading(n, Range<int>{1, 10})) ==
        "a.json: /k: expected a whole number from 1 to 10, found 11");
  CHECK(contains(read_error(R"({"k": 3000000000})", reading(n)), "found 3000000000"));
  CHECK(contains(read_error(R"({"k": 1.5})", reading(n)), "found 1.5"));
  CHECK(contains(read_error(R"({"k": -1})", reading(u)), "found -1"));
  CHECK(read_error(R"({"k": 0})", reading(x, positive<double>())) ==
        "a.json: /k: expected a number above 0, found 0");
  CHECK(contains(read_error(R"({"k": 1e300})", reading(f)), "found 1e+300"));
  CHECK(contains(read_error(R"({"k": 1})", reading(b)), "expected true or false, found 1"));
  CHECK(contains(read_error(R"({"k": null})", reading(s)), "text in quotes, found null"));
  CHECK(contains(read_error(R"({"k": ["a", 1]})", reading(list)),
                 "/k: expected a list of texts [...], found [\"a\",1]"));
  CHECK(contains(read_error(R"({"k": [1]})", [](JsonReader& r) { r.object("k"); }),
                 "/k: expected an object {...}, found [1]"));
  CHECK(contains(read_error(R"({"k": "64Mi"})", [&](JsonReader& r) { r.get_bytes("k", bytes); }),
                 "size such as \"64MiB\", found \"64Mi\""));
  CHECK(read_error(R"({"k": "quarter"})", [](JsonReader& r) {
          int part = 0;
          r.get("k", part, {{"whole", 0}, {"half", 1}, {"none", 2}});
        }) == "a.json: /k: expected \"whole\", \"half\" or \"none\", found \"quarter\"");
  CHECK(contains(read_error(R"({})", [](JsonReader& r) { r.require("k"); }),
                 "the key \"k\" is missing"));
  CHECK(read_error(R"({"a": 1, "texts": "b"})", [](JsonReader& r) { r.require("text"); }) ==
        "a.json: the key \"text\" is missing; is it \"texts\"?");
  CHECK(read_error(R"({"bos": 1})", [](JsonReader& r) {
          r.require("bos");
          r.require("eos");
        }) == "a.json: the key \"eos\" is missing");
  CHECK(contains(read_error("[1]", [](JsonReader&) {}), "expected an object"));
}

TEST_CASE("an unknown key is refused with its pointer and the nearest known key") {
  const auto reading = [](JsonReader& r) {
    double x = 0;
    auto inner = r.object("optim/izer");
    inner->get("learning_rate", x);
    inner->get("momentum", x);
    inner->finish();
  };
  CHECK(read_error(R"({"optim/izer": {"learning_rate": 1, "momentun": 2}})", reading) ==
        "a.json: /optim~1izer/momentun: unknown key; did you mean \"momentum\"?");
  CHECK(read_error(R"({"optim/izer": {"Learning_Rate": 1}})", reading) ==
        "a.json: /optim~1izer/Learning_Rate: unknown key; did you mean \"learning_rate\"?");
  CHECK(read_error(R"({"optim/izer": {"zzz": 1}})", reading) ==
        "a.json: /optim~1izer/zzz: unknown key; known here: learning_rate momentum");
}

TEST_CASE("null counts as absent where Hugging Face writes it so") {
  const Json json = parse_json(R"({"a": null, "b": {"c": null}})", "", Exit::usage);
  JsonReader reader(json, "a.json");
  reader.null_means_absent();
  int n = 3;
  CHECK_FALSE(reader.has("a"));
  CHECK_FALSE(reader.get("a", n));
  CHECK_FALSE(reader.object("b")->get("c", n));
  reader.finish();
}

TEST_CASE("sizes in bytes") {
  CHECK(parse_bytes("64MiB") == std::size_t{64} << 20);
  CHECK(parse_bytes("1.5 GiB") == std::size_t{3} << 29);
  CHECK(parse_bytes("2GB") == 2000000000u);
  CHECK(parse_bytes("512kB") == 512000u);
  CHECK(parse_bytes("4096") == 4096u);
  CHECK(parse_bytes("0") == 0u);
  for (char const* bad : {"", "MiB", "-1", "1e400", "nan", "inf", "64M", "64mib", "1 2", "1e30"}) {
    INFO(bad);
    CHECK_FALSE(parse_bytes(bad));
  }
}
