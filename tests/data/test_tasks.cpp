#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "data/support.h"
#include "lomo/data/tasks.h"
#include "support/data.h"
#include "support/source_dir.h"

using namespace lomo;
using test::has;
using test::refusal;
using test::scratch;
using test::write_file;
namespace fs = std::filesystem;
using Strings = std::vector<std::string>;

namespace {

Prompts const& shipped() {
  static const Prompts prompts(test::source_dir() / "configs/prompts/superglue.json");
  return prompts;
}

std::vector<Example> read_text(Task task, std::string const& text) {
  static const fs::path folder = scratch("tasks");
  return read_examples(task, write_file(folder / "some.jsonl", text), shipped());
}

std::string passage(Example const& e) {
  return e.prompt.substr(e.passage_begin, e.passage_end - e.passage_begin);
}

std::string complaint(Task task, std::string const& text) {
  return refusal(Exit::data, [&] { read_text(task, text); });
}

}  // namespace

TEST_CASE("Tasks have names") {
  CHECK(parse_task("rte") == Task::rte);
  CHECK(parse_task("ReCoRD") == Task::record);
  CHECK(to_string(Task::multirc) == "MultiRC");
  CHECK(has(refusal(Exit::usage, [] { parse_task("glue"); }), "BoolQ, CB, COPA, MultiRC"));
}

TEST_CASE("BoolQ: passage, question, No or Yes") {
  const auto e = read_text(Task::boolq,
                           "\xEF\xBB\xBF{\"question\": \"is it {so}\", \"passage\": \"A -- b.\", "
                           "\"idx\": 4, \"label\": true}\r\n\r\n"
                           "{\"question\": \"q\", \"passage\": \"p\", \"idx\": 5}");
  REQUIRE(e.size() == 2);
  CHECK(e[0].prompt == "A -- b. is it {so}\nAnswer: ");
  CHECK(passage(e[0]) == "A -- b.");
  CHECK(e[0].candidates == Strings{"No", "Yes"});
  CHECK(e[0].gold == 1);
  CHECK(e[0].answer == "Yes");
  CHECK(e[0].id == "4");
  CHECK(e[0].where.ends_with("/some.jsonl:1"));
  CHECK(e[1].gold == -1);
  CHECK(e[1].answer.empty());
  CHECK(e[1].where.ends_with("/some.jsonl:3"));
}

TEST_CASE("CB, RTE: a label's index is its place among the task's labels") {
  const std::string head = R"({"premise": "It rained.", "hypothesis": "It was wet.", "idx": 0, )";
  const auto cb = read_text(Task::cb, head + R"("label": "neutral"})");
  CHECK(cb[0].candidates == Strings{"Yes", "No", "Maybe"});
  CHECK(cb[0].answer == "Maybe");
  CHECK(passage(cb[0]) == "It rained.");
  const auto rte = read_text(Task::rte, head + R"("label": "entailment"})");
  CHECK(rte[0].candidates == Strings{"Yes", "No"});
  CHECK(rte[0].gold == 0);
  CHECK(rte[0].prompt ==
        "It rained.\nDoes it follow that \"It was wet.\" is true, Yes or No?\nAnswer: ");
}

TEST_CASE("COPA: the two choices after so or because") {
  const std::string head = R"({"premise": "The tap ran.", "choice1": "It was dry.", )"
                           R"("choice2": "Water came.", "idx": 1, "label": 1, "question": )";
  const auto effect = read_text(Task::copa, head + R"("effect"})");
  CHECK(effect[0].prompt == "The tap ran. so ");
  CHECK(effect[0].candidates == Strings{"It was dry.", "Water came."});
  CHECK(effect[0].answer == "Water came.");
  CHECK(read_text(Task::copa, head + R"("cause"})")[0].prompt == "The tap ran. because ");
  CHECK(has(complaint(Task::copa, head + R"("why"})"), "some.jsonl:1: field \"question\" is why"));
}

