#include "lomo/data/train_tokenizer.h"

#include <sentencepiece_trainer.h>

#include <sstream>
#include <unordered_map>
#include <utility>
#include <vector>

#include "lomo/core/error.h"
#include "lomo/io/files.h"

namespace lomo {

namespace {

class LineIterator : public sentencepiece::SentenceIterator {
 public:
  explicit LineIterator(std::vector<std::string> lines) : lines_(std::move(lines)) {}

  bool done() const override { return at_ == lines_.size(); }
  void Next() override { ++at_; }
  std::string const& value() const override { return lines_[at_]; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  std::vector<std::string> lines_;
  std::size_t at_ = 0;
};

/// The trainer reads files by lines; so are these, lest a newline become part of a piece.
std::vector<std::string> lines_of(std::span<std::string const> texts) {
  std::vector<std::string> lines;
  for (std::string const& text : texts) {
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
      if (!line.empty()) lines.push_back(line);
    }
  }
  return lines;
}

}  // namespace

void train_tokenizer(std::span<std::string const> texts, int vocabulary,
                     std::filesystem::path const& file) {
  const std::unordered_map<std::string, std::string> options = {
      {"model_type", "bpe"},
      {"vocab_size", std::to_string(vocabulary)},
      {"byte_fallback", "true"},
      {"normalization_rule_name", "identity"},
      {"remove_extra_whitespaces", "false"},
      {"split_digits", "true"},
      {"character_coverage", "1.0"},
      {"num_threads", "1"},
      {"minloglevel", "2"},
  };
  LineIterator lines(lines_of(texts));
  std::string model;
  const auto status = sentencepiece::SentencePieceTrainer::Train(options, &lines, &model);
  if (!status.ok()) {
    throw Error(Exit::data, "training a tokenizer of " + std::to_string(vocabulary) +
                                " pieces failed: " + status.ToString());
  }
  write_file(file, model);
}

}  // namespace lomo
