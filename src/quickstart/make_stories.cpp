// lomo-make-stories: writes the quickstart's texts and questions.
#include <CLI/CLI.hpp>
#include <exception>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lomo/core/console.h"
#include "lomo/core/error.h"
#include "lomo/io/files.h"
#include "stories.h"

namespace {

using namespace lomo::quickstart;
namespace fs = std::filesystem;
using Ordered = nlohmann::ordered_json;

// 40 000 stories are 1.6 million tokens: more than the 600 pre-training steps read.
constexpr std::int64_t kStories = 40000;
constexpr std::int64_t kHeldOutStories = 500;
constexpr std::int64_t kTrainingQuestions = 1000;
constexpr std::int64_t kHeldOutQuestions = 500;
constexpr std::size_t kTokenizerStories = 6000;
constexpr std::size_t kTokenizerQuestions = 300;

std::string as_jsonl(std::vector<std::string> const& stories) {
  std::string text;
  for (std::string const& story : stories) text += Ordered{{"text", story}}.dump() + "\n";
  return text;
}

std::string as_boolq(std::vector<Question> const& questions) {
  std::string text;
  for (std::size_t i = 0; i < questions.size(); ++i) {
    text += Ordered{{"question", questions[i].question},
                    {"passage", questions[i].passage},
                    {"idx", i},
                    {"label", questions[i].label}}
                .dump() +
            "\n";
  }
  return text;
}

/// Both kinds of text, for the tokenizer to learn its pieces from.
std::string tokenizer_text(std::vector<std::string> const& stories,
                           std::vector<Question> const& questions) {
  std::string text;
  for (std::size_t i = 0; i < kTokenizerStories; ++i) text += stories[i] + "\n";
  for (std::size_t i = 0; i < kTokenizerQuestions; ++i) {
    Question const& q = questions[i];
    text += q.passage + " " + q.question + "\nAnswer: " + (q.label ? "Yes" : "No") + "\n";
  }
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  lomo::console::hold_closed_streams();
  CLI::App app("Writes the stories and questions of lomo-train's quickstart");
  fs::path output;
  std::uint64_t seed = 1;
  app.add_option("--output", output, "Folder to write to")->required();
  app.add_option("--seed", seed, "Of the stories and questions");
  CLI11_PARSE(app, argc, argv);
  try {
    fs::create_directories(output);
    const auto stories = make_stories(kStories, seed, "training");
    const auto questions = make_questions(kTrainingQuestions, false, seed);
    lomo::write_file(output / "stories.jsonl", as_jsonl(stories));
    lomo::write_file(output / "stories-heldout.jsonl",
                     as_jsonl(make_stories(kHeldOutStories, seed, "held out")));
    lomo::write_file(output / "boolq-train.jsonl", as_boolq(questions));
    lomo::write_file(output / "boolq-heldout.jsonl",
                     as_boolq(make_questions(kHeldOutQuestions, true, seed)));
    lomo::write_file(output / "tokenizer.txt", tokenizer_text(stories, questions));
    lomo::console::print(std::to_string(kStories) + " stories, " +
                         std::to_string(kTrainingQuestions) + " questions and " +
                         std::to_string(kHeldOutQuestions) + " held-out ones in " +
                         output.string() + "\n");
  } catch (lomo::Error const& error) {
    std::cerr << "lomo-make-stories: " << error.what() << "\n";
    return static_cast<int>(error.code());
  } catch (std::exception const& error) {
    std::cerr << "lomo-make-stories: " << error.what() << "\n";
    return 1;
  }
  return 0;
}
