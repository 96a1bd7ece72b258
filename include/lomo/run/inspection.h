#pragma once
#include <cstdint>
#include <string>

#include "lomo/config/config.h"
#include "lomo/data/tokenizer.h"
#include "lomo/train/inputs.h"

namespace lomo {

struct InspectOptions {
  std::int64_t count = 3;  // examples shown of training, and of evaluation
  bool pieces = false;     // each piece with its id, besides the text
  bool colour = false;
};

/// The data of a run as its model will see them: the tokens that begin and end a text, counts,
/// examples with the part that carries loss marked, lengths with their histogram, and what is cut,
/// left out or seldom meant. `tokenizer` may be null for token ids.
std::string inspect(TrainConfig const& config, Tokenizer const* tokenizer, Inputs const& inputs,
                    InspectOptions const& options);

}  // namespace lomo
