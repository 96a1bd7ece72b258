#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lomo/io/json.h"
#include "regex.h"

namespace lomo::tokenizers {

/// Makes text of pieces: each stage changes or joins what the one before it gave.
class Decoder {
 public:
  virtual ~Decoder() = default;
  virtual void apply(std::vector<std::string>& pieces, RegexScratch& scratch) const = 0;
};

/// Sequence, ByteLevel, ByteFallback, Fuse, Strip, Replace, Metaspace; others are refused by name.
std::unique_ptr<Decoder> make_decoder(JsonReader reader);

}  // namespace lomo::tokenizers
