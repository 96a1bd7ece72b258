#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "lomo/core/random.h"
#include "lomo/data/tokenizer.h"
#include "lomo/model/decoder.h"

namespace lomo::app {

/// How a token is chosen: the likeliest at temperature 0, else drawn from the smallest set of
/// likely tokens whose probability reaches top_p.
struct DrawOptions {
  double temperature = 0, top_p = 1;
  std::uint64_t seed = 1;
};

/// Continues texts with a model. What a text has in common with the one before is not computed
/// again.
class Writer {
 public:
  /// `capacity`: tokens of the longest text.
  Writer(Decoder& model, Tokenizer const& tokenizer, std::int64_t capacity, DrawOptions options);

  /// Appends to `ids`, at least one, what the model writes: at most `most` tokens, up to one of
  /// `stops`, which is left out. What it writes begins with `owed`, see OpenPrompt. `go_on` is
  /// asked after each token.
  void write(std::vector<std::int32_t>& ids, std::int64_t most,
             std::vector<std::int32_t> const& stops, std::string const& owed,
             std::function<bool()> const& go_on);

 private:
  std::vector<float> logits_after(std::vector<std::int32_t> const& ids);
  std::int32_t draw(std::vector<float> const& logits);

  Decoder& model_;
  Tokenizer const& tokenizer_;
  DrawOptions options_;
  RandomStream random_;
  KeyValueCache cache_;
  std::vector<std::int32_t> known_;  // ids that are in the cache
};

/// Prints text as it grows. Holds back what may still change: a character not yet complete.
class GrowingText {
 public:
  /// False when nobody reads it any more.
  bool show(std::string const& text);
  void finish(std::string const& text);

 private:
  std::size_t shown_ = 0;
};

}  // namespace lomo::app