TEST_CASE("WiC and WSC: true is Yes") {
  const auto wic = read_text(Task::wic, R"({"word": "place", "sentence1": "My place.", )"
                                        R"("sentence2": "No place.", "idx": 0, "label": false})");
  CHECK(wic[0].candidates == Strings{"No", "Yes"});
  CHECK(wic[0].answer == "No");
  CHECK(has(wic[0].prompt, "\"place\""));
  CHECK(wic[0].prompt.ends_with("\nMy place.\nNo place.\nAnswer: "));
  const auto wsc = read_text(
      Task::wsc, R"({"text": "Ann saw Eve. She waved.", "target": {"span1_index": 0, )"
                 R"("span1_text": "Ann", "span2_index": 3, "span2_text": "She"}, "idx": 7, )"
                 R"("label": true})");
  CHECK(wsc[0].answer == "Yes");
  CHECK(wsc[0].prompt ==
        "Ann saw Eve. She waved.\nIn the text above, does the pronoun \"She\" stand for \"Ann\", "
        "Yes or No?\nAnswer: ");
}

TEST_CASE("MultiRC: one example an answer, grouped by question") {
  const auto e = read_text(
      Task::multirc,
      R"({"idx": 3, "passage": {"text": "P.", "questions": [)"
      R"({"idx": 8, "question": "Why?", "answers": [{"text": "a", "idx": 20, "label": 0}, )"
      R"({"text": "b", "idx": 21, "label": 1}]}, )"
      R"({"idx": 9, "question": "How?", "answers": [{"text": "c", "idx": 22}]}]}})");
  REQUIRE(e.size() == 3);
  CHECK(e[1].id == "3:8:21");
  CHECK(e[1].group == "3:8");
  CHECK(e[1].answer == "Yes");
  CHECK(e[2].group == "3:9");
  CHECK(e[2].gold == -1);
  CHECK(e[1].prompt.starts_with("P.\nQuestion: Why?\nSomebody answered \"b\"."));
  CHECK(has(
      complaint(Task::multirc, R"({"idx": 3, "passage": {"text": "P.", "questions": [{"idx": 1, )"
                               R"("question": "q", "answers": [{"text": 5, "idx": 2}]}]}})"),
      "some.jsonl:1: field \"passage/questions/0/answers/0/text\" must be a text, not 5"));
}

TEST_CASE("ReCoRD: entities by character, later answers left out, highlights as dashes") {
  // Characters: "Zoë met Al." then a highlight; Zoë 0..2, Al 8..9, "Zoë" again 24..26.
  const auto e = read_text(
      Task::record,
      "{\"idx\": 0, \"passage\": {\"text\": \"Zo\xC3\xAB met Al.\\n@highlight\\nZo\xC3\xAB left "
      "Bo\", \"entities\": [{\"start\": 0, \"end\": 2}, {\"start\": 8, \"end\": 9}, "
      "{\"start\": 23, \"end\": 25}, {\"start\": 32, \"end\": 33}]}, \"qas\": [{\"idx\": 5, "
      "\"query\": \"@placeholder left\", \"answers\": [{\"start\": 0, \"end\": 2, \"text\": "
      "\"Zo\xC3\xAB\"}, {\"start\": 8, \"end\": 9, \"text\": \"Al\"}]}, {\"idx\": 6, \"query\": "
      "\"@placeholder met\"}]}");
  REQUIRE(e.size() == 2);
  CHECK(e[0].candidates == Strings{"Zo\xC3\xAB", "Bo"});
  CHECK(e[0].gold == 0);
  CHECK(e[0].answer == "Zo\xC3\xAB");
  CHECK(e[0].accepted == Strings{"Zo\xC3\xAB", "Al"});
  CHECK(e[0].id == "5");
  CHECK(e[0].prompt.starts_with("Zo\xC3\xAB met Al.\n- Zo\xC3\xAB left Bo\n@placeholder left\n"));
  CHECK(e[1].candidates == Strings{"Zo\xC3\xAB", "Al", "Bo"});
  CHECK(e[1].gold == -1);
  CHECK(has(complaint(Task::record, R"({"idx": 0, "passage": {"text": "ab", "entities": )"
                                    R"([{"start": 1, "end": 2}]}, "qas": []})"),
            "passage/entities/0/end"));
}

