#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "data/support.h"
#include "lomo/data/tokenizer.h"
#include "lomo/data/train_tokenizer.h"

namespace lomo::test {

/// A small tokenizer of the program's own making, which spells what it does not know in bytes:
/// needs no data.
inline Tokenizer const& small() {
  static const Tokenizer tokenizer = [] {
    const std::vector<std::string> texts = {
        "The dog saw the cat. The cat saw the dog and ran to the old house by the river.",
        "Answer: Yes", "Answer: No", "Is the answer Yes or No?"};
    const std::filesystem::path file = scratch("small") / "small.model";
    train_tokenizer(texts, 330, file);
    return Tokenizer(file);
  }();
  return tokenizer;
}

}  // namespace lomo::test
