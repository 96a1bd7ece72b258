#pragma once
#include <memory>
#include <string>

#include "lomo/io/json.h"
#include "regex.h"

namespace lomo::tokenizers {

/// Changes a stretch of text before it is parted.
class Normalizer {
 public:
  virtual ~Normalizer() = default;
  virtual void apply(std::string& text, RegexScratch& scratch) const = 0;
  /// Whether a text may be cut between two characters, the left one no white space, where the part
  /// behind is normalized with `left` before it. They become what the stage makes of them.
  virtual bool may_cut(std::string& left, std::string& right) const = 0;
};

/// Sequence, Prepend, Replace, NFC, NFD, NFKC, NFKD, Lowercase, Strip; others are refused by name.
std::unique_ptr<Normalizer> make_normalizer(JsonReader reader);

}  // namespace lomo::tokenizers