TEST_CASE("Broken lines name file, line and field") {
  const std::string good = R"({"question": "q", "passage": "p", "idx": 0, "label": true})";
  CHECK(has(complaint(Task::boolq, good + "\n{\"question\": "), "some.jsonl:2:13: not valid JSON"));
  CHECK(has(complaint(Task::boolq, good + "\n[1]"), "some.jsonl:2: must be one JSON object"));
  CHECK(has(complaint(Task::boolq, R"({"passage": "p", "idx": 0})"),
            "some.jsonl:1: field \"question\" is missing"));
  CHECK(has(complaint(Task::boolq, R"({"question": "q", "passage": "p", "idx": 0, "label": "no"})"),
            "field \"label\" must be true or false, not \"no\""));
  CHECK(has(complaint(Task::boolq, R"({"question": "q", "passage": "p", "idx": "x"})"),
            "field \"idx\" must be a whole number"));
  CHECK(has(complaint(Task::rte, R"({"premise": "", "hypothesis": "", "idx": 0, "label": "yes"})"),
            "field \"label\" is yes; the labels are entailment, not_entailment"));
  CHECK(has(complaint(Task::multirc, R"({"idx": 1, "passage": []})"),
            "field \"passage\" must be an object"));
  CHECK(has(complaint(Task::boolq, good + "\n" + good + "\n{\"question\": \"\xC3\x28\"}"),
            "some.jsonl:3: not UTF-8 at byte 15"));
  CHECK(has(complaint(Task::boolq, "{\"question\": \"\xED\xA0\x80\"}"), ":1: not UTF-8"));
  CHECK(has(complaint(Task::boolq, std::string("{\"question\": \"a\0b\"}", 19)), "not valid JSON"));
  CHECK(has(complaint(Task::boolq, std::string(100000, '[')), "some.jsonl:1"));
  CHECK(has(complaint(Task::rte, ""), "some.jsonl: holds no records"));
  CHECK(has(refusal(Exit::data, [] { read_examples(Task::rte, "/nowhere/val.jsonl", shipped()); }),
            "/nowhere/val.jsonl: cannot be opened"));
  CHECK(has(
      refusal(Exit::data, [] { read_examples(Task::rte, fs::temp_directory_path(), shipped()); }),
      "is a folder"));
}

TEST_CASE("Very long lines are read whole") {
  for (const std::size_t size : {16383u, 16384u, 16385u, 100000u, 3000000u}) {
    const std::string text(size, 'a');
    const auto e =
        read_text(Task::boolq, "{\"question\": \"q\", \"idx\": 0, \"passage\": \"" + text +
                                   "\"}\n{\"question\": \"r\", \"idx\": 1, "
                                   "\"passage\": \"p\"}\n");
    REQUIRE(e.size() == 2);
    CHECK(e[0].passage_end == size);
    CHECK(e[1].where.ends_with("/some.jsonl:2"));
  }
}

TEST_CASE("The official files have their counts") {
  LOMO_NEEDS_DATA();
  struct Count {
    Task task;
    char const* file;
    std::size_t examples;
  };
  const std::vector<Count> counts = {{Task::boolq, "superglue/BoolQ/val.jsonl", 3270},
                                     {Task::cb, "superglue/CB/train.jsonl", 250},
                                     {Task::cb, "superglue/CB/val.jsonl", 56},
                                     {Task::copa, "superglue/COPA/train.jsonl", 400},
                                     {Task::copa, "superglue/COPA/val.jsonl", 100},
                                     {Task::multirc, "superglue/MultiRC/train.jsonl", 27243},
                                     {Task::multirc, "superglue/MultiRC/val.jsonl", 4848},
                                     {Task::rte, "superglue/RTE/train.jsonl", 2490},
                                     {Task::rte, "superglue/RTE/val.jsonl", 277},
                                     {Task::wic, "superglue/WiC/train.jsonl", 5428},
                                     {Task::wsc, "superglue/WSC/train.jsonl", 554},
                                     {Task::boolq, "fewglue/BoolQ/train.jsonl", 32},
                                     {Task::record, "fewglue/ReCoRD/dev32.jsonl", 32}};
  for (Count const& count : counts) {
    CAPTURE(count.file);
    const auto e = read_examples(count.task, test::data_dir() / count.file, shipped());
    CHECK(e.size() == count.examples);
    for (Example const& example : e) {
      REQUIRE(example.gold >= 0);
      REQUIRE(example.answer == example.candidates.at(static_cast<std::size_t>(example.gold)));
      REQUIRE(example.prompt.ends_with(' '));
    }
  }
}

