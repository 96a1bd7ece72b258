#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "lomo/config/config.h"
#include "lomo/data/tokenizer.h"
#include "lomo/train/evaluator.h"
#include "lomo/train/inputs.h"

namespace lomo {

/// What a start says of the data: the tokens that begin and end a text, counts, the first example
/// of training and of evaluation as the model sees it (all of it at level debug), and warnings.
/// `colour`: for a terminal. `of_run` ends the counts: "24 steps".
void log_data(TrainConfig const& config, Tokenizer const* tokenizer, Inputs const& inputs,
              bool colour, std::string const& of_run = "");

/// "32 sequences, 288 tokens, 224 with loss".
std::string counts_of(Dataset const& data);

/// Answers to the prompts of data.samples: [{"prompt", "answer"}], and a line of the log each.
nlohmann::ordered_json samples_of(EvalSet const& set, EvalReport const& report);
void log_samples(EvalSet const& set, EvalReport const& report);

/// A sentence for each thing that is cut, left out or seldom meant in the data.
std::vector<std::string> warnings_of(TrainConfig const& config, Inputs const& inputs);

}  // namespace lomo
