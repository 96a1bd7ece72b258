#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "lomo/io/json.h"
#include "lomo/model/decoder.h"
#include "lomo/train/inputs.h"

namespace lomo {

/// How a model did on an EvalSet.
struct EvalReport {
  /// The task's metrics in percent ("score", their official mean, first when there are several), or
  /// loss (nats a token) and perplexity, and of answers that the model wrote the percentage that is
  /// right ("exact_match").
  std::vector<std::pair<std::string, double>> metrics;
  std::vector<std::int64_t> chosen;            // ranked: the candidate of each example
  std::vector<double> losses;                  // else: of each sequence, a token
  std::map<std::size_t, std::string> written;  // by example, what the model answered
  std::vector<std::string> samples;            // what it answered to each of set.samples
  std::int64_t examples = 0;
  double seconds = 0;
  bool stopped = false;  // on request, and then there is nothing else

  /// "accuracy 99.4, loss 0.21".
  std::string summary() const;
  Json json() const;
};

/// Ranks candidates by the log-probability of answer and end of sequence (summed or averaged), or
/// takes the mean loss of held-out sequences; to prompts with free answers and to samples the model
/// writes some, see free_answers(). `stop` is asked before each batch and each answer, on ranks all
/// of them alike.
EvalReport evaluate(Decoder& model, EvalSet const& set, EvalSection const& options,
                    std::function<bool()> const& stop = {});

/// Writes the answers of a ranked set in SuperGLUE's submission format to `folder`/<Task>.jsonl,
/// making the folder. Of free answers `folder`/predictions.jsonl: {"where", "prompt", "answer",
/// "loss"} a line, and where the model wrote one {"prediction", "exact_match"}. Nothing for other
/// sets.
void write_predictions(EvalSet const& set, EvalReport const& report,
                       std::filesystem::path const& folder);

}  // namespace lomo
