#include <filesystem>
#include <string>
#include <vector>

#include "data/support.h"
#include "lomo/data/prompts.h"

using namespace lomo;
using test::has;
using test::refusal;
namespace fs = std::filesystem;

namespace {

std::string complaint(std::string const& text) {
  const fs::path file = test::write_file(test::scratch("prompts") / "mine.json", text);
  return refusal(Exit::usage, [&] { const Prompts prompts(file); });
}

std::string boolq(std::string const& entries) {
  return complaint("{\"BoolQ\": {" + entries + "}}");
}

constexpr char const* kCandidates = R"("candidates": {"false": "no", "true": "yes"})";

}  // namespace

TEST_CASE("A template puts fields in their places and marks the passage") {
  const Template t("{{a}} {b}-{c}{b}", "here");
  CHECK(t.fields() == std::vector<std::string>{"b", "c", "b"});
  CHECK(t.render({{"b", "B{c}"}, {"c", ""}}) == "{a} B{c}-B{c}");
  Example example;
  t.render({{"b", "BB"}, {"c", "CCC"}}, "c", example);
  CHECK(example.prompt == "{a} BB-CCCBB");
  CHECK(example.passage_begin == 7);
  CHECK(example.passage_end == 10);
  t.render({{"b", "BB"}, {"c", "CCC"}}, "", example);
  CHECK(example.passage_begin == 0);
  CHECK(example.passage_end == 12);
  CHECK(Template("plain", "here").render({}) == "plain");
  for (char const* bad : {"{", "}", "{a", "a}", "{}", "{a{b}", "{{a}"}) {
    CAPTURE(bad);
    CHECK(refusal(Exit::usage, [&] { Template(bad, "here"); }).starts_with("here has a "));
  }
}

TEST_CASE("A user's own wording is used") {
  const fs::path file = test::write_file(
      test::scratch("wording") / "mine.json",
      std::string(R"({"BoolQ": {"prompt": "{question}? {passage}: ", )") + kCandidates + "}}");
  const Prompts prompts(file);
  CHECK(prompts.of(Task::boolq).candidates[1].render({}) == "yes");
  CHECK(has(refusal(Exit::usage, [&] { prompts.of(Task::rte); }), "mine.json: /RTE is missing"));
}

TEST_CASE("Errors in a wording name file and key") {
  CHECK(has(complaint("{"), "mine.json:1:1: not valid JSON"));
  CHECK(has(complaint("[]"), "mine.json: must hold one JSON object"));
  CHECK(has(complaint(R"({"Rte": {}})"), "mine.json: /Rte is no task; the tasks are BoolQ"));
  CHECK(has(complaint(R"({"RTE": 3})"), "mine.json: /RTE must be an object"));
  CHECK(has(boolq(kCandidates), "mine.json: /BoolQ/prompt is missing"));
  CHECK(has(boolq(R"("prompt": 3)"), "mine.json: /BoolQ/prompt must be a text"));
  CHECK(has(boolq(R"("prompt": "{text}")"),
            "mine.json: /BoolQ/prompt has {text}; the fields of BoolQ are passage, question"));
  CHECK(has(boolq(R"("prompt": "{question")"), "mine.json: /BoolQ/prompt has a {"));
  CHECK(has(boolq(R"("prompt": "", "promt": "")"), "mine.json: /BoolQ/promt is not a known key"));
  CHECK(has(boolq(R"("prompt": "{question}", "passage": "passage")"),
            "mine.json: /BoolQ/passage names passage, which is not in the prompt"));
  CHECK(has(boolq(R"("prompt": "")"), "mine.json: /BoolQ/candidates is missing"));
  CHECK(has(boolq(R"("prompt": "", "candidates": ["a", "b"])"),
            "mine.json: /BoolQ/candidates must be an object with the keys false, true"));
  CHECK(has(boolq(R"("prompt": "", "candidates": {"false": "no"})"),
            "mine.json: /BoolQ/candidates/true is missing"));
  CHECK(has(boolq(R"("prompt": "", "candidates": {"false": "", "true": "", "maybe": ""})"),
            "mine.json: /BoolQ/candidates/maybe is not one of false, true"));
  const std::string own = std::string(R"("prompt": "", )") + kCandidates;
  CHECK(has(boolq(own + R"(, "words": {"question": {}})"),
            "mine.json: /BoolQ/words/question is not a field with a fixed set of values"));
  CHECK(has(complaint(R"({"COPA": {"prompt": "", "candidates": {"0": "", "1": ""}, )"
                      R"("words": {"question": {"cause": "as"}}}})"),
            "mine.json: /COPA/words/question/effect is missing"));
  CHECK(has(complaint(R"({"ReCoRD": {"prompt": "", "candidates": {}}})"),
            "mine.json: /ReCoRD/candidates has no meaning"));
  CHECK(has(refusal(Exit::usage, [] { Prompts("/nowhere/prompts.json"); }),
            "cannot open /nowhere/prompts.json"));
}
