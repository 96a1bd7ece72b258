#include "lomo/run/inspection.h"

#include <algorithm>
#include <vector>

#include "data_report.h"
#include "lomo/core/text.h"
#include "lomo/data/example_view.h"

namespace lomo {

namespace {

std::string example(Tokenizer const* tokenizer, Dataset const& data, std::size_t i,
                    InspectOptions const& options) {
  const SequenceView sequence = data[i];
  const auto length = static_cast<std::int64_t>(seen_ids(sequence).size());
  std::string text = "\n" + data.where(i) + ": " + counted(length, "token") + ", " +
                     human_count(data.targets(i)) + " with loss\n";
  const ViewOptions view{.colour = options.colour, .pieces = 0};
  if (tokenizer != nullptr) text += view_text(*tokenizer, sequence, view) + "\n";
  if (options.pieces || tokenizer == nullptr) text += view_pieces(tokenizer, sequence, view) + "\n";
  return text;
}

std::string part(Tokenizer const* tokenizer, Dataset const& data, char const* name,
                 InspectOptions const& options) {
  if (data.empty()) return "";
  std::string text = "\n" + std::string(name) + ": " + counts_of(data) + "\n";
  const std::size_t shown = std::min(data.size(), static_cast<std::size_t>(options.count));
  for (std::size_t i = 0; i < shown; ++i) text += example(tokenizer, data, i, options);
  std::vector<std::int64_t> lengths;
  for (const SequenceView sequence : data.all()) {
    lengths.push_back(static_cast<std::int64_t>(seen_ids(sequence).size()));
  }
  return text + "\ntokens of a sequence, and how many have so many\n" + length_histogram(lengths);
}

}  // namespace

std::string inspect(TrainConfig const& config, Tokenizer const* tokenizer, Inputs const& inputs,
                    InspectOptions const& options) {
  std::string text = "tokens: ";
  text += tokenizer == nullptr ? "ids without a tokenizer\n"
                               : human_count(tokenizer->size()) + " pieces, " +
                                     describe_named_tokens(*tokenizer) + "\n";
  text += part(tokenizer, inputs.train, "training", options);
  text += part(tokenizer, inputs.eval.data, "evaluation", options);
  text += "\n";
  const std::vector<std::string> warnings = warnings_of(config, inputs);
  for (std::string const& warning : warnings) text += "warning: " + warning + "\n";
  const auto joined = inputs.train.statistics.joined_space;
  if (joined.count > 0) {
    text += "prompts that end in a space which is part of the answer's first token: " +
            human_count(joined.count) + " (first " + joined.first + ")\n";
  }
  if (warnings.empty()) text += "nothing is cut or left out\n";
  return text;
}

}  // namespace lomo
