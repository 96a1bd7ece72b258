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
};

/// Sequence, Prepend, Replace, NFC, NFD, NFKC, NFKD, Lowercase, Strip; others are refused by name.
std::unique_ptr<Normalizer> make_normalizer(JsonReader reader);

}  // namespace lomo::tokenizers
