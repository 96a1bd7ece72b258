#pragma once
#include <string>
#include <vector>

#include "lomo/config/config.h"
#include "lomo/data/chat.h"
#include "lomo/train/inputs.h"

namespace lomo {

/// The prompts of data.samples, none where it names no file: JSONL with "messages" (those of the
/// assistant at the end are left out) or "prompt", or one prompt a line. `chat` renders
/// conversations, and a prompt alone as a message of the user; null: prompts are continued as they
/// are, and "messages" are an Error. Throws Error(Exit::data) naming file and line.
std::vector<SamplePrompt> load_samples(TrainConfig const& config, Tokenizer const& tokenizer,
                                       ChatTemplate const* chat);

/// What the model is to write in evaluations beside the answers of examples, and what ends it: last
/// answers of conversations, and samples. Throws Error(Exit::usage) when there are samples and
/// nothing to evaluate on.
void add_answers(TrainConfig const& config, Tokenizer const& tokenizer, ChatTemplate const* chat,
                 EvalSet& eval);

}  // namespace lomo
