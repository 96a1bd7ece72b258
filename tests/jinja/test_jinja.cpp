#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lomo/core/error.h"
#include "lomo/data/jinja.h"
#include "support/catch.h"
#include "support/data.h"
#include "support/environment.h"
#include "support/source_dir.h"

using namespace lomo;
using jinja::Json;

namespace {

/// 30 November 2026, the day on which the expected renderings were made.
std::tm that_day() {
  std::tm day{};
  day.tm_year = 126;
  day.tm_mon = 10;
  day.tm_mday = 30;
  return day;
}

std::string render(std::string const& source, Json const& variables = Json::object(),
                   jinja::Limits const& limits = {}) {
  return jinja::Template(source, "t").render(variables, that_day(), limits).text;
}

/// The message of the lomo::Error that rendering ends in.
std::string refusal(std::string const& source, jinja::Limits const& limits = {}) {
  try {
    const std::string text = render(source, Json::object(), limits);
    FAIL("rendered as \"" << text.substr(0, 100) << "\"");
  } catch (Error const& error) {
    CHECK(error.code() == Exit::data);
    return error.what();
  }
  return "";
}

bool has(std::string const& text, std::string const& part) {
  UNSCOPED_INFO("looking for \"" << part << "\" in \"" << text << "\"");
  return text.find(part) != std::string::npos;
}

std::string repeated(std::string const& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

std::size_t code_points(std::string const& text, std::size_t bytes) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < bytes; ++i) count += (text[i] & 0xc0) != 0x80 ? 1 : 0;
  return count;
}

}  // namespace

TEST_CASE("Small templates are rendered, or refused, as Jinja2 does") {
  std::ifstream in(test::source_dir() / "tests/fixtures/jinja/cases.jsonl");
  std::string line;
  REQUIRE(std::getline(in, line));
  const Json variables = Json::parse(line)["variables"];
  int count = 0;
  while (std::getline(in, line)) {
    const Json expected = Json::parse(line);
    const auto source = expected["template"].get<std::string>();
    INFO(source);
    ++count;
    try {
      const jinja::Rendering found = jinja::Template(source, "t").render(variables, that_day());
      REQUIRE(expected.contains("text"));
      CHECK(found.text == expected["text"].get<std::string>());
      Json spans = Json::array();
      for (jinja::Span const& span : found.generation) {
        spans.push_back({code_points(found.text, span.begin), code_points(found.text, span.end)});
      }
      CHECK(spans == (expected.contains("generation") ? expected["generation"] : Json::array()));
    } catch (Error const& error) {
      INFO(error.what());
      CHECK(expected.contains("error"));
    }
  }
  CHECK(count > 550);
}

TEST_CASE("Real chat templates are rendered to the last byte, and raise where they do") {
  LOMO_NEEDS_DATA();
  int count = 0;
  for (auto const& folder : std::filesystem::directory_iterator(test::data_dir() / "chat")) {
    std::ifstream file(folder.path() / "chat_template.jinja");
    const std::string source(std::istreambuf_iterator<char>(file), {});
    const jinja::Template chat(source, "chat_template.jinja");
    std::ifstream in(folder.path() / "expected.jsonl");
    for (std::string line; std::getline(in, line); ++count) {
      const Json expected = Json::parse(line);
      INFO(folder.path().filename().string() << ": " << line);
      const Json variables = {{"messages", expected["messages"]},
                              {"tools", nullptr},
                              {"add_generation_prompt", expected["add_generation_prompt"]},
                              {"bos_token", "<BOS>"},
                              {"eos_token", "<EOS>"},
                              {"unk_token", "<UNK>"},
                              {"pad_token", "<PAD>"}};
      try {
        const std::string text = chat.render(variables, that_day()).text;
        REQUIRE(expected.contains("text"));
        CHECK(text == expected["text"].get<std::string>());
      } catch (Error const& error) {
        REQUIRE(expected.contains("error"));
        const auto raised = expected["error"].get<std::string>();
        CHECK(has(error.what(), "the template says: " + raised.substr(raised.find(": ") + 2)));
      }
    }
  }
  CHECK(count == 14 * 28);
}

