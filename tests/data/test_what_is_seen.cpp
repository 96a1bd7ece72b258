#include <sentencepiece_trainer.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "data/encoded.h"
#include "data/small_tokenizer.h"
#include "data/support.h"
#include "lomo/data/encode.h"
#include "lomo/data/example_view.h"
#include "lomo/data/open_prompt.h"
#include "lomo/data/readers.h"
#include "lomo/data/train_tokenizer.h"

using namespace lomo;
using test::has;
using test::refusal;
using test::small;
namespace fs = std::filesystem;
using Ids = std::vector<std::int32_t>;

namespace {

/// One as it was usual before: no bytes, and blanks at the ends of a text are left out.
Tokenizer const& plain() {
  static const Tokenizer tokenizer = [] {
    const fs::path folder = test::scratch("plain");
    const fs::path texts = test::write_file(
        folder / "texts", "The dog saw the cat and ran to the house.\nAnswer: Yes\nAnswer: No\n");
    const auto trained = sentencepiece::SentencePieceTrainer::Train(
        "--input=" + texts.string() + " --model_prefix=" + (folder / "plain").string() +
        " --vocab_size=40 --model_type=bpe --minloglevel=2");
    REQUIRE(trained.ok());
    return Tokenizer(folder / "plain.model");
  }();
  return tokenizer;
}

Example example_of(std::string const& prompt, std::string const& answer, int line = 1) {
  Example e;
  e.prompt = prompt;
  e.passage_end = prompt.size();
  e.answer = answer;
  e.where = "d/x.jsonl:" + std::to_string(line);
  return e;
}

std::string repeated(std::string const& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

Ids ids_of(SequenceView sequence) {
  Ids ids;
  for (SeenId const& seen : seen_ids(sequence)) ids.push_back(seen.id);
  return ids;
}

}  // namespace

TEST_CASE("Answers that are too long: an error counts them all and names the longest") {
  const std::vector<Example> examples = {
      example_of("The dog: ", "Yes", 1), example_of("The cat: ", repeated("river ", 20), 2),
      example_of("The cat: ", repeated("river ", 40), 3), example_of("The cat: ", "No", 4)};
  const auto longest = static_cast<std::int64_t>(small().encode(examples[2].answer).size()) + 1;
  const std::string message =
      refusal(Exit::data, [&] { test::encoded(small(), examples, {.max_length = 16}); });
  CHECK(has(message, "2 of 4 answers of the training data are longer than data.max_length 16"));
  CHECK(has(message, "the longest has " + std::to_string(longest) + " tokens (d/x.jsonl:3)"));
  CHECK(has(message, "Raise data.max_length to " + std::to_string(longest) +
                         ", or set "
                         "data.too_long to \"skip\" or \"cut\""));
  CHECK_NOTHROW(test::encoded(small(), examples, {.max_length = longest}));
  CHECK(
      has(refusal(Exit::data, [&] { encode_answer(small(), examples[2], examples[2].answer, 16); }),
          "d/x.jsonl:3: the answer alone has " + std::to_string(longest) + " tokens"));
}

TEST_CASE(
    "Answers that are too long: skipped ones are missing, counted, and no bit of others moves") {
  const std::vector<Example> examples = {example_of("The dog: ", "Yes", 1),
                                         example_of("The cat: ", repeated("river ", 20), 2),
                                         example_of("The cat: ", "No", 3)};
  const Dataset data =
      test::encoded(small(), examples, {.max_length = 16, .too_long = TooLong::skip});
  REQUIRE(data.size() == 2);
  CHECK(test::items(data) == std::vector<std::int64_t>{0, 2});
  CHECK(data.where(1) == "d/x.jsonl:3");
  CHECK(data.statistics.examples == 3);
  CHECK(data.statistics.too_long.count == 1);
  const Dataset alone = test::encoded(small(), std::vector<Example>{examples[0]}, {16});
  CHECK(test::list(data[0].tokens) == test::list(alone[0].tokens));
  const auto warnings = data_warnings(data.statistics, "training", 16, TooLong::skip);
  REQUIRE(warnings.size() == 1);
  CHECK(has(warnings[0],
            "1 training example has an answer of more than data.max_length 16 tokens "
            "and is left out"));
  CHECK(has(warnings[0], "(d/x.jsonl:2)"));
}

TEST_CASE("Answers that are too long: cut ones keep prompt and start, and teach no end") {
  const std::string answer = repeated("river ", 40);
  for (std::string const& prompt : {std::string("The cat: "), repeated("the dog ran ", 30)}) {
    for (const std::int64_t max_length : {2, 3, 16, 31}) {
      CAPTURE(prompt, max_length);
      const Dataset data = test::encoded(small(), std::vector<Example>{example_of(prompt, answer)},
                                         {.max_length = max_length, .too_long = TooLong::cut});
      REQUIRE(data.size() == 1);
      const SequenceView s = data[0];
      CHECK(static_cast<std::int64_t>(s.tokens.size()) == max_length);
      CHECK(s.targets.back() != small().eos());
      CHECK(s.targets.back() != kNoTarget);
      const auto learnt = std::ranges::count_if(s.targets, [](auto t) { return t != kNoTarget; });
      CHECK(learnt >= max_length / 2);
      CHECK(data.statistics.too_long.count == 1);
    }
  }
}

TEST_CASE("Lists of ids that are too long follow the same setting") {
  const fs::path file = test::write_file(test::scratch("too_long_ids") / "i.jsonl",
                                         "{\"ids\": [1, 2, 3]}\n{\"ids\": [1, 2, 3, 4, 5, 6]}\n"
                                         "{\"ids\": [1, 2, 3, 4, 5], \"loss_from\": 4}\n");
  CHECK(has(refusal(Exit::data, [&] { test::ids(file, 3); }), "2 of 3 lists of ids"));
  CHECK(has(refusal(Exit::data, [&] { test::ids(file, 3); }), "the longest has 5 tokens"));
  CHECK(test::ids(file, 5).size() == 3);
  CHECK(test::items(test::ids(file, 3, TooLong::skip)) == std::vector<std::int64_t>{0});
  const Dataset cut = test::ids(file, 3, TooLong::cut);
  REQUIRE(cut.size() == 2);  // the third has no target left
  CHECK(ids_of(cut[1]) == Ids{1, 2, 3, 4});
  CHECK(cut.statistics.too_long.count == 2);
}

TEST_CASE("Answers without a token are counted, and refused where there are no others") {
  // This tokenizer leaves out blanks at the end of a text.
  const std::vector<Example> examples = {example_of("The dog:", " ", 1),
                                         example_of("The dog:", " Yes", 2),
                                         example_of("The cat:", "  ", 3)};
  const Dataset data = test::encoded(plain(), examples, {64});
  CHECK(data.statistics.no_tokens.count == 2);
  CHECK(data.statistics.no_tokens.first == "d/x.jsonl:1");
  CHECK(has(data_warnings(data.statistics, "training", 64, TooLong::error).front(),
            "2 training examples (first d/x.jsonl:1) have an answer without a token"));
  CHECK_NOTHROW(require_learnable(data.statistics));
  const Dataset blank =
      test::encoded(plain(), std::vector<Example>{examples[0], examples[2]}, {64});
  CHECK(has(refusal(Exit::data, [&] { require_learnable(blank.statistics); }),
            "d/x.jsonl:1: no answer of the training data has a token to learn, all are blank"));
}

TEST_CASE("Answers and texts of <unk>, on a tokenizer that has no bytes to spell them") {
  const std::string foreign = "\xE4\xB8\xAD\xE6\x96\x87";
  const std::vector<Example> examples = {example_of("The dog: ", foreign, 1),
                                         example_of("The cat: ", "the dog", 2)};
  const Dataset data = test::encoded(plain(), examples, {64});
  CHECK(data.statistics.unknown.count == 1);
  CHECK(data.statistics.unknown_ids > 0);
  const auto warnings = data_warnings(data.statistics, "training", 64, TooLong::error);
  REQUIRE(warnings.size() == 2);
  CHECK(
      has(warnings[0], "1 training example (d/x.jsonl:1) has an answer that is <unk> throughout"));
  CHECK(has(warnings[1], "of the training data"));
  CHECK_NOTHROW(require_learnable(data.statistics));
  const Dataset all = test::encoded(plain(), std::vector<Example>{examples[0]}, {64});
  CHECK(has(refusal(Exit::data, [&] { require_learnable(all.statistics); }),
            "the tokenizer cannot express them"));
  const Dataset text = encode_documents(plain(), std::vector<Document>{{foreign, "d.txt:1"}}, 64);
  CHECK(text.statistics.unknown_ids > 0);
  // Labels that the tokenizer cannot tell apart.
  std::vector<Example> labels = {example_of("The dog: ", "", 5)};
  labels[0].candidates = {"\xE6\x98\xAF", "\xE5\x90\xA6"};
  CHECK(encode_ranked(plain(), labels, {64}).statistics.same_candidates.count == 1);
  // One that spells by bytes has none of this.
  CHECK(test::encoded(small(), examples, {64}).statistics.unknown_ids == 0);
}

TEST_CASE("Candidates that encode alike are counted") {
  std::vector<Example> examples = {example_of("The dog: ", "", 1), example_of("The dog: ", "", 2)};
  examples[0].candidates = {"Yes", "No"};
  examples[1].candidates = {"Yes", "Yes"};
  const Dataset data = encode_ranked(small(), examples, {64});
  CHECK(data.size() == 4);
  CHECK(test::items(data) == std::vector<std::int64_t>{0, 0, 1, 1});
  CHECK(data.statistics.same_candidates.count == 1);
  CHECK(data.statistics.same_candidates.first == "d/x.jsonl:2");
}

TEST_CASE("Special tokens written in the text are counted by name, in whatever field") {
  const std::vector<Example> examples = {example_of("<s>The dog</s>: ", "Yes</s>", 1),
                                         example_of("plain < s > text: ", "No", 2),
                                         example_of("The cat: ", "<s>", 3)};
  const DataStatistics found = test::encoded(small(), examples, {64}).statistics;
  CHECK(found.special_texts.count == 2);
  CHECK(found.special_text_counts.at("<s>") == 2);
  CHECK(found.special_text_counts.at("</s>") == 2);
  const std::string warning = data_warnings(found, "training", 64, TooLong::error).back();
  CHECK(has(warning, "special tokens are written in 2 training examples (first d/x.jsonl:1)"));
  CHECK(has(warning, "\"<s>\" 2 times"));
  const Dataset text =
      encode_documents(small(), std::vector<Document>{{"a</s>b</s>", "t:1"}, {"a", "t:2"}}, 0);
  CHECK(text.statistics.special_text_counts.at("</s>") == 2);
  CHECK(text.statistics.special_texts.count == 1);
}

TEST_CASE("A prompt is continued from where training ends it, spaces at its end included") {
  int joined = 0;
  for (std::string const& prompt : {std::string("The dog.\nAnswer: "), std::string("The cat: "),
                                    std::string("The dog.\nAnswer:"), std::string("the")}) {
    CAPTURE(prompt);
    const OpenPrompt open = encode_prompt(small(), prompt);
    const EncodedAnswer trained = encode_answer(small(), example_of(prompt, "Yes"), "Yes", 0);
    if (prompt.ends_with(' ')) {
      // What training has before the answer is what generation resumes from.
      CHECK(open.ids == Ids(trained.ids.begin(),
                            trained.ids.begin() + static_cast<std::ptrdiff_t>(trained.loss_from)));
      CHECK(open.owed == " ");
      CHECK(trained.joined_space);
      ++joined;
    } else {
      CHECK(open.owed.empty());
      CHECK(open.ids.size() == small().encode(prompt).size() + 1);
      CHECK_FALSE(trained.joined_space);
    }
  }
  CHECK(joined == 2);
  CHECK(encode_prompt(small(), "").ids == Ids{small().bos()});
  CHECK(encode_prompt(small(), "  ").owed.empty());
  CHECK(encode_prompt(small(), "The dog:   ").owed == "   ");
}

TEST_CASE("What is owed restricts the next tokens until it is given") {
  const auto count = static_cast<std::size_t>(small().size());
  const auto possible = [&](OwedText const& owed, std::size_t rows) {
    std::vector<float> logits(rows, 0.0f);
    owed.restrict(logits);
    std::vector<std::int32_t> ids;
    for (std::size_t i = 0; i < rows; ++i) {
      if (logits[i] == 0.0f) ids.push_back(static_cast<std::int32_t>(i));
    }
    return ids;
  };
  OwedText owed(small(), " ");
  const Ids first = possible(owed, count + 5);  // an embedding with more rows than pieces
  REQUIRE_FALSE(first.empty());
  CHECK(first.size() < count);
  for (const std::int32_t id : first) CHECK(small().piece_text(id).starts_with(' '));
  CHECK(std::ranges::find(first, small().eos()) == first.end());
  owed.take(first.front());
  CHECK(possible(owed, count).size() == count);
  CHECK(possible(OwedText(small(), ""), count).size() == count);
  // Two spaces may come one by one.
  OwedText two(small(), "  ");
  const Ids one = small().encode("a b");
  std::int32_t space = -1;
  for (std::int32_t id = 0; id < small().size(); ++id) {
    if (small().piece_text(id) == " ") space = id;
  }
  if (space >= 0) {
    CHECK(std::ranges::count(possible(two, count), space) == 1);
    two.take(space);
    CHECK(possible(two, count) == first);
  }
}

TEST_CASE("A view shows pieces with ids, and marks what carries loss") {
  const Example e = example_of("The dog: ", "Yes");
  const EncodedAnswer encoded = encode_answer(small(), e, e.answer, 0);
  const Sequence s = make_sequence(encoded.ids, encoded.loss_from);
  const std::string pieces = view_pieces(&small(), s, {});
  CHECK(pieces.starts_with("<s>/" + std::to_string(small().bos()) + " "));
  CHECK(pieces.ends_with("</s>/" + std::to_string(small().eos()) + "\xE2\x9F\xA7"));
  const std::size_t open = pieces.find("\xE2\x9F\xA6");
  REQUIRE(open != std::string::npos);
  CHECK(pieces.substr(open + 3).starts_with(small().piece(encoded.ids[encoded.loss_from])));
  CHECK(pieces.find("\xE2\x9F\xA6", open + 3) == std::string::npos);
  CHECK_FALSE(has(pieces, "\x1b"));
  const std::string coloured = view_pieces(&small(), s, {.colour = true});
  CHECK(has(coloured, "\x1b[32m\xE2\x9F\xA6"));
  CHECK(coloured.ends_with("\xE2\x9F\xA7\x1b[0m"));
  CHECK(view_text(small(), s, {}) == "<s> The dog:\xE2\x9F\xA6 Yes</s>\xE2\x9F\xA7");
  CHECK(view_pieces(nullptr, make_sequence(Ids{5, 6, 7}, 2), {}) ==
        "5 6 \xE2\x9F\xA6"
        "7\xE2\x9F\xA7");
  CHECK(view_pieces(nullptr, Sequence{}, {}).empty());
}

TEST_CASE("A long example is shown around the place where loss begins") {
  Ids ids(300);
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int32_t>(i + 1000);
  const std::string text = view_pieces(nullptr, make_sequence(ids, 150), {.pieces = 3});
  CHECK(text ==
        "1000 \xE2\x80\xA6 1147 1148 1149 \xE2\x9F\xA6"
        "1150 1151 1152 \xE2\x80\xA6 147 more"
        "\xE2\x9F\xA7");
  CHECK(view_pieces(nullptr, make_sequence(ids, 150), {}).size() > 1400);
}

TEST_CASE("Several parts with loss, and bytes that a terminal would obey") {
  Sequence s = make_sequence(Ids{5, 6, 7, 8, 9}, 1);
  s.targets[1] = kNoTarget;  // 7
  CHECK(view_pieces(nullptr, s, {}) ==
        "5 \xE2\x9F\xA6"
        "6\xE2\x9F\xA7 7 \xE2\x9F\xA6"
        "8 9\xE2\x9F\xA7");
  const Ids escape = small().encode("a\x1b[31m\n\xC3\xA9");
  const std::string text = view_text(small(), make_sequence(escape, 1), {});
  CHECK_FALSE(has(text, "\x1b"));
  CHECK(has(text, "\\x1b[31m\n\xC3\xA9"));
}

TEST_CASE("Tokens that begin and end a text are named with where that is written") {
  const fs::path folder = test::scratch("named");
  const std::vector<std::string> texts = {"The dog saw the cat."};
  train_tokenizer(texts, 285, folder / "tokenizer.model");
  CHECK(has(describe_named_tokens(Tokenizer(folder)), "bos 1 \"<s>\" (tokenizer.model)"));
  // What the tokenizer leaves open the model's configs say, and what they contradict is told.
  test::write_file(folder / "generation_config.json", R"({"eos_token_id": 1})");
  test::write_file(folder / "config.json", R"({"pad_token_id": 9999, "bos_token_id": 1})");
  const Tokenizer both(folder);
  CHECK(has(describe_named_tokens(both), "eos 2 \"</s>\" (tokenizer.model)"));
  CHECK(has(describe_named_tokens(both), "pad 9999 (no piece of the tokenizer) (config.json)"));
  REQUIRE(both.warnings().size() == 1);
  CHECK(has(both.warnings().front(), "generation_config.json says that texts end with <s> (1)"));
  test::write_file(folder / "tokenizer_config.json",
                   R"({"eos_token": "<|im_end|>", "add_bos_token": false})");
  test::write_file(folder / "added_tokens.json", R"({"<|im_end|>": 285})");
  const Tokenizer added(folder);
  const std::string named = describe_named_tokens(added);
  CHECK(has(named, "eos 285 \"<|im_end|>\" (tokenizer_config.json)"));
  CHECK(has(named, "texts start with no token"));
  std::map<std::string, std::int64_t> counts;
  CHECK(added.count_special("a <|im_end|> b </s></s>", counts));
  CHECK(counts == std::map<std::string, std::int64_t>{{"<|im_end|>", 1}, {"</s>", 2}});
}

TEST_CASE("A histogram counts every length") {
  CHECK(length_histogram({}).empty());
  CHECK(has(length_histogram({7, 7, 7}), "7         3"));
  std::vector<std::int64_t> lengths;
  for (int i = 1; i <= 1000; ++i) lengths.push_back(i);
  const std::string text = length_histogram(lengths);
  CHECK(std::ranges::count(text, '\n') == 10);
  CHECK(has(text, "1 to 100       100"));
  CHECK(has(text, "901 to 1,000       100"));
  CHECK(std::ranges::count(length_histogram({1, INT64_C(1) << 40}), '\n') == 10);
}