TEST_CASE("One real prompt of each task reads as it should") {
  LOMO_NEEDS_DATA();
  const auto first = [](Task task, char const* file) {
    return read_examples(task, test::data_dir() / file, shipped()).front();
  };
  const Example boolq = first(Task::boolq, "superglue/BoolQ/val.jsonl");
  CHECK(boolq.prompt.starts_with("Ethanol fuel -- All biomass goes through"));
  CHECK(boolq.prompt.ends_with(" does ethanol take more energy make that produces\nAnswer: "));
  const Example cb = first(Task::cb, "superglue/CB/val.jsonl");
  CHECK(cb.prompt.ends_with("\nIs \"Valence was helping\" then true: Yes, No or Maybe?\nAnswer: "));
  CHECK(cb.answer == "No");
  const Example copa = first(Task::copa, "superglue/COPA/val.jsonl");
  CHECK(copa.prompt == "The man turned on the faucet. so ");
  CHECK(copa.answer == "Water flowed from the spout.");
  const Example multirc = first(Task::multirc, "superglue/MultiRC/val.jsonl");
  CHECK(multirc.prompt.starts_with("What causes a change in motion? The application"));
  CHECK(
      multirc.prompt.ends_with("pick it up?\nSomebody answered \"No\". Is that a correct "
                               "answer, Yes or No?\nAnswer: "));
  CHECK(multirc.id == "0:0:0");
  CHECK(multirc.answer == "No");
  const Example rte = first(Task::rte, "superglue/RTE/val.jsonl");
  CHECK(rte.prompt.starts_with("Dana Reeve, the widow of"));
  CHECK(
      rte.prompt.ends_with("\nDoes it follow that \"Christopher Reeve had an accident.\" is "
                           "true, Yes or No?\nAnswer: "));
  CHECK(rte.answer == "No");
  const Example wic = first(Task::wic, "superglue/WiC/train.jsonl");
  CHECK(wic.prompt ==
        "Is the word \"place\" used in one and the same sense in the following two sentences, Yes "
        "or No?\nDo you want to come over to my place later?\nA political system with no place "
        "for the less prominent groups.\nAnswer: ");
  CHECK(wic.answer == "No");
  const Example wsc = first(Task::wsc, "superglue/WSC/train.jsonl");
  CHECK(wsc.prompt ==
        "Mark told Pete many lies about himself, which Pete included in his book. He should have "
        "been more skeptical.\nIn the text above, does the pronoun \"He\" stand for \"Mark\", Yes "
        "or No?\nAnswer: ");
  CHECK(wsc.answer == "No");
  const Example record = first(Task::record, "fewglue/ReCoRD/train.jsonl");
  CHECK(record.answer == "Olimpija Ljubljana");
  CHECK(has(record.prompt, "horror miss\n- Chelsea come from behind"));
  CHECK(
      record.prompt.ends_with("that @placeholder made it difficult.\nQuestion: Which name "
                              "belongs in the place of \"@placeholder\"?\nAnswer: "));
  CHECK(std::count(record.candidates.begin(), record.candidates.end(), "Diego Costa") == 1);
  CHECK(record.accepted == Strings{"Olimpija Ljubljana"});
}
