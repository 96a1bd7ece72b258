#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lomo/data/tokenizer.h"
#include "lomo/model/decoder.h"
#include "lomo/train/inputs.h"

namespace lomo {

/// Tokens of a text that a model continues: of its prompt, and of all that it may become.
struct GenerationLengths {
  std::int64_t prompt = 0, total = 0;
  bool operator==(GenerationLengths const&) const = default;
};

/// Text that the model is to write during an evaluation.
struct FreeAnswer {
  bool sample = false;               // to a prompt of data.samples, else to an example
  std::size_t index = 0;             // in set.samples or set.examples
  std::vector<std::int32_t> prompt;  // the ids before the answer's
  std::string owed;                  // see OpenPrompt
  std::vector<std::int32_t> stops;   // tokens that end it
  GenerationLengths lengths;
};

/// The last part of a sequence that carries loss, with what ends it, and the ids before it.
struct LastAnswer {
  std::vector<std::int32_t> prompt, answer;
};
LastAnswer last_answer(SequenceView sequence);

/// Examples of conversations: the text before the last answer of each, and that answer.
std::vector<Example> examples_of_chat(Tokenizer const& tokenizer, Dataset const& data,
                                      std::vector<std::int32_t> const& stops);

/// The first eval.generate_examples examples with an answer of at most 64 tokens: a longer one is
/// seldom matched word for word. The model may write 8 tokens more than the answer has. Then all
/// samples, with up to eval.sample_tokens. None for other sets.
std::vector<FreeAnswer> free_answers(EvalSet const& set, EvalSection const& options);

/// Of many those that may need the most memory: each is longer than any other in one of the two.
std::vector<GenerationLengths> longest_of(std::vector<FreeAnswer> const& answers);

/// The longest of any data whose sequences have at most data.max_length tokens, in a run as
/// configured; none where it writes nothing.
std::optional<GenerationLengths> longest_generation(TrainConfig const& config);

/// An embedding may have more rows than the tokenizer has tokens; what they would give is no text,
/// so they are never drawn.
void forbid_rows_without_token(Tokenizer const& tokenizer, std::vector<float>& logits);

/// What the model writes to each, greedily, until its end or its limit. Ranks write one each at the
/// same time, and all know all texts. `stop` is asked before each round of them, on ranks all
/// alike; nothing when it says so.
std::optional<std::vector<std::string>> write_answers(Decoder& model, Tokenizer const& tokenizer,
                                                      std::span<FreeAnswer const> answers,
                                                      std::function<bool()> const& stop = {});

/// Takes the memory of such a text on an engine that computes nothing, on ranks the most that one
/// can take beside any others that are no longer.
void rehearse_generation(Decoder& model, GenerationLengths const& lengths);

/// Whether a text is the answer: letter by letter, but for blanks around it.
bool is_answer(std::string const& text, std::string const& answer);

}  // namespace lomo
