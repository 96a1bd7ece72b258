#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "lomo/data/batch.h"
#include "lomo/data/tokenizer.h"

namespace lomo {

/// How a sequence is shown. What carries loss stands between ⟦ and ⟧.
struct ViewOptions {
  bool colour = false;     // and in colour, by the escape codes of terminals
  std::size_t pieces = 0;  // shown before and after the first ⟦; 0: all
};

/// An id of a sequence, and whether the model learns to predict it.
struct SeenId {
  std::int32_t id = 0;
  bool loss = false;
};
/// The ids that `sequence` was made of. Lost is an id at its end that nothing predicts.
std::vector<SeenId> seen_ids(SequenceView sequence);

/// A sequence as pieces with their ids on one line: `<s>/1 ▁Say/403 ⟦▁hi/77 </s>/2⟧`. Without a
/// tokenizer the ids alone. Bytes that are no printable text are escaped.
std::string view_pieces(Tokenizer const* tokenizer, SequenceView sequence,
                        ViewOptions const& options);

/// The text of a sequence, in which tokens that are no text stand by their names. Line ends are
/// kept.
std::string view_text(Tokenizer const& tokenizer, SequenceView sequence,
                      ViewOptions const& options);

/// `bos 1 "<s>" (tokenizer.model), eos 2 "</s>" (generation_config.json), pad none`.
std::string describe_named_tokens(Tokenizer const& tokenizer);

/// How many of `lengths` lie in each of up to ten equal ranges, a line with a bar each.
std::string length_histogram(std::vector<std::int64_t> const& lengths);

}  // namespace lomo