TEST_CASE("An error names line and column and what is not supported") {
  CHECK(refusal("a\n {% include 'x' %}") == "t:2:5: the tag 'include' of Jinja is not supported");
  CHECK(refusal("{% foo %}") == "t:1:4: unknown tag 'foo'");
  CHECK(refusal("é {{ 'x' | urlize }}") == "t:1:12: the filter 'urlize' is not supported");
  CHECK(refusal("{{ 1 is escaped }}") == "t:1:9: the test 'escaped' is not supported");
  CHECK(refusal("{{ 'a'.center(3) }}") == "t:1:14: the method center() of texts is not supported");
  CHECK(refusal("{{ a.b.c }}") == "t:1:5: 'a' is undefined");
  CHECK(refusal("{{ f(*x) }}") == "t:1:6: arguments with * are not supported");
  CHECK(refusal("{{ '%s' % 1 }}") == "t:1:9: formatting with '%' is not supported; join with ~");
  CHECK(refusal("\n{% if x %}y") == "t:2:4: this tag has no {% endif %}");
  CHECK(refusal("{{ joiner(',') }}") == "t:1:4: the name 'joiner' of Jinja is not supported");
  CHECK(refusal("{{ '\xc3\xa9' | upper }}").find("U+00E9") != std::string::npos);
  CHECK(has(refusal("{{ 9223372036854775807 + 1 }}"), "needs more than 64 bits"));
  CHECK(has(refusal("{{ 9223372036854775808 }}"), "needs more than 64 bits"));
  CHECK(has(refusal("{{ (1 | safe) + '<' }}"), "marked safe"));
  CHECK(has(refusal("{% macro f() %}{% generation %}{% endgeneration %}{% endmacro %}{{ f() }}"),
            "inside a macro"));
  CHECK(has(refusal("\xff"), "not UTF-8"));
}

TEST_CASE("What is nested, long or endless ends in an error, not in a crash") {
  const auto deep = [](std::string const& part) {
    return std::min(300'000, 1'000'000 / static_cast<int>(part.size()));
  };
  for (std::string const open :
       {"(", "[", "{1:", "not ", "-", "x[", "x(", "1 if ", "{{", "x if x else "}) {
    INFO(open);
    CHECK_FALSE(refusal("{{ " + repeated(open, deep(open))).empty());
  }
  for (std::string const link : {" + x", ".x", "[0]", "()", " | trim", " and x", " < x", " ** x"}) {
    INFO(link);
    refusal("{{ x" + repeated(link, deep(link)) + " }}");
  }
  CHECK(has(refusal(repeated("{% if 1 %}", 100'000)), "levels deep"));
  CHECK(has(refusal(repeated("{% for i in [1] %}", 1000)), "levels deep"));
  CHECK(has(refusal(repeated("x", (1 << 20) + 1)), "more than 1 MiB"));
  CHECK(has(refusal("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"), "levels deep"));
  CHECK(has(refusal("{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}"), "levels deep"));
  const std::string grow = "{% set n = namespace(x=[]) %}{% for i in range(100000) %}{% set n.x = ";
  CHECK(has(refusal(grow + "[n.x] %}{% endfor %}"), "levels deep"));
  CHECK(has(refusal(grow + "n.x + [1] %}{% endfor %}"), "bytes of text"));
  CHECK(has(refusal(grow + "[n.x, n.x] %}{% if i == 60 %}{{ n.x }}{% endif %}{% endfor %}"),
            "more than"));
  const std::string loops = "{% for i in range(100000) %}{% for j in range(100000) %}";
  CHECK(has(refusal(loops + "{% endfor %}{% endfor %}"), "more than"));
  CHECK(has(refusal("{{ 'ab' * 9999999999 }}"), "bytes of text"));
  CHECK(has(refusal("{{ [1] * 9223372036854775807 }}"), "bytes of text"));
  CHECK(has(refusal("{{ 'ab' * 100 }}", {1000, 100}), "bytes of text"));
  Json nested = 1;
  for (int i = 0; i < 200; ++i) nested = Json::array({nested});
  CHECK_THROWS_AS(render("{{ x }}", {{"x", nested}}), Error);
}

TEST_CASE("A template tells what it reads") {
  const jinja::Template chat("{% for m in messages %}{{ m['content'] ~ m.tool_calls }}{% endfor %}",
                             "t");
  CHECK(chat.mentions("messages"));
  CHECK(chat.mentions("content"));
  CHECK(chat.mentions("tool_calls"));
  CHECK_FALSE(chat.mentions("reasoning_content"));
  CHECK_FALSE(chat.has_generation());
  CHECK(jinja::Template("{% generation %}{% endgeneration %}", "t").has_generation());
}

TEST_CASE("SOURCE_DATE_EPOCH sets the day") {
  {
    const test::Environment epoch(test::Variables{{"SOURCE_DATE_EPOCH", "86400"}});
    const std::tm day = jinja::rendering_time();
    const jinja::Template chat("{{ strftime_now('%d %B %Y') }}{{ strftime_now('') }}", "t");
    CHECK(chat.render(Json::object(), day).text == "02 January 1970");
  }
  const test::Environment epoch(test::Variables{{"SOURCE_DATE_EPOCH", "today"}});
  CHECK_THROWS_AS(jinja::rendering_time(), Error);
}
