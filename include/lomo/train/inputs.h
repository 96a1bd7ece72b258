#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "lomo/config/config.h"
#include "lomo/data/dataset.h"
#include "lomo/data/example.h"
#include "lomo/data/prompts.h"
#include "lomo/data/tokenizer.h"

namespace lomo {

/// A prompt of data.samples, which the model answers at each evaluation.
struct SamplePrompt {
  std::string where;
  std::string prompt;             // what is asked, for the log: of a conversation its last message
  std::vector<std::int32_t> ids;  // what the answer follows
  std::string owed;               // see OpenPrompt
};

/// What a model is judged by.
struct EvalSet {
  std::optional<Task> task;       // ranked candidates; none: the loss on held-out sequences
  std::vector<Example> examples;  // ranked, or with free answers: one a sequence
  std::vector<SamplePrompt> samples;
  /// Of free answers and samples: what reads what the model writes, which outlives the set, and the
  /// tokens that end it.
  Tokenizer const* tokenizer = nullptr;
  std::vector<std::int32_t> stops;
  /// Ranked: every candidate of every example, in order. Else the held-out sequences.
  Dataset data;
  bool empty() const { return data.empty(); }
};

/// What a run reads, tokenised and checked.
struct Inputs {
  Dataset train;
  EvalSet eval;
};

/// Which parts of the data a command needs.
struct InputNeeds {
  bool train = true;
  bool eval = true;
};

/// Reads, samples, splits and encodes what config.data names. `tokenizer` may be null for token
/// ids, and must outlive the inputs. `prompts` is the shipped wording, used unless the config names
/// another. Throws Error(Exit::data) or Error(Exit::usage) that names file and line.
Inputs load_inputs(TrainConfig const& config, Tokenizer const* tokenizer,
                   std::filesystem::path const& prompts, InputNeeds needs);

/// Marks about `share` of n things as held out, chosen by `seed`; things of one group (empty: none)
/// stay together. At least one group is held out and at least one is kept.
std::vector<bool> hold_out(std::vector<std::string> const& groups, double share,
                           std::uint64_t seed);

}  // namespace lomo
